# SPDX-License-Identifier: BSD-3-Clause
"""Back-ends that keep to the protocol in ways of their own, by name: a driver gets along with each.
They are spoken by hand; what they insist on is looked for in what they were told.
"""

import os
import socket
import threading
import unittest

from devices import GLib, Vhost, expect_error
from helpers import run_loop
from test_frontend import Facing
from test_reconnect import Place, Watch
from wire import (ADDR, CONFIG, NEED_REPLY, STATE, U64, FakeBackend, Feature, Proto, Req,
                  pack_config, word)

ERROR = Vhost.Error
FEATURES = word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES)
DRIVER_OK = 4
RING_SETUP = {"SET_VRING_NUM", "SET_VRING_BASE", "SET_VRING_ADDR", "SET_VRING_CALL",
              "SET_VRING_KICK"}


def get_index(message):
    """Of the ring that a message is about."""
    return int.from_bytes(message.body[:1], "little")


class Quirk(Facing):
    protocol = word(Proto.MQ, Proto.REPLY_ACK, Proto.CONFIG, Proto.CONFIGURE_MEM_SLOTS)

    def begin(self, n_queues=2, **options):
        """A driver, started on it; nothing is served."""
        self.open(**{"features": FEATURES, "protocol": self.protocol, **options})
        self.driver = Vhost.Driver(device=self.frontend, memory_size=1 << 20)
        self.driver.start(n_queues, 8, None)

    def restart(self):
        """Stops and starts the driver; returns the messages of the second start."""
        self.driver.stop(None)
        n = len(self.fake.requests)
        self.driver.start(2, 8, None)
        return self.fake.requests[n:]

    def tearDown(self):
        self.driver = None
        super().tearDown()

    def list_setup(self, messages, index):
        """The names of what was said of a ring, in order."""
        return [Req(message.request).name for message in messages
                if Req(message.request).name in RING_SETUP | {"SET_VRING_ENABLE"} and
                get_index(message) == index]


class LibvhostUser(Quirk):
    def test_no_message_is_longer_than_its_buffer(self):
        self.open(features=FEATURES, protocol=word(Proto.REPLY_ACK, Proto.CONFIG))
        self.frontend.set_memory(self.make_memory(*range(1, 9)), None)
        self.frontend.get_config(0, 256, None)
        self.frontend.set_config(0, bytes(256), None)
        self.assertEqual(len(self.last(Req.SET_MEM_TABLE).fds), 8)
        self.assertLessEqual(max(len(message.body) for message in self.fake.requests), 272)

    def test_enables_rings_at_set_features(self):
        """Each ring is complete, memory and all, before the kick that may start it at once."""
        self.begin()
        names = self.fake.names()
        self.assertLess(names.index("SET_FEATURES"), names.index("ADD_MEM_REG"))
        self.assertLess(names.index("ADD_MEM_REG"), names.index("SET_VRING_KICK"))
        for index in (0, 1):
            said = self.list_setup(self.fake.requests, index)
            self.assertEqual(set(said[:said.index("SET_VRING_KICK") + 1]), RING_SETUP)

    def test_forgets_kick_and_call_when_a_ring_stops(self):
        self.begin()
        again = self.restart()
        for index in (0, 1):
            self.assertLessEqual({"SET_VRING_CALL", "SET_VRING_KICK"},
                                 set(self.list_setup(again, index)))

    def test_fails_configuration_with_no_bytes(self):
        self.open(odd={Req.GET_CONFIG: lambda peer, message: peer.answer(message.request, b"")})
        expect_error(self, ERROR.REFUSED, self.frontend.get_config, 0, 4, None)
        self.assertTrue(self.frontend.is_open())

    def test_acks_what_it_failed_over_and_leaves(self):
        def give_up(peer, message):
            peer.answer(message.request, U64.pack(0))
            peer.sock.shutdown(socket.SHUT_RDWR)
        self.open(odd={Req.SET_CONFIG: give_up})
        self.frontend.set_config(0, b"x", None)
        expect_error(self, ERROR.DISCONNECTED, self.frontend.get_config, 0, 4, None)


class Dpdk(Quirk):
    protocol = word(Proto.MQ, Proto.REPLY_ACK, Proto.STATUS)

    def test_counts_pairs_of_queues(self):
        one = {Req.GET_QUEUE_NUM: lambda peer, message: peer.answer(message.request, U64.pack(1))}
        with self.assertRaises(GLib.Error) as caught:
            self.begin(odd=one)
        self.assertIn("2 queues; the device has 1", caught.exception.message)
        self.frontend.close()
        self.frontend.props.protocol_features &= ~word(Proto.MQ)
        self.begin(odd=one)
        self.assertEqual(self.fake.find(Req.GET_QUEUE_NUM), [])

    def test_waits_for_a_call_descriptor_and_for_driver_ok(self):
        self.begin()
        for index in (0, 1):
            said = self.list_setup(self.fake.requests, index)
            self.assertLess(said.index("SET_VRING_CALL"), said.index("SET_VRING_KICK"))
        last = self.fake.requests[-1]
        self.assertEqual(last.request, Req.SET_STATUS)
        self.assertTrue(U64.unpack(last.body)[0] & DRIVER_OK)

    def test_forgets_everything_with_the_first_base(self):
        self.begin()
        again = self.restart()
        for index in (0, 1):
            self.assertLessEqual(RING_SETUP | {"SET_VRING_ENABLE"},
                                 set(self.list_setup(again, index)))

    def test_refuses_and_carries_on(self):
        self.open(odd={Req.SET_VRING_BASE: lambda peer, message: peer.answer(message.request,
                                                                           U64.pack(1))})
        expect_error(self, ERROR.REFUSED, self.frontend.set_vring_base, 0, 0, None)
        self.assertNotEqual(self.frontend.get_features(None), 0)

    def test_is_not_told_what_it_has_no_handler_for(self):
        self.open(features=FEATURES, protocol=self.protocol)
        for call, *args in ((self.frontend.reset,), (self.frontend.kick_vring, 0),
                            (self.frontend.set_vring_endian, 0, False),
                            (self.frontend.get_shmem_config,)):
            expect_error(self, ERROR.NOT_NEGOTIATED, call, *args, None)
        self.assertTrue({23, 34, 35, 44}.isdisjoint(each.request for each in self.fake.requests))

    def test_base_of_a_packed_ring_has_no_upper_half(self):
        self.open(odd={Req.GET_VRING_BASE: lambda peer, message: peer.answer(
            message.request, STATE.pack(0, 0x8003))})
        base = self.frontend.get_vring_base(0, None)
        self.frontend.set_vring_base(0, base, None)
        self.assertEqual(STATE.unpack(self.last(Req.SET_VRING_BASE).body), (0, 0x8003))


class RustVmm(Quirk):
    def test_looks_at_a_ring_only_when_kicked(self):
        self.begin()
        for message in self.fake.find(Req.SET_VRING_KICK):
            self.assertEqual(os.eventfd_read(message.fds[0]), 1)

    def test_checks_alignment_and_takes_0_and_1_alone(self):
        self.begin()
        for message in self.fake.find(Req.SET_VRING_ADDR):
            _, flags, desc, used, avail, _ = ADDR.unpack(message.body)
            self.assertEqual((flags, desc % 16, avail % 2, used % 4), (0, 0, 0, 0))
        self.assertEqual([STATE.unpack(message.body)
                          for message in self.fake.find(Req.SET_VRING_ENABLE)], [(0, 1), (1, 1)])

    def test_takes_no_descriptor_with_a_region_that_goes(self):
        self.begin()
        self.driver.stop(None)
        self.driver.start(1, 8, None)
        gone, = self.fake.find(Req.REM_MEM_REG)
        self.assertEqual((gone.fds, gone.body[:8]), ([], bytes(8)))

    def test_fails_configuration_with_a_size_of_0(self):
        self.open(odd={Req.GET_CONFIG: lambda peer, message: peer.answer(
            message.request, pack_config(0, b""))})
        expect_error(self, ERROR.REFUSED, self.frontend.get_config, 0, 4, None)
        self.assertTrue(self.frontend.is_open())

    def test_answers_configuration_with_exactly_what_was_asked_for(self):
        self.open()
        self.frontend.get_config(4, 8, None)
        asked = self.last(Req.GET_CONFIG).body
        self.assertEqual((len(asked), CONFIG.unpack(asked[:12])), (20, (4, 8, 0)))

    def test_refuses_and_leaves(self):
        def refuse(peer, message):
            peer.answer(message.request, U64.pack(1))
            peer.sock.shutdown(socket.SHUT_RDWR)
        self.open(odd={Req.SET_CONFIG: refuse})
        expect_error(self, ERROR.REFUSED, self.frontend.set_config, 0, b"x", None)
        run_loop(lambda: not self.frontend.is_open())
        self.assertEqual(self.left, [None])


class YcLibvhostServer(Quirk):
    def test_takes_no_setup_while_a_ring_runs(self):
        def make(peer, message):
            fd = os.memfd_create("area")
            peer.answer(message.request, U64.pack(4096) + message.body[8:], [fd])
            os.close(fd)
        self.begin(protocol=self.protocol | word(Proto.INFLIGHT_SHMFD),
                   odd={Req.GET_INFLIGHT_FD: make})
        names = self.fake.names()
        started = names.index("SET_VRING_KICK")
        for name in ("SET_PROTOCOL_FEATURES", "GET_INFLIGHT_FD", "SET_INFLIGHT_FD"):
            self.assertNotIn(name, names[started:])
        for index in (0, 1):
            said = self.list_setup(self.fake.requests, index)
            self.assertNotIn("SET_VRING_BASE", said[said.index("SET_VRING_KICK"):])

    def test_leaves_instead_of_refusing(self):
        def leave(peer, message):
            peer.sock.shutdown(socket.SHUT_RDWR)
        self.open(odd={Req.SET_CONFIG: leave})
        error = expect_error(self, ERROR.DISCONNECTED, self.frontend.set_config, 0, b"x", None)
        self.assertTrue(error.message.startswith("SET_CONFIG: "))


class LeavesOverARequest(Place):
    """Each new one leaves over the same request: it is not asked for ever."""

    def test_request_is_given_up(self):
        def leave(peer, message):
            peer.sock.shutdown(socket.SHUT_RDWR)

        asked = []
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.socket)
            listener.listen(8)
            def serve():
                for _ in range(4):
                    fake = FakeBackend(listener.accept()[0], FEATURES,
                                       word(Proto.REPLY_ACK, Proto.CONFIG),
                                       {Req.SET_CONFIG: leave})
                    self.addCleanup(fake.stop)
                    asked.append(fake)
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            frontend = self.open()
            watch = Watch(frontend)
            error = expect_error(self, ERROR.DISCONNECTED, frontend.set_config, 0, b"x", None)
            self.assertTrue(error.message.startswith("SET_CONFIG: "))
            self.assertNotEqual(frontend.get_features(None), 0)
            thread.join(5)
        self.assertEqual([len(fake.find(Req.SET_CONFIG)) for fake in asked], [1, 1, 1, 0])
        self.assertNotIn("disconnected", watch)


class NeedReply(Quirk):
    def test_is_never_set_unless_acks_were_negotiated(self):
        """libvhost-user and DPDK would answer, rust-vmm would not."""
        self.begin(protocol=word(Proto.CONFIG, Proto.CONFIGURE_MEM_SLOTS, Proto.MQ))
        self.assertFalse(any(message.flags & NEED_REPLY for message in self.fake.requests))


if __name__ == "__main__":
    unittest.main()
