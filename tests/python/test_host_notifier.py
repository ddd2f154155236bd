# SPDX-License-Identifier: BSD-3-Clause
"""HOST_NOTIFIER: doorbells of a device, mapped by the front-end for its guest."""

import mmap
import os
import socket
import unittest

from devices import Driving, Session, Vhost, expect_error
from facing import CHANNEL, FacingHand
from helpers import run_idle, run_loop
from peers import Row
from rings import Memory
from wire import (AREA, NEED_REPLY, NO_FD, STATE, U64, VERSION, Back, Proto, Req, is_readable,
                  pack_table, word)

ROW = Row("front-end, back-end", "this library", "host notifiers")

NOTIFIER = word(Proto.HOST_NOTIFIER)
SEND_FD = word(Proto.BACKEND_SEND_FD)
NEEDS = word(Proto.REPLY_ACK, Proto.BACKEND_REQ) | SEND_FD | NOTIFIER
PAGE = mmap.PAGESIZE


class Asked(Session):
    """What a back-end says on its channel."""

    n_queues = 2

    def setUp(self):
        super().setUp()
        self.doorbell = self.make_memory(4 * PAGE)
        self.refused = []
        self.backend.connect("request-refused", lambda _, *args: self.refused.append(args))

    def begin_channel(self, protocol=NEEDS):
        """A device says nothing before a queue runs."""
        self.peer.negotiate(protocol=protocol)
        mine, its = socket.socketpair()
        with its:
            self.peer.send(Req.SET_BACKEND_REQ_FD, fds=[its.fileno()])
        self.channel = self.watch(mine)
        self.run_queue()

    def run_queue(self):
        memory = self.make_memory()
        self.peer.send(Req.SET_MEM_TABLE, pack_table(memory.region), [memory.fd])
        self.ring = self.make_ring(memory)
        for request, body in ((Req.SET_VRING_NUM, STATE.pack(0, self.ring.size)),
                              (Req.SET_VRING_ADDR, self.ring.pack_addr())):
            self.peer.send(request, body)
        self.peer.send(Req.SET_VRING_KICK, U64.pack(0), [self.ring.kick_fd])
        self.peer.ask(Req.GET_FEATURES)
        self.assertTrue(self.backend.get_queue(0).is_started())

    def set(self, index=0, offset=0, size=PAGE, fd=None):
        return self.backend.set_host_notifier(self.backend.get_queue(index),
                                              self.doorbell.fd if fd is None else fd, offset, size)

    def expect_error(self, code, call, *args):
        error = expect_error(self, code, call, *args)
        self.assertTrue(error.message.startswith("VRING_HOST_NOTIFIER_MSG: "), error.message)
        run_idle()
        if self.backend.is_connected() and hasattr(self, "channel"):
            self.assertFalse(is_readable(self.channel.sock))

    def test_message(self):
        self.begin_channel()
        self.set(1, 2 * PAGE)
        message = self.channel.receive()
        self.assertEqual(message[:3], (Back.VRING_HOST_NOTIFIER_MSG, VERSION | NEED_REPLY,
                                       AREA.pack(1, PAGE, 2 * PAGE)))
        got, = message.fds
        self.addCleanup(os.close, got)
        self.assertTrue(os.path.sameopenfile(got, self.doorbell.fd))

    def test_removal(self):
        self.begin_channel()
        self.backend.remove_host_notifier(self.backend.get_queue(1))
        message = self.channel.receive()
        self.assertEqual((message.body, message.fds), (AREA.pack(1 | NO_FD, 0, 0), []))

    def test_refusal_is_told(self):
        self.begin_channel()
        self.set()
        message = self.channel.receive()
        os.close(message.fds[0])
        self.channel.answer(message.request, U64.pack(1))
        run_loop(lambda: self.refused)
        (request, error), = self.refused
        self.assertEqual(request, Back.VRING_HOST_NOTIFIER_MSG)
        self.assertIn("VRING_HOST_NOTIFIER_MSG", error.message)

    def test_consent_is_silent(self):
        self.begin_channel()
        self.set()
        message = self.channel.receive()
        os.close(message.fds[0])
        self.channel.answer(message.request, U64.pack(0))
        run_idle()
        self.assertEqual(self.refused, [])
        self.assertEqual(self.events.take("device-failed"), [])

    def test_suspended_device_says_nothing(self):
        self.begin_channel()
        self.peer.ask_base(0)
        self.expect_error(Vhost.Error.BAD_STATE, self.set)

    def test_without_acks_nothing_is_waited_for(self):
        self.begin_channel(NEEDS & ~word(Proto.REPLY_ACK))
        self.backend.remove_host_notifier(self.backend.get_queue(0))
        self.assertEqual(self.channel.receive().flags, VERSION)

    def test_what_is_no_page_is_not_sent(self):
        self.begin_channel()
        for offset, size in ((0, 0), (0, PAGE - 1), (0, 2 * PAGE), (1, PAGE), (PAGE // 2, PAGE),
                             (2**63 - PAGE, PAGE), (2**64 - PAGE, PAGE), (0, 2**64 - 1)):
            with self.subTest((offset, size)):
                self.expect_error(Vhost.Error.INVALID_VALUE, self.set, 0, offset, size)
        self.expect_error(Vhost.Error.INVALID_VALUE, self.set, 0, 0, PAGE, -1)

    def test_queue_of_another_device(self):
        self.begin_channel()
        other = Vhost.UserBackend(n_queues=1)
        self.expect_error(Vhost.Error.INVALID_VALUE, self.backend.remove_host_notifier,
                          other.get_queue(0))

    def test_not_negotiated(self):
        self.begin_channel(NEEDS & ~NOTIFIER)
        self.expect_error(Vhost.Error.NOT_NEGOTIATED, self.set)

    def test_descriptors_not_negotiated(self):
        self.begin_channel(NEEDS & ~SEND_FD)
        self.expect_error(Vhost.Error.NOT_NEGOTIATED, self.set)

    def test_no_channel(self):
        self.peer.negotiate(protocol=NEEDS)
        self.peer.ask(Req.GET_FEATURES)
        self.expect_error(Vhost.Error.DISCONNECTED, self.set)

    def test_channel_that_is_gone(self):
        self.begin_channel()
        self.channel.close()
        run_idle()
        expect_error(self, Vhost.Error.DISCONNECTED, self.set)
        self.assertEqual(self.peer.ack(Req.SET_VRING_ENABLE, STATE.pack(0, 1)), 0)

    def test_H021_front_end_that_never_answers(self):
        self.begin_channel()

        def fill():
            for _ in range(5000):
                self.backend.remove_host_notifier(self.backend.get_queue(0))
                self.channel.receive()
        error = expect_error(self, Vhost.Error.QUEUE_FULL, fill)
        self.assertIn("64", error.message)
        self.assertEqual(self.peer.ack(Req.SET_VRING_ENABLE, STATE.pack(0, 1)), 0)

    def test_H020_front_end_that_never_reads(self):
        self.begin_channel(NEEDS & ~word(Proto.REPLY_ACK))

        def fill():
            for _ in range(5000):
                self.set()
        expect_error(self, Vhost.Error.FAILED, fill)
        run_idle()
        expect_error(self, Vhost.Error.DISCONNECTED, self.set)
        self.peer.ask(Req.GET_FEATURES)


class Answered(FacingHand):
    """What a front-end makes of it, from a back-end that may be hostile."""

    def setUp(self):
        super().setUp()
        self.seen = []
        self.answer = True
        self.doorbell = Memory(4 * PAGE)
        self.addCleanup(self.doorbell.close)
        self.frontend.connect("host-notifier", self.on_notifier)

    def on_notifier(self, frontend, index, fd, offset, size):
        same = fd >= 0 and os.path.sameopenfile(fd, self.doorbell.fd)
        self.seen.append((index, same if fd >= 0 else None, offset, size))
        return self.answer

    def say(self, area, fds=(), **options):
        """What the front-end answers to this area."""
        acks = []

        def say(channel):
            acks.append(channel.ack(Back.VRING_HOST_NOTIFIER_MSG, area, fds))
        options.setdefault("protocol", CHANNEL | NOTIFIER | SEND_FD)
        self.open_saying(say, **options)
        self.listen()
        self.assertTrue(self.frontend.is_open())
        self.frontend.close()
        return acks[0] if acks else None

    def test_application_is_asked(self):
        self.assertEqual(self.say(AREA.pack(1, PAGE, PAGE), [self.doorbell.fd]), 0)
        self.assertEqual(self.seen, [(1, True, PAGE, PAGE)])

    def test_application_refuses(self):
        self.answer = False
        self.assertNotEqual(self.say(AREA.pack(1, PAGE, 0), [self.doorbell.fd]), 0)

    def test_application_that_fails_refuses(self):
        self.answer = None
        self.assertNotEqual(self.say(AREA.pack(1, PAGE, 0), [self.doorbell.fd]), 0)

    def test_removal(self):
        self.assertEqual(self.say(AREA.pack(1 | NO_FD, PAGE, 77)), 0)
        self.assertEqual(self.seen, [(1, None, 0, 0)])

    def test_H090_out_of_range(self):
        for index, size, offset in ((0, 0, 0), (0, PAGE - 1, 0), (0, 2 * PAGE, 0),
                                    (0, 2**64 - 1, 0), (0, PAGE, 1), (0, PAGE, 2**64 - PAGE),
                                    (0, PAGE, 2**63 - PAGE), (2, PAGE, 0), (255, PAGE, 0)):
            with self.subTest((index, size, offset)):
                area = AREA.pack(index, size, offset)
                self.assertNotEqual(self.say(area, [self.doorbell.fd]), 0)
        self.assertNotEqual(self.say(AREA.pack(2 | NO_FD, PAGE, 0)), 0)
        self.assertEqual(self.seen, [])

    def test_H090_malformed_is_refused(self):
        fd = self.doorbell.fd
        for area, fds in ((AREA.pack(0, PAGE, 0), []), (AREA.pack(NO_FD, PAGE, 0), [fd]),
                          (AREA.pack(0, PAGE, 0), [fd, fd]), (AREA.pack(0x200, PAGE, 0), [fd]),
                          (AREA.pack(2**63, PAGE, 0), [fd]), (bytes(23), [fd]), (b"", [])):
            with self.subTest((area, fds)):
                self.assertNotEqual(self.say(area, fds), 0)
        self.assertEqual(self.seen, [])

    def test_H090_storm(self):
        def say(channel):
            for _ in range(2000):
                channel.ack(Back.VRING_HOST_NOTIFIER_MSG, AREA.pack(0, PAGE, 0), [self.doorbell.fd])
        before = len(os.listdir("/proc/self/fd"))
        self.open_saying(say, protocol=CHANNEL | NOTIFIER | SEND_FD)
        opened = len(os.listdir("/proc/self/fd"))
        self.listen()
        self.assertEqual(len(os.listdir("/proc/self/fd")), opened)
        self.assertGreater(opened, before)
        self.assertEqual(len(self.seen), 2000)

    def test_not_negotiated(self):
        area = AREA.pack(0, PAGE, 0)
        self.assertNotEqual(self.say(area, [self.doorbell.fd], protocol=CHANNEL | SEND_FD), 0)
        self.assertNotEqual(self.say(area, [self.doorbell.fd], protocol=CHANNEL | NOTIFIER), 0)
        self.assertEqual(self.seen, [])

    def test_accepted_when_somebody_listens(self):
        self.open(protocol=CHANNEL | NOTIFIER)
        self.assertEqual(self.acked() & NOTIFIER, NOTIFIER)
        self.frontend = self.make_frontend()
        self.open(protocol=CHANNEL | NOTIFIER)
        self.assertEqual(self.acked() & NOTIFIER, 0)

    def test_no_request_from_inside(self):
        def ask(frontend, *args):
            expect_error(self, Vhost.Error.BAD_STATE, frontend.get_status, None)
            self.seen.append("asked")
            return True
        self.frontend = self.make_frontend()
        self.frontend.connect("host-notifier", ask)
        self.assertEqual(self.say(AREA.pack(0, PAGE, 0), [self.doorbell.fd]), 0)
        self.assertEqual(self.seen, ["asked"])

    def test_application_may_close_from_inside(self):
        self.frontend = self.make_frontend()
        self.frontend.connect("host-notifier", lambda frontend, *args: frontend.close())
        self.open_saying(lambda channel: channel.ack(Back.VRING_HOST_NOTIFIER_MSG,
                                                     AREA.pack(NO_FD, 0, 0)),
                         protocol=CHANNEL | NOTIFIER)
        expect_error(self, Vhost.Error.DISCONNECTED, self.listen)
        self.assertFalse(self.frontend.is_open())


class BothEnds(Driving):
    def test_doorbell_is_mapped(self):
        doorbell = Memory(2 * PAGE)
        self.addCleanup(doorbell.close)
        mapped = []

        def on_notifier(frontend, index, fd, offset, size):
            if fd < 0:
                mapped.pop().close()
            else:
                mapped.append(mmap.mmap(fd, size, mmap.MAP_SHARED, offset=offset))
            return True
        self.serve(n_queues=2)
        frontend = Vhost.UserFrontend()
        self.addCleanup(frontend.close)
        frontend.connect("host-notifier", on_notifier)
        frontend.open(self.socket, None)
        self.start_driver(frontend=frontend)

        def give(backend):
            return backend.set_host_notifier(backend.get_queue(1), doorbell.fd, PAGE, PAGE)
        self.assertTrue(self.served.call(give))
        run_loop(lambda: mapped)
        mapped[0][0] = 42
        self.assertEqual(doorbell.read(PAGE, 1), b"\x2a")
        self.served.call(lambda backend: backend.remove_host_notifier(backend.get_queue(1)))
        run_loop(lambda: not mapped)
        ROW.seen()


if __name__ == "__main__":
    unittest.main()
