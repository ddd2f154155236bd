# SPDX-License-Identifier: BSD-3-Clause
"""The front-end against a back-end by hand, which may be mute, wrong or gone."""

import os
import socket
import threading
import time
import unittest

from devices import Vhost, expect_error
from gi.repository import Gio, GLib
from helpers import TempDir, run_idle, run_loop
from rings import Memory
from wire import (ADDR, HEADER, NEED_REPLY, NO_FD, REGION, REPLY, SINGLE, STATE, TABLE, U64,
                  VERSION, Back, FakeBackend, Feature, Proto, Req, pack, pack_config, word)

FEATURES = word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES)
PROTOCOL = word(Proto.MQ, Proto.LOG_SHMFD, Proto.REPLY_ACK, Proto.CONFIG,
                Proto.CONFIGURE_MEM_SLOTS, Proto.STATUS, Proto.RESET_DEVICE)
ERROR = Vhost.Error


class Facing(TempDir):
    """A test with `self.frontend`, and `self.fake` at the other end once it is open."""

    def setUp(self):
        super().setUp()
        self.frontend = Vhost.UserFrontend(timeout=2000)
        self.addCleanup(self.frontend.close)
        self.left = []
        self.frontend.connect("disconnected", lambda _, error: self.left.append(error))

    def fake_backend(self, features=FEATURES, protocol=PROTOCOL, odd=None):
        mine, its = socket.socketpair()
        self.fake = FakeBackend(its, features, protocol, odd)
        self.addCleanup(self.fake.stop)
        self.addCleanup(self.frontend.close)
        return mine

    def open(self, **options):
        with self.fake_backend(**options) as mine:
            self.frontend.open_fd(mine.fileno(), None)

    def make_memory(self, *numbers):
        """Guest memory for the library, one page for each number, and the descriptors' numbers."""
        memory = Vhost.Memory.new()
        for number in numbers:
            raw = Memory(4096)
            region = Vhost.MemoryRegion.new(number << 20, 4096, number << 30, raw.fd, 0)
            memory = memory.add(region)
            raw.close()
        return memory

    def last(self, request):
        return self.fake.find(request)[-1]


class Opening(Facing):
    def test_session_begins_as_with_qemu(self):
        self.open(protocol=PROTOCOL | word(Proto.BACKEND_REQ))
        self.assertEqual(self.fake.names(), [
            "GET_FEATURES", "GET_PROTOCOL_FEATURES", "SET_PROTOCOL_FEATURES", "GET_QUEUE_NUM",
            "GET_MAX_MEM_SLOTS", "SET_BACKEND_REQ_FD", "SET_OWNER"])
        self.assertEqual(self.frontend.get_n_queues(), 2)
        self.assertTrue(self.frontend.is_open())

    def test_without_protocol_features_nothing_of_them_is_said(self):
        self.open(features=word(Feature.VERSION_1))
        self.frontend.set_features(word(Feature.VERSION_1), None)
        self.frontend.set_vring_enable(0, True, None)
        self.frontend.get_features(None)
        self.assertEqual(self.fake.names(),
                         ["GET_FEATURES", "SET_OWNER", "SET_FEATURES", "GET_FEATURES"])
        self.assertEqual(self.last(Req.SET_FEATURES).body, U64.pack(word(Feature.VERSION_1)))

    def test_no_more_is_accepted_than_is_offered_and_known(self):
        self.open(protocol=(1 << 64) - 1)
        acked = self.frontend.props.acked_protocol_features
        self.assertEqual(acked, PROTOCOL | word(
            Proto.BACKEND_REQ, Proto.RARP, Proto.MTU, Proto.CROSS_ENDIAN, Proto.CRYPTO_SESSION,
            Proto.BACKEND_SEND_FD, Proto.SHARED_OBJECT, Proto.DEVICE_STATE, Proto.SHMEM,
            Proto.GPA_ADDRESSES, Proto.INFLIGHT_SHMFD))
        self.assertEqual(self.last(Req.SET_PROTOCOL_FEATURES).body, U64.pack(acked))
        self.assertTrue(self.frontend.has_protocol_feature(Proto.CONFIG))
        self.assertFalse(self.frontend.has_protocol_feature(Proto.PAGEFAULT))

    def test_property_takes_protocol_features_away(self):
        self.frontend.props.protocol_features = word(Proto.MQ)
        self.open()
        self.assertEqual(self.last(Req.SET_PROTOCOL_FEATURES).body, U64.pack(word(Proto.MQ)))

    def test_bit_30_stays_between_the_two_ends(self):
        self.open()
        self.assertEqual(self.frontend.get_features(None), word(Feature.VERSION_1))
        self.frontend.set_features(word(Feature.VERSION_1), None)
        self.assertEqual(self.last(Req.SET_FEATURES).body, U64.pack(FEATURES))

    def test_opens_once_and_again_after_close(self):
        self.open()
        expect_error(self, ERROR.BAD_STATE, self.frontend.open, self.path("x"), None)
        self.frontend.close()
        self.assertFalse(self.frontend.is_open())
        self.open()
        self.assertTrue(self.frontend.is_open())
        self.assertEqual(self.left, [])

    def test_says_that_nobody_is_there(self):
        missing = self.path("missing")
        error = expect_error(self, Gio.IOErrorEnum.NOT_FOUND, self.frontend.open, missing, None)
        self.assertIn(missing, error.message)
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(missing)
        expect_error(self, Gio.IOErrorEnum.CONNECTION_REFUSED, self.frontend.open, missing, None)

    def test_refuses_what_is_no_connected_socket(self):
        with socket.socket(socket.AF_UNIX) as sock, open("/dev/null", "rb") as file:
            expect_error(self, ERROR.BAD_FDS, self.frontend.open_fd, sock.fileno(), None)
            expect_error(self, ERROR.BAD_FDS, self.frontend.open_fd, file.fileno(), None)
            sock.bind(self.path("listening"))
            sock.listen()
            expect_error(self, ERROR.BAD_FDS, self.frontend.open_fd, sock.fileno(), None)

    def test_H087_absurd_numbers_are_cut_down(self):
        def huge(peer, message):
            peer.answer(message.request, U64.pack((1 << 64) - 1))
        self.open(odd={Req.GET_QUEUE_NUM: huge, Req.GET_MAX_MEM_SLOTS: huge, Req.GET_FEATURES: huge,
                       Req.GET_PROTOCOL_FEATURES: huge})
        self.assertEqual(self.frontend.get_n_queues(), 256)
        self.frontend.set_memory(self.make_memory(1), None)

    def test_H087_no_queue_or_no_slot_is_refused(self):
        def none(peer, message):
            peer.answer(message.request, U64.pack(0))
        for request in (Req.GET_QUEUE_NUM, Req.GET_MAX_MEM_SLOTS):
            expect_error(self, ERROR.INVALID_VALUE, lambda: self.open(odd={request: none}))
            self.assertFalse(self.frontend.is_open())


def wrong_header(request, flags, size):
    """Answers with this header, and as many bytes as it announces."""
    return lambda peer, message: peer.send_bytes(
        HEADER.pack(message.request if request is None else request, flags, size) + bytes(size))


class WrongAnswers(Facing):
    """H083 to H088: a back-end whose answer is wrong is left, at once."""

    WRONG = {
        "id": wrong_header(Req.GET_QUEUE_NUM, VERSION | REPLY, 8),
        "unknown id": wrong_header(99, VERSION | REPLY, 8),
        "id 0": wrong_header(0, VERSION | REPLY, 8),
        "no payload": wrong_header(None, VERSION | REPLY, 0),
        "short payload": wrong_header(None, VERSION | REPLY, 4),
        "long payload": wrong_header(None, VERSION | REPLY, 16),
        "version 0": wrong_header(None, REPLY, 8),
        "version 2": wrong_header(None, 2 | REPLY, 8),
        "no reply flag": wrong_header(None, VERSION, 8),
        "need_reply": wrong_header(None, VERSION | REPLY | NEED_REPLY, 8),
        "reserved flag": wrong_header(None, VERSION | REPLY | 1 << 31, 8),
        "huge size": lambda peer, message: peer.send_bytes(
            HEADER.pack(message.request, VERSION | REPLY, 0xFFFFFFFF)),
    }

    def assert_left(self, call, *args):
        """The call fails, and there is no back-end any more."""
        started = time.monotonic()
        with self.assertRaises(GLib.Error) as caught:
            call(*args)
        self.assertLess(time.monotonic() - started, 1)
        self.assertFalse(self.frontend.is_open())
        return caught.exception

    def test_H083_answer_while_opening(self):
        for name, odd in self.WRONG.items():
            with self.subTest(name):
                self.assert_left(lambda: self.open(odd={Req.GET_FEATURES: odd}))
                self.assertEqual(self.left, [])

    def test_H083_answer_later(self):
        for name, odd in self.WRONG.items():
            with self.subTest(name):
                self.open(odd={Req.GET_STATUS: odd})
                error = self.assert_left(self.frontend.get_status, None)
                self.assertIn("GET_STATUS", error.message)
                self.assertEqual([each.message for each in self.left], [error.message])
                self.left.clear()

    def test_H083_ack(self):
        for name, odd in self.WRONG.items():
            with self.subTest(name):
                self.open(odd={Req.SET_STATUS: odd})
                error = self.assert_left(self.frontend.set_status, 0, None)
                self.assertIn("SET_STATUS", error.message)

    def test_H086_descriptors_that_do_not_belong(self):
        def with_fd(peer, message):
            peer.answer(message.request, U64.pack(0), [peer.sock.fileno()])
        self.open(odd={Req.GET_STATUS: with_fd})
        error = self.assert_left(self.frontend.get_status, None)
        self.assertTrue(error.matches(Vhost.error_quark(), ERROR.BAD_FDS), error)

    def test_H088_configuration_of_another_place(self):
        for offset, size in ((5, 4), (4, 3), (4, 5), (0xFFFFFFFF, 4)):
            with self.subTest(offset=offset, size=size):
                self.open(odd={Req.GET_CONFIG: lambda peer, message: peer.answer(
                    message.request, pack_config(offset, bytes(size)))})
                with self.assertRaises(GLib.Error) as caught:
                    self.frontend.get_config(4, 4, None)
                self.assertIn("GET_CONFIG", caught.exception.message)
                self.frontend.close()

    def test_H088_base_of_another_queue(self):
        self.open(odd={Req.GET_VRING_BASE: lambda peer, message: peer.answer(
            message.request, STATE.pack(1, 0))})
        error = expect_error(self, ERROR.PROTOCOL, self.frontend.get_vring_base, 0, None)
        self.assertIn("GET_VRING_BASE", error.message)

    def test_refusal_is_no_end(self):
        self.open(odd={Req.SET_STATUS: lambda peer, message: peer.answer(
            message.request, U64.pack(1))})
        error = expect_error(self, ERROR.REFUSED, self.frontend.set_status, 1, None)
        self.assertIn("SET_STATUS", error.message)
        self.assertEqual(self.frontend.get_status(None), 0)

    def test_refused_configuration_is_no_end(self):
        for body in (b"", pack_config(0, b"")):
            self.open(odd={Req.GET_CONFIG: lambda peer, message: peer.answer(
                message.request, body)})
            expect_error(self, ERROR.REFUSED, self.frontend.get_config, 0, 4, None)
            self.assertEqual(self.frontend.get_status(None), 0)
            self.frontend.close()


class Silence(Facing):
    def setUp(self):
        super().setUp()
        self.frontend.props.timeout = 60

    def assert_times_out(self, call, *args):
        started = time.monotonic()
        error = expect_error(self, ERROR.TIMED_OUT, call, *args)
        self.assertTrue(0.05 < time.monotonic() - started < 2)
        self.assertFalse(self.frontend.is_open())
        return error

    def test_H085_mute_from_the_start(self):
        error = self.assert_times_out(lambda: self.open(
            odd={Req.GET_FEATURES: lambda peer, message: None}))
        self.assertIn("GET_FEATURES", error.message)

    def test_H085_mute_later(self):
        self.open(odd={Req.GET_STATUS: lambda peer, message: None})
        error = self.assert_times_out(self.frontend.get_status, None)
        self.assertIn("GET_STATUS", error.message)
        self.assertTrue(Vhost.error_can_reconnect(error))
        expect_error(self, ERROR.DISCONNECTED, self.frontend.get_status, None)
        self.assertEqual(len(self.left), 1)

    def test_half_an_answer(self):
        for n in (1, 11, 12, 19):
            with self.subTest(n):
                self.open(odd={Req.GET_STATUS: lambda peer, message: peer.send_bytes(
                    pack(message.request, U64.pack(0), VERSION | REPLY)[:n])})
                self.assert_times_out(self.frontend.get_status, None)

    def test_late_answer_is_nobody_elses(self):
        """The next session does not see what the last one was too slow for."""
        self.open(odd={Req.GET_STATUS: lambda peer, message: None})
        self.assert_times_out(self.frontend.get_status, None)
        self.open()
        self.assertEqual(self.frontend.get_status(None), 0)

    def test_listener_that_never_accepts(self):
        path = self.path("full")
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
            listener.bind(path)
            listener.listen(0)
            first.connect(path)
            self.assert_times_out(self.frontend.open, path, None)


class Giving(Facing):
    """Up."""

    def test_before_it_begins(self):
        self.open()
        told = Gio.Cancellable()
        told.cancel()
        expect_error(self, Gio.IOErrorEnum.CANCELLED, self.frontend.get_status, told)
        self.assertEqual(self.fake.find(Req.GET_STATUS), [])
        self.assertEqual(self.frontend.get_status(None), 0)

    def test_while_it_waits(self):
        told = Gio.Cancellable()
        self.open(odd={Req.GET_STATUS: lambda peer, message: told.cancel()})
        expect_error(self, Gio.IOErrorEnum.CANCELLED, self.frontend.get_status, told)
        self.assertFalse(self.frontend.is_open())

    def test_while_it_opens(self):
        told = Gio.Cancellable()
        with self.fake_backend(odd={Req.GET_FEATURES: lambda *_: told.cancel()}) as mine:
            expect_error(self, Gio.IOErrorEnum.CANCELLED, self.frontend.open_fd, mine.fileno(),
                         told)
        self.assertFalse(self.frontend.is_open())


class Leaving(Facing):
    """The back-end goes."""

    def test_instead_of_an_answer(self):
        self.open(odd={Req.GET_STATUS: lambda peer, message: peer.sock.shutdown(
            socket.SHUT_RDWR)})
        error = expect_error(self, ERROR.DISCONNECTED, self.frontend.get_status, None)
        self.assertIn("GET_STATUS", error.message)
        self.assertEqual(len(self.left), 1)

    def test_in_the_middle_of_an_answer(self):
        def half(peer, message):
            peer.send_bytes(pack(message.request, U64.pack(0), VERSION | REPLY)[:15])
            peer.sock.shutdown(socket.SHUT_RDWR)
        self.open(odd={Req.GET_STATUS: half})
        expect_error(self, ERROR.DISCONNECTED, self.frontend.get_status, None)

    def test_between_two_requests(self):
        self.open()
        self.fake.stop()
        run_loop(lambda: self.left)
        self.assertFalse(self.frontend.is_open())
        expect_error(self, ERROR.DISCONNECTED, self.frontend.get_status, None)

    def test_before_the_loop_ran(self):
        self.open()
        self.fake.stop()
        error = expect_error(self, ERROR.DISCONNECTED, self.frontend.set_status, 0, None)
        self.assertIn("SET_STATUS", error.message)
        run_idle()
        self.assertEqual(len(self.left), 1)

    def test_a_message_unasked_is_a_failure(self):
        self.open()
        self.fake.peer.answer(Req.GET_STATUS, U64.pack(0))
        run_loop(lambda: self.left)
        self.assertTrue(self.left[0].matches(Vhost.error_quark(), ERROR.PROTOCOL))
        self.assertFalse(self.frontend.is_open())

    def test_close_tells_nobody(self):
        self.open()
        self.frontend.close()
        run_idle()
        self.assertEqual(self.left, [])


class Requests(Facing):
    """What goes out, byte by byte."""

    def test_need_reply_is_set_when_acks_were_negotiated(self):
        self.open()
        self.frontend.set_vring_num(1, 256, None)
        message = self.last(Req.SET_VRING_NUM)
        self.assertEqual(message[:3], (Req.SET_VRING_NUM, VERSION | NEED_REPLY, STATE.pack(1, 256)))

    def test_without_acks_enabling_is_followed_by_a_question(self):
        self.open(protocol=PROTOCOL & ~word(Proto.REPLY_ACK))
        self.frontend.set_vring_enable(0, True, None)
        self.assertEqual(self.fake.names()[-2:], ["SET_VRING_ENABLE", "GET_FEATURES"])
        self.assertEqual(self.last(Req.SET_VRING_ENABLE).flags, VERSION)

    def test_memory_goes_region_by_region(self):
        self.open()
        self.frontend.set_memory(self.make_memory(1, 2), None)
        bodies = [message.body for message in self.fake.find(Req.ADD_MEM_REG)]
        self.assertEqual(bodies, [SINGLE.pack(0, n << 20, 4096, n << 30, 0) for n in (1, 2)])
        self.assertEqual([len(message.fds) for message in self.fake.find(Req.ADD_MEM_REG)], [1, 1])

    def test_only_the_difference_goes(self):
        self.open()
        first = self.make_memory(1, 2)
        self.frontend.set_memory(first, None)
        before = len(self.fake.requests)
        second = first.remove(2 << 20, 4096, 2 << 30).add(self.make_memory(3).get_region(0))
        self.frontend.set_memory(second, None)
        self.assertEqual(self.fake.names()[before:], ["ADD_MEM_REG", "REM_MEM_REG"])
        self.assertEqual(self.last(Req.REM_MEM_REG).fds, [])

    def test_what_is_in_the_way_goes_first(self):
        """Other memory at the same address, or no slot for both."""
        self.open()
        for first, second in (((1,), (1,)), (range(1, 9), range(11, 19))):
            self.frontend.set_memory(self.make_memory(*first), None)
            before = len(self.fake.requests)
            self.frontend.set_memory(self.make_memory(*second), None)
            self.assertEqual(self.fake.names()[before:],
                             ["REM_MEM_REG"] * len(first) + ["ADD_MEM_REG"] * len(second))

    def test_without_slots_memory_goes_as_a_table(self):
        self.open(protocol=PROTOCOL & ~word(Proto.CONFIGURE_MEM_SLOTS))
        self.frontend.set_memory(self.make_memory(1, 2), None)
        message = self.last(Req.SET_MEM_TABLE)
        self.assertEqual(message.body, TABLE.pack(2, 0) + REGION.pack(1 << 20, 4096, 1 << 30, 0)
                         + REGION.pack(2 << 20, 4096, 2 << 30, 0))
        self.assertEqual(len(message.fds), 2)

    def test_more_memory_than_there_are_slots_is_not_sent(self):
        self.open()
        for memory in (self.make_memory(*range(1, 10)), Vhost.Memory.new()):
            expect_error(self, ERROR.BAD_MEMORY, self.frontend.set_memory, memory, None)
        self.assertEqual(self.fake.find(Req.ADD_MEM_REG), [])

    def test_ring_addresses_go_as_user_addresses(self):
        self.open()
        self.frontend.set_memory(self.make_memory(1, 2), None)
        base, user = 1 << 20, 1 << 30
        self.frontend.set_vring_addr(1, 1, base, base + 128, (2 << 20) + 256, 77, None)
        self.assertEqual(self.last(Req.SET_VRING_ADDR).body,
                         ADDR.pack(1, 1, user, (2 << 30) + 256, user + 128, 77))
        expect_error(self, ERROR.BAD_ADDRESS, self.frontend.set_vring_addr, 0, 0, base, base,
                     5 << 20, 0, None)

    def test_kick_is_sent_and_signalled(self):
        self.open()
        fd = os.eventfd(0)
        self.addCleanup(os.close, fd)
        self.frontend.set_vring_kick(1, fd, None)
        self.assertEqual(self.last(Req.SET_VRING_KICK).body, U64.pack(1))
        self.assertEqual(os.eventfd_read(self.last(Req.SET_VRING_KICK).fds[0]), 1)

    def test_no_descriptor_is_said_in_a_bit(self):
        self.open()
        self.frontend.set_vring_call(3, -1, None)
        message = self.last(Req.SET_VRING_CALL)
        self.assertEqual((message.body, message.fds), (U64.pack(3 | NO_FD), []))

    def test_what_was_not_negotiated_is_not_sent(self):
        self.open(protocol=word(Proto.REPLY_ACK))
        before = len(self.fake.requests)
        for call, args, name in ((self.frontend.get_config, (0, 4), "GET_CONFIG"),
                                 (self.frontend.set_config, (0, b"x"), "SET_CONFIG"),
                                 (self.frontend.get_status, (), "GET_STATUS"),
                                 (self.frontend.reset, (), "RESET_DEVICE")):
            error = expect_error(self, ERROR.NOT_NEGOTIATED, call, *args, None)
            self.assertIn(name, error.message)
        self.assertEqual(len(self.fake.requests), before)

    def test_configuration(self):
        self.open()
        self.assertEqual(bytes(self.frontend.get_config(4, 3, None)), bytes(3))
        self.frontend.set_config(8, b"abc", None)
        self.assertEqual(self.last(Req.SET_CONFIG).body, pack_config(8, b"abc"))
        for offset, size in ((256, 1), (0, 257), (0, 0), (0xFFFFFFFF, 1)):
            expect_error(self, ERROR.INVALID_VALUE, self.frontend.get_config, offset, size, None)
        expect_error(self, ERROR.INVALID_VALUE, self.frontend.set_config, 250, bytes(7), None)

    def test_a_closed_front_end_says_so(self):
        for call, args in ((self.frontend.get_features, ()), (self.frontend.set_status, (0,)),
                           (self.frontend.get_config, (0, 4)), (self.frontend.reset, ()),
                           (self.frontend.set_memory, (self.make_memory(1),)),
                           (self.frontend.set_vring_addr, (0, 0, 0, 0, 0, 0)),
                           (self.frontend.set_vring_enable, (0, True))):
            expect_error(self, ERROR.DISCONNECTED, call, *args, None)


class Channel(Facing):
    """Requests of the back-end."""

    def setUp(self):
        super().setUp()
        self.changed = []
        self.frontend.connect("config-changed", lambda _: self.changed.append(True))

    def open(self, **options):
        super().open(protocol=PROTOCOL | word(Proto.BACKEND_REQ), **options)

    def test_change_of_the_configuration_is_told(self):
        self.open()
        self.fake.channel.send(Back.CONFIG_CHANGE_MSG)
        run_loop(lambda: self.changed)

    def test_the_end_handed_over_blocks(self):
        """Back-ends wait for an ack with a plain read."""
        self.open()
        self.assertTrue(self.fake.channel.sock.getblocking())
        self.assertTrue(os.get_blocking(self.fake.channel.sock.fileno()))

    def test_is_served_while_an_answer_is_waited_for(self):
        """Or the two would wait for each other."""
        def ask_back(peer, message):
            self.acked = self.fake.channel.ack(Back.CONFIG_CHANGE_MSG)
            peer.answer(message.request, U64.pack(5))
        self.open(odd={Req.GET_STATUS: ask_back})
        self.assertEqual(self.frontend.get_status(None), 5)
        self.assertEqual(self.acked, 0)
        self.assertEqual(self.changed, [])
        run_loop(lambda: self.changed)

    def test_what_is_not_served_is_refused(self):
        self.open()
        answers = []
        area = bytes(24)
        thread = threading.Thread(target=lambda: answers.append(
            self.fake.channel.ack(Back.VRING_HOST_NOTIFIER_MSG, NO_FD.to_bytes(8, "little")
                                  + area[8:])))
        thread.start()
        run_loop(lambda: answers)
        thread.join()
        self.assertNotEqual(answers[0], 0)
        self.assertEqual(self.frontend.get_status(None), 0)

    def test_H090_nonsense_ends_the_channel_and_not_the_device(self):
        for nonsense in (b"\xff" * 12, HEADER.pack(99, VERSION, 0),
                         HEADER.pack(2, VERSION, 1 << 31), pack(Back.CONFIG_CHANGE_MSG, b"x")):
            with self.subTest(nonsense):
                self.open()
                self.fake.channel.send_bytes(nonsense)
                run_idle()
                self.assertEqual(self.frontend.get_status(None), 0)
                self.assertEqual(self.left, [])
                self.frontend.close()

    def test_end_of_the_channel_is_not_the_end_of_the_device(self):
        self.open()
        self.fake.channel.close()
        self.fake.channel = None
        run_idle()
        self.assertEqual(self.frontend.get_status(None), 0)

    def test_H090_storm_of_requests_is_one_signal_per_turn(self):
        def storm(peer, message):
            for _ in range(500):
                self.fake.channel.send(Back.CONFIG_CHANGE_MSG)
            peer.answer(message.request, U64.pack(0))
        self.open(odd={Req.GET_STATUS: storm})
        self.frontend.get_status(None)
        run_idle()
        self.assertTrue(0 < len(self.changed) < 100, len(self.changed))


if __name__ == "__main__":
    unittest.main()
