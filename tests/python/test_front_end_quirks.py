# SPDX-License-Identifier: BSD-3-Clause
"""Front-ends that keep to the protocol in ways of their own, by name: each gets its session."""

import os
import socket
import unittest

from devices import Session, Vhost, serve_random
from helpers import run_idle, run_loop
from rings import WRITE
from wire import (INFLIGHT, NEED_REPLY, NO_FD, STATE, U64, VERSION, Back, Feature, Message, Proto,
                  Req, pack_table, word)

QEMU_HAS_NOT = word(Proto.INBAND_NOTIFICATIONS, Proto.XEN_MMAP)
NET_MTU = 3
UML = word(Proto.REPLY_ACK, Proto.BACKEND_REQ, Proto.CONFIG, Proto.INBAND_NOTIFICATIONS)


class Qemu(Session):
    """Accepts every protocol feature that it knows the number of, whether it has it or not."""

    n_queues = 4
    device_id = Vhost.DeviceId.NETWORK

    def make_backend(self, **properties):
        backend = super().make_backend(**properties)
        backend.add_feature(NET_MTU)
        backend.connect("rarp", lambda *_: None)
        backend.connect("create-crypto-session", lambda *_: 1)
        backend.set_config(bytes(12))
        return backend

    def test_what_it_accepts_without_having_it_is_never_offered(self):
        for device_id in (Vhost.DeviceId.NETWORK, Vhost.DeviceId.BLOCK, Vhost.DeviceId.CRYPTO):
            self.device_id = device_id
            offered = self.open_pair(self.make_backend()).ask_u64(Req.GET_PROTOCOL_FEATURES)
            self.assertEqual(offered & QEMU_HAS_NOT, 0)
            self.assertNotEqual(offered, 0)

    def test_accepting_it_all_the_same_is_refused(self):
        offered = self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES)
        for bit in (Proto.INBAND_NOTIFICATIONS, Proto.XEN_MMAP):
            self.peer.send(Req.SET_PROTOCOL_FEATURES, U64.pack(offered | word(bit)))
            self.assertIsNone(self.peer.receive())
            self.assert_refused(Req.SET_PROTOCOL_FEATURES, bit.name)
            self.backend.close()
            self.peer = self.open_pair(self.backend)

    def test_accepts_ring_reset_that_nobody_offered(self):
        """For vhost-user-input and -gpu."""
        reset = 1 << Vhost.Feature.RING_RESET
        self.assertFalse(self.peer.ask_u64(Req.GET_FEATURES) & reset)
        self.peer.negotiate(reset)
        self.peer.ask(Req.GET_FEATURES)
        acked = self.backend.props.acked_features
        self.assertTrue(acked & word(Feature.VERSION_1) and not acked & reset, hex(acked))

    def test_whole_offer_can_be_accepted(self):
        offered = self.peer.negotiate()
        wanted = offered & ~word(Proto.GPA_ADDRESSES)
        self.peer.ask(Req.GET_FEATURES)
        self.assertEqual(self.backend.get_property("acked-protocol-features"), wanted)

    def test_negotiates_before_it_becomes_the_owner_and_for_each_queue_pair(self):
        peer = self.peer
        for pair in (0, 1):
            offered = peer.ask_u64(Req.GET_PROTOCOL_FEATURES)
            wanted = offered & ~word(Proto.GPA_ADDRESSES)
            peer.send(Req.SET_PROTOCOL_FEATURES, U64.pack(wanted))
            self.assertEqual(peer.ask_u64(Req.GET_QUEUE_NUM), 4)
            peer.ask(Req.GET_MAX_MEM_SLOTS)
            if pair == 0:
                peer.send(Req.SET_OWNER)
            peer.ask(Req.GET_FEATURES)
        features = word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES, NET_MTU)
        for _ in (0, 1):
            peer.do(Req.SET_FEATURES, U64.pack(features))
        peer.do(Req.NET_SET_MTU, U64.pack(1500))
        self.assertEqual(self.events.take("refused"), [])

    def test_gives_call_descriptors_long_before_the_rings(self):
        self.peer.negotiate()
        event = os.eventfd(0)
        self.addCleanup(os.close, event)
        for index in range(4):
            self.assertEqual(self.peer.set_fd(Req.SET_VRING_CALL, index, event), 0)
            self.assertEqual(self.peer.set_fd(Req.SET_VRING_ERR, index, None), 0)
        self.backend.connect("kick", serve_random)
        memory = self.make_memory()
        self.share(memory)
        ring = self.make_ring(memory)
        ring.attach(self.peer)
        self.assert_served(ring)


class QemuUserScsi72(Session):
    """Asks for the inflight area, and hands it over, before it sets features: what format the
    rings have is not known yet.
    """

    SIZE = 8

    def begin_early(self, area=None):
        offered = self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES)
        self.peer.send(Req.SET_PROTOCOL_FEATURES, U64.pack(offered & ~word(Proto.GPA_ADDRESSES)))
        if area is None:
            self.peer.send(Req.GET_INFLIGHT_FD, INFLIGHT.pack(0, 0, 1, self.SIZE))
            area = self.peer.receive()
            self.addCleanup(os.close, *area.fds)
        self.assertGreater(INFLIGHT.unpack(area.body)[0], 0)
        self.peer.do(Req.SET_INFLIGHT_FD, area.body, area.fds)
        return area

    def start(self, features):
        self.peer.do(Req.SET_FEATURES, U64.pack(features | word(Feature.VERSION_1,
                                                                Feature.PROTOCOL_FEATURES)))
        self.share(self.memory)
        self.ring.attach(self.peer)

    def test_gets_an_area_that_records(self):
        chains = []
        self.backend.connect("kick", lambda _, queue: chains.extend(iter(queue.pop, None)))
        self.memory = self.make_memory()
        self.ring = self.make_ring(self.memory, self.SIZE)
        area = self.begin_early()
        self.start(0)
        for head in range(3):
            self.offer_room(self.ring, head=head)
        run_loop(lambda: len(chains) == 3)
        self.backend.get_queue(0).push(chains[1], 0)
        self.assertEqual(self.ring.used(), [(1, 0)])
        self.peer.close()
        run_loop(lambda: not self.backend.is_connected())
        del chains[:]
        self.peer = self.open_pair(self.backend)
        self.begin_early(area)
        self.start(0)
        run_loop(lambda: len(chains) == 2)
        self.assertEqual([chain.get_head() for chain in chains], [0, 2])
        self.assertEqual(self.events.take("refused"), [])

    def test_packed_rings_fit_into_it(self):
        area = self.begin_early()
        self.assertEqual(INFLIGHT.unpack(area.body), (32 * (1 + self.SIZE) + 32, 0, 1, self.SIZE))
        self.peer.do(Req.SET_FEATURES, U64.pack(word(Feature.VERSION_1, Feature.RING_PACKED,
                                                     Feature.PROTOCOL_FEATURES)))
        self.memory = self.make_memory()
        self.share(self.memory)
        self.ring = self.make_ring(self.memory, self.SIZE)
        self.ring.attach(self.peer, base=0x80008000)
        self.assertEqual(self.events.take("device-failed"), [])

    def test_smaller_area_is_one_of_split_rings(self):
        fd = os.memfd_create("area")
        self.addCleanup(os.close, fd)
        os.ftruncate(fd, 4096)
        area = Message(Req.GET_INFLIGHT_FD, 0, INFLIGHT.pack(192, 0, 1, self.SIZE), [fd])
        self.begin_early(area)
        self.memory = self.make_memory()
        self.ring = self.make_ring(self.memory, self.SIZE)
        self.backend.connect("kick", serve_random)
        self.start(0)
        self.assert_served(self.ring)


class CloudHypervisor(Session):
    """Asks for an ack of everything, and makes a new channel for each activation."""

    def test_ack_on_what_has_an_answer_is_one_answer(self):
        self.peer.negotiate()
        for request, body in ((Req.GET_FEATURES, b""), (Req.GET_PROTOCOL_FEATURES, b""),
                              (Req.GET_QUEUE_NUM, b""), (Req.GET_MAX_MEM_SLOTS, b""),
                              (Req.GET_STATUS, b""), (Req.GET_VRING_BASE, STATE.pack(0, 0))):
            with self.subTest(request):
                self.peer.send(request, body, flags=VERSION | NEED_REPLY)
                self.assertEqual(len(self.peer.expect(request)), 8)
                self.peer.ask(Req.GET_FEATURES)

    def test_new_channel_takes_the_place_of_the_old(self):
        self.peer.negotiate()
        self.backend.set_config(bytes(8))
        channels = []
        for _ in range(3):
            mine, its = socket.socketpair()
            with its:
                self.peer.do(Req.SET_BACKEND_REQ_FD, fds=[its.fileno()])
            channels.append(self.watch(mine))
        for old in channels[:-1]:
            self.assertIsNone(old.receive())
        self.share(memory := self.make_memory())
        self.make_ring(memory).attach(self.peer)
        self.backend.remove_host_notifier(self.backend.get_queue(0))
        self.assertEqual(channels[-1].receive().request, Back.VRING_HOST_NOTIFIER_MSG)


class UserModeLinux(Session):
    """In the kernel: notifies by message alone, and its user addresses are guest addresses."""

    def make_backend(self, **properties):
        wanted = Vhost.UserBackend().get_property("protocol-features") | UML
        backend = super().make_backend(protocol_features=wanted, **properties)
        backend.set_config(bytes(8))
        backend.connect("kick", serve_random)
        return backend

    def test_whole_session(self):
        peer = self.peer
        peer.send(Req.SET_OWNER)
        peer.ask(Req.GET_FEATURES)
        offered = peer.ask_u64(Req.GET_PROTOCOL_FEATURES)
        self.assertEqual(offered & UML, UML)
        peer.send(Req.SET_PROTOCOL_FEATURES, U64.pack(UML))
        mine, its = socket.socketpair()
        with its:
            peer.do(Req.SET_BACKEND_REQ_FD, fds=[its.fileno()])
        channel = self.watch(mine)
        peer.do(Req.SET_FEATURES, U64.pack(word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES)))
        memory = self.make_memory(guest=0x100000, user=0x100000)
        peer.do(Req.SET_MEM_TABLE, pack_table(memory.region), [memory.fd])
        ring = self.make_ring(memory)
        peer.do(Req.SET_VRING_KICK, U64.pack(NO_FD))
        peer.do(Req.SET_VRING_CALL, U64.pack(NO_FD))
        peer.do(Req.SET_VRING_NUM, STATE.pack(0, ring.size))
        peer.do(Req.SET_VRING_BASE, STATE.pack(0, 0))
        peer.do(Req.SET_VRING_ADDR, ring.pack_addr())
        peer.do(Req.SET_VRING_ENABLE, STATE.pack(0, 1))
        for head in range(4):
            ring.describe(head, memory.guest + ring.end, 16, WRITE)
            ring.offer(head)
            peer.do(Req.VRING_KICK, STATE.pack(0, 0))
            self.assertEqual(ring.used(), [(head, 16)])
            self.assertEqual(channel.receive().request, Back.VRING_CALL)
            channel.answer(Back.VRING_CALL, U64.pack(0))
            run_idle()
        self.assertEqual(self.events.take("refused"), [])


class RustVmm016(Session):
    """Means SHMEM by bit 21, which has become GPA_ADDRESSES."""

    def test_is_told_what_is_wrong(self):
        self.peer.negotiate(protocol=word(Proto.GPA_ADDRESSES, Proto.REPLY_ACK))
        memory = self.make_memory()
        self.assertNotEqual(
            self.peer.ack(Req.SET_MEM_TABLE, pack_table(memory.region), [memory.fd]), 0)
        self.assert_refused(Req.SET_MEM_TABLE, "GPA_ADDRESSES was negotiated")


class QemuRings(Session):
    """The order in which QEMU starts, stops and starts its rings again."""

    n_queues = 4
    FEATURES = word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES)

    def setUp(self):
        super().setUp()
        self.backend.connect("kick", serve_random)
        self.peer.negotiate()
        self.memory = self.make_memory()
        self.share(self.memory)

    def start(self, ring, index=0, base=0):
        peer = self.peer
        peer.send(Req.SET_VRING_NUM, STATE.pack(index, ring.size))
        peer.send(Req.SET_VRING_BASE, STATE.pack(index, base))
        peer.send(Req.SET_VRING_ADDR, ring.pack_addr(index))
        self.assertEqual(peer.set_fd(Req.SET_VRING_KICK, index, ring.kick_fd), 0)
        ring.kick()
        self.assertEqual(peer.set_fd(Req.SET_VRING_CALL, index, ring.call_fd), 0)
        peer.do(Req.SET_VRING_ENABLE, STATE.pack(index, 1))

    def stop(self, index=0):
        self.peer.do(Req.SET_VRING_ENABLE, STATE.pack(index, 0))
        return self.peer.ask_base(index)

    def test_kick_is_written_before_the_ring_is_enabled(self):
        ring = self.make_ring(self.memory)
        ring.describe(0, self.memory.guest + ring.end, 16, WRITE)
        ring.offer(0)
        self.start(ring)
        ring.wait_used((0, 16))

    def test_stops_and_starts_again(self):
        ring = self.make_ring(self.memory)
        base = 0
        for _ in range(3):
            self.start(ring, base=base)
            self.assert_served(ring)
            base = self.stop()
            self.peer.send(Req.SET_STATUS, U64.pack(0))
        self.assertEqual(base, 3)
        self.assertEqual(self.events.take("refused"), [])

    def test_goes_on_at_the_used_index_after_a_crash(self):
        """GET_VRING_BASE failed with the last back-end: the base is what guest memory says."""
        ring = self.make_ring(self.memory)
        ring.begin_at(5)
        ring.describe(1, self.memory.guest + ring.end, 16, WRITE)
        ring.offer(1)
        self.start(ring, base=5)
        ring.wait_used((1, 16))

    def test_features_of_the_second_pair_while_the_first_runs(self):
        ring = self.make_ring(self.memory)
        self.start(ring)
        self.peer.ask(Req.GET_FEATURES)
        self.peer.do(Req.SET_FEATURES, U64.pack(self.FEATURES))
        self.peer.ask(Req.GET_PROTOCOL_FEATURES)
        self.assert_served(ring)
        self.assertEqual(self.events.take("refused"), [])

    def test_queue_that_the_driver_never_set_up(self):
        ring = self.make_ring(self.memory)
        self.start(ring)
        for index in (1, 2, 3):
            self.peer.do(Req.SET_VRING_ENABLE, STATE.pack(index, 1))
        self.assert_served(ring)
        for index in (1, 2, 3):
            self.peer.do(Req.SET_VRING_ENABLE, STATE.pack(index, 0))
        self.stop()
        self.assertEqual(self.events.take("refused"), [])

    def test_call_descriptor_is_exchanged_when_the_guest_masks(self):
        ring = self.make_ring(self.memory)
        self.start(ring)
        other = os.eventfd(0, os.EFD_NONBLOCK)
        self.addCleanup(os.close, other)
        self.assertEqual(self.peer.set_fd(Req.SET_VRING_CALL, 0, other), 0)
        self.assert_served(ring)
        self.assertGreaterEqual(os.eventfd_read(other), 1)

    def test_every_answer_has_flags_5_and_its_exact_size(self):
        for request, body, size in ((Req.GET_FEATURES, b"", 8), (Req.GET_QUEUE_NUM, b"", 8),
                                    (Req.GET_PROTOCOL_FEATURES, b"", 8), (Req.GET_STATUS, b"", 8),
                                    (Req.GET_MAX_MEM_SLOTS, b"", 8),
                                    (Req.GET_VRING_BASE, STATE.pack(0, 0), 8),
                                    (Req.GET_INFLIGHT_FD, INFLIGHT.pack(0, 0, 1, 8), 24)):
            for flags in (VERSION, VERSION | NEED_REPLY):
                with self.subTest(request, flags=flags):
                    self.peer.send(request, body, flags=flags)
                    answer = self.peer.receive()
                    self.assertEqual((answer.request, answer.flags, len(answer.body)),
                                     (request, 5, size))
                    for fd in answer.fds:
                        os.close(fd)


class QemuBefore72(Session):
    """Uses protocol features without ever accepting bit 30: there is no SET_VRING_ENABLE."""

    def test_rings_are_enabled_at_once(self):
        peer = self.peer
        peer.ask(Req.GET_FEATURES)
        peer.ask(Req.GET_PROTOCOL_FEATURES)
        peer.send(Req.SET_PROTOCOL_FEATURES, U64.pack(word(Proto.REPLY_ACK, Proto.MQ)))
        peer.send(Req.SET_OWNER)
        peer.do(Req.SET_FEATURES, U64.pack(word(Feature.VERSION_1)))
        self.backend.connect("kick", serve_random)
        memory = self.make_memory()
        self.share(memory)
        ring = self.make_ring(memory)
        ring.attach(peer, enable=False)
        self.assert_served(ring)


class DpdkVirtioUser(Session):
    """net_virtio_user with server=1 says base 0 to a back-end that comes back."""

    def test_base_0_of_a_ring_that_was_in_use(self):
        for used in (3, 8, 100, 65535):
            with self.subTest(used=used):
                if used != 3:
                    self.backend.close()
                    self.peer = self.open_pair(self.backend)
                    self.begin(serve=None)
                else:
                    self.begin()
                ring = self.make_ring(self.memory)
                ring.begin_at(used)
                ring.attach(self.peer)
                self.assert_served(ring)
                self.assertEqual(self.peer.ask_base(0), (used + 1) % 65536)

    def test_base_of_a_packed_ring_is_its_lower_half(self):
        self.begin(word(Feature.RING_PACKED), serve=None)
        ring = self.make_ring(self.memory)
        ring.attach(self.peer, base=0x8003)
        self.assertEqual(self.peer.ask_base(0), 0x80038003)


class RustVmmOrder(Session):
    """The front-end of rust-vmm, and cloud-hypervisor with it: addresses before the base, all
    enabled at the end, the channel last; an ack is wanted of everything.
    """

    n_queues = 2

    def test_whole_session(self):
        peer = self.peer
        peer.send(Req.SET_OWNER)
        peer.ask(Req.GET_FEATURES)
        offered = peer.ask_u64(Req.GET_PROTOCOL_FEATURES)
        peer.send(Req.SET_PROTOCOL_FEATURES, U64.pack(offered & ~word(Proto.GPA_ADDRESSES)))
        # What it has to compare with is the number of virtqueues, a network card's too.
        self.assertEqual(peer.ask_u64(Req.GET_QUEUE_NUM), 2)
        peer.do(Req.SET_FEATURES, U64.pack(word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES)))
        memory = self.make_memory(size=1 << 20)
        self.share(memory)
        self.backend.connect("kick", serve_random)
        ring = self.make_ring(memory)
        for index in (0, 1):
            peer.do(Req.SET_VRING_NUM, STATE.pack(index, ring.size))
        peer.do(Req.SET_VRING_ADDR, ring.pack_addr())
        peer.do(Req.SET_VRING_BASE, STATE.pack(0, 0))
        self.assertEqual(peer.set_fd(Req.SET_VRING_CALL, 0, ring.call_fd), 0)
        self.assertEqual(peer.set_fd(Req.SET_VRING_KICK, 0, ring.kick_fd), 0)
        for index in (0, 1):
            peer.do(Req.SET_VRING_ENABLE, STATE.pack(index, 1))
        mine, its = socket.socketpair()
        with its:
            peer.do(Req.SET_BACKEND_REQ_FD, fds=[its.fileno()])
        self.watch(mine)
        self.assert_served(ring)
        self.assertEqual(self.events.take("refused"), [])


if __name__ == "__main__":
    unittest.main()
