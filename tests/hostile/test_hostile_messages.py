# SPDX-License-Identifier: BSD-3-Clause
"""A front-end attacks a back-end with messages: framing, sizes, descriptors, order, features."""

import os
import select
import socket
import time
import unittest

from attack import Attack, count_fds, count_mappings, read_rss
from devices import Events, GLib, Vhost
from helpers import run_idle, run_loop
from wire import (CONFIG, HEADER, NEED_REPLY, NO_FD, REPLY, SINGLE, STATE, U64, VERSION, Feature,
                  Peer, Proto, Req, pack, pack_config, pack_table, word)

BASIC = word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES)

# Payload of each request that has one of a single size.
SIZES = {
    Req.SET_FEATURES: 8, Req.SET_VRING_NUM: 8, Req.SET_VRING_ADDR: 40, Req.SET_VRING_BASE: 8,
    Req.SET_VRING_KICK: 8, Req.SET_VRING_CALL: 8, Req.SET_VRING_ERR: 8,
    Req.SET_PROTOCOL_FEATURES: 8, Req.SET_VRING_ENABLE: 8, Req.ADD_MEM_REG: 40, Req.REM_MEM_REG: 40,
    Req.SET_STATUS: 8, Req.SET_OWNER: 0, Req.RESET_OWNER: 0, Req.RESET_DEVICE: 0,
}
NO_FDS = [request for request in SIZES if request not in (
    Req.SET_VRING_KICK, Req.SET_VRING_CALL, Req.SET_VRING_ERR, Req.ADD_MEM_REG, Req.REM_MEM_REG)]


def iterate(until):
    """As run_loop(), without the bytes that a GLib source of PyGObject costs for ever."""
    while not until():
        GLib.MainContext.default().iteration(False)


class Framing(Attack):
    def test_H001_one_byte_at_a_time(self):
        for byte in pack(Req.GET_FEATURES) + pack(Req.SET_FEATURES, U64.pack(BASIC)) + pack(
                Req.GET_FEATURES):
            self.peer.send_bytes(bytes([byte]))
            run_idle()
        for _ in range(2):
            self.assertEqual(len(self.peer.expect(Req.GET_FEATURES)), 8)
        self.assert_state(acked_features=BASIC)

    def test_H002_silence_in_the_middle_of_a_message(self):
        for n in (1, 12, 15):
            backend = self.make_backend(timeout=50)
            events = Events(backend)
            peer = self.open_pair(backend)
            peer.send_bytes(pack(Req.SET_FEATURES, U64.pack(0))[:n])
            self.bystander.assert_serves()
            started = time.monotonic()
            run_loop(lambda: not backend.is_connected())
            self.assertLess(time.monotonic() - started, 1)
            self.assertIsNone(peer.receive())
            (error,), = events.take("device-failed")
            self.assertTrue(error.matches(Vhost.error_quark(), Vhost.Error.TIMED_OUT), error)

    def test_H002_silence_between_messages_is_no_crime(self):
        backend = self.make_backend(timeout=20)
        peer = self.open_pair(backend)
        peer.ask_u64(Req.GET_FEATURES)
        end = time.monotonic() + 0.1
        while time.monotonic() < end:
            run_idle()
        self.assertNotEqual(peer.ask_u64(Req.GET_FEATURES), 0)

    def test_H003_end_in_the_middle_of_a_message(self):
        memory = self.make_memory()
        before = count_fds()
        whole = pack(Req.SET_MEM_TABLE, pack_table(memory.region))
        for n in (1, 11, 12, 30):
            self.peer.send_bytes(whole[:n], [memory.fd])
            run_idle()
            self.peer.sock.shutdown(socket.SHUT_WR)
            self.assert_closed(says="middle of a message")
        self.assertEqual(count_fds(), before)

    def test_H004_size_beyond_the_maximum(self):
        for size in (4097, 1 << 16, 0x7FFFFFFF, 0xFFFFFFFF):
            for request in (Req.SET_FEATURES, Req.SET_MEM_TABLE, Req.GET_CONFIG):
                self.peer.send_bytes(HEADER.pack(request, VERSION | NEED_REPLY, size))
                self.assert_closed(says=request.name)

    def test_H005_size_that_is_not_the_requests(self):
        for request, right in SIZES.items():
            for size in {0, right - 1, right + 1, 4} - {right, -1}:
                with self.subTest(request=request.name, size=size):
                    self.peer.negotiate()
                    self.peer.send(request, bytes(size), flags=VERSION | NEED_REPLY)
                    message = self.peer.receive()
                    if message is None:  # longer than any payload of that request
                        self.assertGreater(size, right)
                        self.assert_closed(says=request.name)
                        continue
                    self.assertNotEqual(U64.unpack(message.body)[0], 0)
                    self.assert_refused(request, str(size))
                    self.assertNotEqual(self.peer.ask_u64(Req.GET_FEATURES), 0)
                    self.backend.close()
                    self.peer = self.open_pair(self.backend)

    def test_H005_question_with_a_payload(self):
        for request in (Req.GET_FEATURES, Req.GET_PROTOCOL_FEATURES, Req.GET_QUEUE_NUM):
            self.peer.send(request, b"x")
            self.assert_closed(says=request.name)

    def test_H006_unknown_requests(self):
        for request in (0, 45, 1000, 0xFFFFFFFF):
            for flags in (VERSION, VERSION | NEED_REPLY):
                self.peer.send(request, flags=flags)
                self.assert_closed(says=str(request))

    def test_H006_requests_whose_feature_is_never_offered(self):
        """Known, well formed and not served: an error ack, or the end for those without one."""
        self.peer.negotiate()
        fd = self.make_memory().fd
        for request, body, fds in ((Req.SET_LOG_FD, b"", [fd]),
                                   (Req.SET_VRING_ENDIAN, STATE.pack(0, 0), []),
                                   (Req.SEND_RARP, bytes(8), []), (Req.GPU_SET_SOCKET, b"", [fd]),
                                   (Req.VRING_KICK, STATE.pack(0, 0), []),
                                   (Req.SET_INFLIGHT_FD, bytes(24), [fd])):
            self.assert_rejected(request, body, fds)
        self.assertEqual(self.peer.ask_u64(Req.CHECK_DEVICE_STATE), 1)  # its way to say no
        self.assertEqual(len(self.events.take("refused")), 1)
        for request, body in ((Req.POSTCOPY_ADVISE, b""), (Req.GET_SHMEM_CONFIG, b"")):
            self.peer.send(request, body)
            self.assert_closed("refused", says=request.name)

    def test_H007_flags_that_no_request_has(self):
        for flags in (0, 2, 3, VERSION | REPLY, VERSION | 16, VERSION | 1 << 31, 0xFFFFFFFF):
            self.peer.send(Req.GET_FEATURES, flags=flags)
            self.assert_closed()

    def test_H008_need_reply_without_its_feature(self):
        """Nobody waits for an answer: the session goes on or ends, and there is no ack."""
        self.peer.send(Req.SET_FEATURES, U64.pack(BASIC), flags=VERSION | NEED_REPLY)
        self.assertNotEqual(self.peer.ask_u64(Req.GET_FEATURES), 0)
        self.peer.send(Req.SET_FEATURES, U64.pack(1 << 63), flags=VERSION | NEED_REPLY)
        self.assertIsNone(self.peer.receive())

    def test_H020_peer_that_never_reads(self):
        backend = self.make_backend(timeout=100)
        events = Events(backend)
        mine = self.open_pair(backend).sock
        mine.setblocking(False)
        flood = pack(Req.GET_FEATURES) * 100
        rss, end = read_rss(), time.monotonic() + 10
        while backend.is_connected() and time.monotonic() < end:
            if select.select([], [mine], [], 0)[1]:
                try:
                    mine.send(flood)
                except (BlockingIOError, BrokenPipeError):
                    pass
            run_idle()
        (error,), = events.take("device-failed")
        self.assertIn("read", error.message)
        self.assertLess(read_rss() - rss, 4 << 20)


class Descriptors(Attack):
    def setUp(self):
        super().setUp()
        self.peer.negotiate()
        self.fd = self.make_memory().fd

    def test_H009_fds_on_message_that_takes_none(self):
        for request in NO_FDS:
            for n in (1, 8):
                with self.subTest(request=request.name, n=n):
                    self.assert_rejected(request, bytes(SIZES[request]), [self.fd] * n,
                                         [f"{n} file descriptors"])

    def test_H009_fds_on_a_question(self):
        before = count_fds()
        for request in (Req.GET_FEATURES, Req.GET_PROTOCOL_FEATURES):
            self.peer.send(request, fds=[self.fd])
            self.assert_closed("refused", says=request.name)
        self.assertEqual(count_fds(), before)

    def test_H010_too_few_or_too_many(self):
        memory = self.make_memory(4096)
        region = SINGLE.pack(0, *memory.region)
        for request, body, right in ((Req.SET_MEM_TABLE, pack_table(memory.region), 1),
                                     (Req.ADD_MEM_REG, region, 1),
                                     (Req.SET_BACKEND_REQ_FD, b"", 1),
                                     (Req.SET_VRING_KICK, U64.pack(0), 1),
                                     (Req.SET_VRING_CALL, U64.pack(0 | NO_FD), 0)):
            for n in {0, 1, 2, 8} - {right}:
                with self.subTest(request=request.name, n=n):
                    self.assert_rejected(request, body, [memory.fd] * n, [f"{n} file"])
        self.assertIsNone(self.backend.get_memory())

    def test_H011_fds_on_every_fragment(self):
        before = count_fds()
        message = pack(Req.SET_FEATURES, U64.pack(BASIC), VERSION | NEED_REPLY)
        for byte in message:
            self.peer.send_bytes(bytes([byte]), [self.fd])
            run_idle()
        self.assertNotEqual(U64.unpack(self.peer.expect(Req.SET_FEATURES))[0], 0)
        self.assert_refused(Req.SET_FEATURES, f"{len(message)} file descriptors")
        self.assertEqual(count_fds(), before)

    def test_H012_more_than_a_message_can_hold(self):
        before = count_fds()
        for n in (33, 64, 253):
            self.peer.send(Req.SET_FEATURES, U64.pack(BASIC), [self.fd] * n)
            self.assert_closed(says="file descriptors")
        self.assertEqual(count_fds(), before)

    def test_H013_what_cannot_notify(self):
        with open("/dev/zero", "rb") as zero, open(__file__, "rb") as file, select.epoll() as epoll:
            directory = os.open("/", os.O_RDONLY)
            self.addCleanup(os.close, directory)
            for request in (Req.SET_VRING_KICK, Req.SET_VRING_CALL, Req.SET_VRING_ERR):
                for fd in (zero.fileno(), file.fileno(), epoll.fileno(), directory, self.fd,
                           self.peer.sock.fileno()):
                    self.assert_rejected(request, U64.pack(0), [fd], ["cannot notify"])

    def test_H018_allocating_messages_over_and_over(self):
        self.peer = Peer(self.peer.sock, pump=iterate)
        memory, spare = self.make_memory(), self.make_memory(4096, guest=1 << 40, user=1 << 41)
        mine, its = socket.socketpair()
        self.addCleanup(mine.close), self.addCleanup(its.close)
        event = os.eventfd(0)
        self.addCleanup(os.close, event)
        spare_region = SINGLE.pack(0, *spare.region)

        def once():
            self.share(memory)
            for request in (Req.SET_VRING_KICK, Req.SET_VRING_CALL, Req.SET_VRING_ERR):
                self.peer.do(request, U64.pack(0), [event])
            self.peer.do(Req.SET_BACKEND_REQ_FD, fds=[its.fileno()])
            self.peer.do(Req.ADD_MEM_REG, spare_region, [spare.fd])
            self.peer.do(Req.REM_MEM_REG, spare_region, [spare.fd])
            self.assertNotEqual(self.peer.ack(Req.SET_VRING_NUM, STATE.pack(0, 3)), 0)
            self.events.clear()
        for _ in range(100):
            once()
        before = count_fds(), count_mappings(), read_rss()
        for _ in range(1000):
            once()
        after = count_fds(), count_mappings(), read_rss()
        self.assertEqual(after[:2], before[:2])
        self.assertLess(after[2] - before[2], 1 << 20)

    def test_H021_channel_that_is_none(self):
        with open("/dev/null", "rb") as null, socket.socket(socket.AF_UNIX) as lonely, \
                socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams, \
                socket.socket(socket.AF_INET) as network:
            for each in (null, lonely, datagrams, network):
                self.assert_rejected(Req.SET_BACKEND_REQ_FD, fds=[each.fileno()], words=["socket"])
            lonely.bind(self.path("listening"))
            lonely.listen()
            self.assert_rejected(Req.SET_BACKEND_REQ_FD, fds=[lonely.fileno()],
                                 words=["not connected"])

    def test_H021_channel_that_is_mute_full_or_talks_nonsense(self):
        self.backend.set_config(bytes(8))
        self.backend.close()
        self.peer = self.open_pair(self.backend)
        self.begin_ring()
        for nonsense in (b"", b"\xff" * 64, pack(Req.GET_FEATURES)):
            mine, its = socket.socketpair()
            with mine, its:
                self.peer.do(Req.SET_BACKEND_REQ_FD, fds=[its.fileno()])
                mine.send(nonsense)
                for _ in range(20_000):
                    self.backend.announce_config()
                run_idle()
                self.assert_served(self.ring)
        self.assertEqual(self.events.take("disconnected"), [()])  # our own close


class Order(Attack):
    def test_H015_owner_twice(self):
        self.peer.negotiate()
        self.assert_rejected(Req.SET_OWNER, words=["owner"])

    def test_H015_rings_before_anything_else(self):
        """Each request is taken for what it is worth; no ring starts on nothing."""
        event = os.eventfd(0)
        self.addCleanup(os.close, event)
        for request, body, fds in ((Req.SET_VRING_KICK, U64.pack(0), [event]),
                                   (Req.SET_VRING_ENABLE, STATE.pack(0, 1), []),
                                   (Req.SET_VRING_CALL, U64.pack(0), [event])):
            self.peer.send(request, body, fds)
        self.assertNotEqual(self.peer.ask_u64(Req.GET_FEATURES), 0)
        self.assertFalse(self.backend.get_queue(0).is_started())
        self.assertEqual(self.peer.ask_base(0), 0)

    def test_H016_features_that_were_not_offered(self):
        self.peer.negotiate()
        self.peer.ask_u64(Req.GET_FEATURES)
        for bit in (0, 23, 27, 33, 35, 63):
            self.assert_rejected(Req.SET_FEATURES, U64.pack(BASIC | 1 << bit),
                                 words=["not offered"])
        self.assert_state(acked_features=BASIC)

    def test_H016_features_changed_while_a_queue_runs(self):
        self.begin_ring()
        for features in (BASIC | word(Feature.EVENT_IDX), word(Feature.VERSION_1), 0):
            self.assert_rejected(Req.SET_FEATURES, U64.pack(features), words=["while queues run"])
        self.assert_state(acked_features=BASIC)
        self.peer.do(Req.SET_FEATURES, U64.pack(BASIC))
        self.assert_served(self.ring)

    def test_H017_protocol_features_that_were_not_offered(self):
        offered = self.peer.negotiate()
        self.peer.ask_u64(Req.GET_FEATURES)
        for bit in (Proto.RARP, Proto.CONFIG, Proto.INBAND_NOTIFICATIONS, Proto.XEN_MMAP, 63):
            self.assert_rejected(Req.SET_PROTOCOL_FEATURES, U64.pack(offered | 1 << bit),
                                 words=["not offered"])
        self.assert_state(acked_protocol_features=offered & ~word(Proto.GPA_ADDRESSES))

    def test_H017_protocol_features_changed_while_a_queue_runs(self):
        self.begin_ring()
        self.assert_rejected(Req.SET_PROTOCOL_FEATURES, U64.pack(word(Proto.REPLY_ACK)),
                             words=["while queues run"])
        self.assert_served(self.ring)

    def test_H017_requests_of_features_that_were_not_accepted(self):
        memory = self.make_memory(4096)
        self.peer.negotiate(protocol=word(Proto.REPLY_ACK))
        for request, body, fds in ((Req.SET_STATUS, U64.pack(1), []), (Req.RESET_DEVICE, b"", []),
                                   (Req.ADD_MEM_REG, SINGLE.pack(0, *memory.region), [memory.fd]),
                                   (Req.SET_CONFIG, pack_config(0, b"x"), [])):
            self.assert_rejected(request, body, fds, ["not negotiated"])
        self.peer.send(Req.GET_STATUS)
        self.assert_closed("refused", says="GET_STATUS")

    def test_refusal_without_an_ack_ends_the_session(self):
        """So that both sides agree on what is in force."""
        self.peer.negotiate()
        self.peer.send(Req.SET_FEATURES, U64.pack(1 << 63))
        self.assert_closed("refused", says="SET_FEATURES")

    def test_status_of_more_than_eight_bits(self):
        self.peer.negotiate()
        self.assert_rejected(Req.SET_STATUS, U64.pack(0x100), words=["8 bits"])
        self.assert_state(status=0)

    def test_enable_with_a_number_that_is_no_boolean(self):
        self.peer.negotiate()
        self.assert_rejected(Req.SET_VRING_ENABLE, STATE.pack(0, 2), words=["0 or 1"])


class Configuration(Attack):
    def setUp(self):
        super().setUp()
        self.backend.set_config(bytes(range(16)))
        self.backend.set_config_writable(0, 16)
        self.peer.negotiate()

    def test_H022_writes_outside(self):
        for offset, size, claimed in ((16, 1, 1), (15, 2, 2), (0xFFFFFFFF, 1, 1),
                                      (0xFFFFFFF8, 8, 8), (0, 4, 8), (0, 8, 4), (0, 8, 0xFFFFFFFC),
                                      (0, 0, 0)):
            with self.subTest(offset=offset, size=size, claimed=claimed):
                body = CONFIG.pack(offset, claimed, 0) + bytes(size)
                self.assert_rejected(Req.SET_CONFIG, body)
        self.assertEqual(bytes(self.backend.get_config()), bytes(range(16)))

    def test_H022_reads_outside(self):
        for offset, size, claimed in ((16, 1, 1), (0xFFFFFFFF, 1, 1), (0xFFFFFFF8, 8, 8), (0, 4, 8),
                                      (0, 8, 4), (0, 8, 0xFFFFFFFC), (0, 0, 0)):
            with self.subTest(offset=offset, size=size, claimed=claimed):
                body = CONFIG.pack(offset, claimed, 0) + bytes(size)
                self.assertEqual(self.peer.ask(Req.GET_CONFIG, body), b"")
                self.assert_refused(Req.GET_CONFIG)

    def test_H022_longer_than_any_configuration(self):
        self.peer.send(Req.GET_CONFIG, CONFIG.pack(0, 300, 0) + bytes(300))
        self.assert_closed(says="GET_CONFIG")


if __name__ == "__main__":
    unittest.main()
