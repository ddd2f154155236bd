# SPDX-License-Identifier: BSD-3-Clause
"""A device behind an IOMMU: our front-end and driver with an IOMMU in Python, and our back-end with
a front-end by hand that maps, moves and lies.
"""

import random
import socket
import struct
import unittest

from devices import Driving, Session, Vhost, expect_error
from gi.repository import GObject
from facing import CHANNEL, FEATURES, FacingHand
from helpers import run_idle, run_loop
from rings import PAGE, WRITE, Memory
from wire import NEED_REPLY, STATE, U64, Feature, Req, word

IOTLB = struct.Struct("=QQQBB6x")  # I/O address, size, user address, access, type
MISS, UPDATE, INVALIDATE, ACCESS_FAIL = 1, 2, 3, 4
READ, READ_WRITE = 1, 3
PLATFORM = Vhost.Feature.ACCESS_PLATFORM
OFFSET = 0x7_0000_0000
SHIFT = 0x10_0000_0000  # of the I/O addresses of what is mapped by hand


ALL = Vhost.IommuAccess.READ | Vhost.IommuAccess.WRITE


def map_page(iova):
    """Every page, at an offset."""
    page = iova // PAGE * PAGE
    return Vhost.IommuMapping.new(page, PAGE, page - OFFSET, ALL) if iova >= OFFSET else None


def map_read_only(iova):
    """A driver's rings lie in its first pages; its buffers may only be read."""
    page = iova // PAGE * PAGE
    access = Vhost.IommuAccess.READ if page & 0xFFFFFFF >= 4 * PAGE else ALL
    return Vhost.IommuMapping.new(page, PAGE, page - OFFSET, access)


class Iommu(GObject.Object, Vhost.Iommu):
    """Says what `map` says; notes what it is asked."""

    def __init__(self, map=map_page):
        super().__init__()
        self.map = map
        self.asked, self.faults = [], []

    def do_translate(self, iova, access):
        self.asked.append(iova)
        return self.map(iova)

    def do_report_fault(self, iova, access):
        self.faults.append((iova, access))


class BothEnds(Driving):
    WANTED = word(Vhost.Feature.VERSION_1, Vhost.Feature.INDIRECT_DESC, Vhost.Feature.EVENT_IDX,
                  PLATFORM)

    def begin(self, features=0, iommu=None, **properties):
        self.serve(set_up=lambda backend: backend.add_feature(PLATFORM), **properties)
        self.frontend = self.open_frontend()
        self.iommu = iommu or Iommu()
        self.frontend.set_iommu(self.iommu)
        self.driver = self.start_driver(frontend=self.frontend, iova_offset=OFFSET,
                                        wanted_features=self.WANTED | features)
        self.queue = self.driver.get_queue(0)
        self.addCleanup(self.forget)

    def forget(self):
        self.frontend = self.driver = self.queue = None

    def exchange(self, count):
        rng = random.Random(7)
        for number in range(count):
            data = rng.randbytes(rng.choice((1, 60, 5000, 20000)))
            self.assertEqual(bytes(self.queue.request(data, len(data), None)), data)
            if rng.random() < 0.3:
                first = min(self.iommu.asked) // PAGE * PAGE
                self.frontend.invalidate_iotlb(*rng.choice(
                    ((0, 0), (first, PAGE), (first, 1 << 20), (self.iommu.asked[-1], PAGE))), None)

    def check(self, features):
        self.begin(features)
        self.assertTrue(self.driver.has_feature(PLATFORM))
        self.exchange(1000)
        self.assertGreater(len(self.iommu.asked), 500)
        self.assertGreaterEqual(min(self.iommu.asked), OFFSET)
        self.driver.stop(None)

    def test_split_with_random_invalidations(self):
        self.check(0)

    def test_packed_with_random_invalidations(self):
        self.check(word(Vhost.Feature.RING_PACKED))

    def test_what_is_pushed_is_not_asked_for(self):
        self.begin()
        asked = len(self.iommu.asked)
        region = self.driver.get_memory().get_region(0)
        self.frontend.update_iotlb(
            Vhost.IommuMapping.new(region.get_guest_address() + OFFSET, region.get_size(),
                                   region.get_guest_address(), ALL), None)
        for _ in range(200):
            self.assertEqual(bytes(self.queue.request(b"x" * 9000, 9000, None)), b"x" * 9000)
        self.assertEqual(len(self.iommu.asked), asked)

    def test_without_an_iommu_nothing_is_offered(self):
        self.serve(set_up=lambda backend: backend.add_feature(PLATFORM))
        frontend = self.open_frontend()
        self.assertFalse(frontend.get_features(None) & word(PLATFORM))
        expect_error(self, Vhost.Error.BAD_STATE, frontend.invalidate_iotlb, 0, 0, None)
        frontend.set_iommu(Iommu())
        self.assertTrue(frontend.get_features(None) & word(PLATFORM))

    def test_not_offered_without_a_channel(self):
        self.serve(set_up=lambda backend: backend.add_feature(PLATFORM),
                   protocol_features=word(Vhost.UserProtocolFeature.REPLY_ACK))
        frontend = self.open_frontend()
        frontend.set_iommu(Iommu())
        self.assertFalse(frontend.get_features(None) & word(PLATFORM))

    def test_what_may_only_be_read_is_not_written(self):
        self.begin(iommu=Iommu(map_read_only))
        self.assertEqual(bytes(self.queue.request(b"read", 0, None)), b"")
        self.queue.set_timeout(300)
        expect_error(self, Vhost.Error.TIMED_OUT, self.queue.request, b"x", 8, None)
        self.assertEqual([access for _, access in self.iommu.faults], [Vhost.IommuAccess.WRITE])


class FromHand(FacingHand):
    """A back-end by hand asks our front-end."""

    def begin(self, say, iommu=None):
        self.iommu = iommu or Iommu()
        self.frontend.set_iommu(self.iommu)
        self.open_saying(say, features=FEATURES | word(PLATFORM), protocol=CHANNEL)
        self.frontend.set_features(word(PLATFORM, Feature.VERSION_1), None)
        self.driver_memory = Memory()
        self.addCleanup(self.driver_memory.close)
        region = Vhost.MemoryRegion.new(self.driver_memory.guest, self.driver_memory.size,
                                        self.driver_memory.user, self.driver_memory.fd, 0)
        self.frontend.set_memory(Vhost.Memory.new().add(region), None)

    def updates(self):
        return [IOTLB.unpack(message.body) for message in self.fake.find(Req.IOTLB_MSG)]

    def test_a_miss_is_answered_before_the_request_that_waits_for_it(self):
        acks = []

        def say(channel):
            for page in range(3):
                acks.append(channel.ack(1, IOTLB.pack(OFFSET + 0x100000 + page * PAGE + 5, 0, 0, 1,
                                                      MISS)))
        self.begin(say)
        for turn in range(3):
            self.assertEqual(self.listen(), 0)
        self.assertEqual(acks, [0] * 9)
        user = self.driver_memory.user
        self.assertEqual(self.updates(), [(OFFSET + 0x100000 + page * PAGE, PAGE,
                                           user + page * PAGE, 3, UPDATE)
                                          for page in range(3)] * 3)

    def test_h080_misses_that_lead_nowhere_are_refused(self):
        acks = []

        def say(channel):
            for message in ((5, 0, 0, 1, MISS), (OFFSET + 0xFFFF0000, 0, 0, 1, MISS),
                            (OFFSET, 0, 0, 0, MISS), (OFFSET, 0, 0, 9, MISS),
                            (OFFSET, 0, 0, 1, UPDATE), (OFFSET, 0, 0, 1, INVALIDATE),
                            ((1 << 64) - 1, 0, 0, 3, MISS)):
                acks.append(channel.ack(1, IOTLB.pack(*message)))
            acks.append(channel.ack(1, IOTLB.pack(OFFSET, 0, 0, 2, ACCESS_FAIL)))
        self.begin(say)
        self.assertEqual(self.listen(), 0)
        self.assertEqual(acks, [1] * 7 + [0])
        self.assertEqual(self.updates(), [])
        self.assertEqual(self.iommu.faults, [(OFFSET, Vhost.IommuAccess.WRITE)])

    def test_h080_misses_without_the_feature_are_refused(self):
        acks = []
        self.open_saying(lambda channel: acks.append(
            channel.ack(1, IOTLB.pack(OFFSET, 0, 0, 1, MISS))))
        self.assertEqual(self.listen(), 0)
        self.assertEqual(acks, [1])

    def test_an_iommu_that_lies_is_a_refusal(self):
        acks, lies = [], []

        def say(channel):
            for lie in ((0, PAGE, 0x100000), (OFFSET, 0, 0x100000),
                        ((1 << 64) - PAGE, 2 * PAGE, 0x100000), (OFFSET, PAGE, 0)):
                lies.append(Vhost.IommuMapping.new(*lie, ALL))
                acks.append(channel.ack(1, IOTLB.pack(OFFSET, 0, 0, 1, MISS)))
        self.begin(say, Iommu(lambda iova: lies[-1]))
        self.assertEqual(self.listen(), 0)
        self.assertEqual(acks, [1] * 4)


class Hold:
    """Keeps what it pops."""

    def __init__(self):
        self.chains = []

    def serve(self, backend, queue):
        while (chain := queue.pop()) is not None:
            self.chains.append(chain)

    def finish(self, queue, data=b"done"):
        for chain in self.chains:
            queue.push(chain, chain.write(0, data))
        self.chains.clear()
        queue.notify()


class ByHand(Session):
    """Pages of I/O addresses are where `self.pages` says, by number; rings lie where they lie."""

    def setUp(self):
        super().setUp()
        self.backend.add_feature(PLATFORM)
        self.pages = {}
        self.misses = []
        self.begin(word(PLATFORM), serve=None)
        mine, its = socket.socketpair()
        self.channel = self.watch(mine)
        with its:
            self.peer.do(Req.SET_BACKEND_REQ_FD, fds=[its.fileno()])

    def iotlb(self, kind, iova=0, size=PAGE, user=0, access=READ_WRITE):
        return self.peer.ack(Req.IOTLB_MSG, IOTLB.pack(iova, size, user, access, kind))

    def map(self, number, to=None, access=READ_WRITE):
        self.pages[number] = (number if to is None else to, access)

    def answer(self):
        """Takes each message that is there from the channel; maps what is mapped."""
        run_idle()
        while self.is_waiting():
            message = self.channel.receive()
            iova, size, user, access, kind = IOTLB.unpack(message.body)
            self.assertEqual((size, user), (0, 0))
            self.misses.append((iova - SHIFT, access, kind))
            page = self.pages.get((iova - SHIFT) // PAGE)
            if page and kind == MISS:
                self.assertEqual(0, self.iotlb(UPDATE, iova // PAGE * PAGE, PAGE,
                                               self.memory.user + page[0] * PAGE, page[1]))
            if message.flags & NEED_REPLY:
                self.channel.answer(1, U64.pack(0 if page else 1))
            run_idle()

    def is_waiting(self):
        try:
            return bool(self.channel.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def answer_until(self, condition):
        def look():
            self.answer()
            return condition()
        run_loop(look)

    def attach(self, size=8):
        ring = self.make_ring(self.memory, size)
        self.ring = ring
        ring.memory_user, self.memory.user = self.memory.user, SHIFT  # the ring is at I/O addresses
        for request, body in ((Req.SET_VRING_NUM, STATE.pack(0, size)),
                              (Req.SET_VRING_BASE, STATE.pack(0, 0)),
                              (Req.SET_VRING_ADDR, ring.pack_addr(0))):
            self.peer.do(request, body)
        self.memory.user = ring.memory_user
        ring.give_fds(self.peer, 0)
        self.peer.do(Req.SET_VRING_ENABLE, STATE.pack(0, 1))
        return ring

    def offer(self, page, size=64, flags=WRITE, head=0):
        self.ring.describe(head, SHIFT + page * PAGE, size, flags)
        self.ring.offer(head)
        self.ring.kick()

    def start(self, hold=None):
        self.hold = hold or Hold()
        self.backend.connect("kick", self.hold.serve)
        self.map(0)
        self.attach()
        self.answer_until(lambda: "queue-started" in self.events.names())


class Misses(ByHand):
    def test_a_ring_starts_when_it_is_within_reach(self):
        self.attach()
        run_idle()
        self.assertNotIn("queue-started", self.events.names())
        self.map(0)
        self.answer_until(lambda: "queue-started" in self.events.names())
        self.assertEqual({access for _, access, _ in self.misses}, {READ, 2})

    def test_a_chain_waits_for_its_translation_and_nothing_else_does(self):
        self.start()
        self.misses.clear()
        self.offer(5)
        self.offer(0, head=1)
        self.answer()
        self.assertEqual(self.misses, [(5 * PAGE, 2, MISS)])
        self.assertEqual(self.hold.chains, [])
        for _ in range(50):
            self.ring.kick()
            self.answer()
        self.assertEqual(len(self.misses), 1)  # no storm
        self.assertEqual(self.iotlb(UPDATE, SHIFT + 5 * PAGE, PAGE, self.memory.user + 7 * PAGE), 0)
        run_loop(lambda: len(self.hold.chains) == 2)
        self.hold.finish(self.backend.get_queue(0))
        self.ring.wait_used((0, 4), (1, 4))
        self.assertEqual(self.memory.read(7 * PAGE, 4), b"done")

    def test_a_chain_over_pages_that_lie_apart(self):
        self.start()
        for page, place in ((16, 40), (17, 30), (18, 20)):
            self.map(page, place)
        self.offer(16, 3 * PAGE)
        self.answer_until(lambda: self.hold.chains)
        data = bytes(range(256)) * 48
        self.hold.finish(self.backend.get_queue(0), data)
        self.ring.wait_used((0, len(data)))
        for number, place in enumerate((40, 30, 20)):
            self.assertEqual(self.memory.read(place * PAGE, PAGE),
                             data[number * PAGE:(number + 1) * PAGE])

    def test_an_indirect_table_is_at_an_io_address_too(self):
        self.peer.send(Req.SET_FEATURES, U64.pack(word(
            PLATFORM, Vhost.Feature.INDIRECT_DESC, Feature.VERSION_1, Feature.PROTOCOL_FEATURES)))
        self.start()
        self.map(9, 33)
        self.map(10, 34)
        self.ring.describe(0, SHIFT + 10 * PAGE, 64, WRITE, table=33 * PAGE)
        self.offer(9, 16, flags=4)
        self.answer_until(lambda: self.hold.chains)
        self.hold.finish(self.backend.get_queue(0))
        self.ring.wait_used((0, 4))
        self.assertEqual(self.memory.read(34 * PAGE, 4), b"done")

    def test_what_is_never_mapped_keeps_nobody_waiting(self):
        self.start()
        self.offer(5)
        self.answer()
        self.assertEqual(self.peer.ask_base(0), 0)


class Permissions(ByHand):
    def test_read_only_memory_is_not_written(self):
        self.start()
        self.map(5, access=READ)
        self.offer(5)
        self.answer_until(lambda: "device-failed" in self.events.names())
        self.answer()
        self.assertEqual([kind for *_, kind in self.misses][-1], ACCESS_FAIL)
        (error,), = self.events.take("device-failed")
        self.assertIn("IOMMU", error.message)
        self.assertEqual(self.hold.chains, [])

    def test_read_only_memory_is_read(self):
        self.start()
        self.map(5, access=READ)
        self.memory.write(5 * PAGE, b"secret")
        self.offer(5, 6, flags=0)
        self.answer_until(lambda: self.hold.chains)
        self.assertEqual(bytes(self.hold.chains[0].read(0, 6)), b"secret")


class Invalidations(ByHand):
    def send_invalidate(self, page, count=1):
        body = IOTLB.pack(SHIFT + page * PAGE, count * PAGE, 0, 0, INVALIDATE)
        self.peer.send(Req.IOTLB_MSG, body, flags=1 | NEED_REPLY)

    def is_acked(self):
        try:
            return bool(self.peer.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except BlockingIOError:
            return False

    def hold_one(self, page=5):
        self.start()
        self.map(page)
        self.offer(page)
        self.answer_until(lambda: self.hold.chains)

    def test_is_answered_when_the_buffer_is_done(self):
        self.hold_one()
        self.send_invalidate(5)
        run_idle()
        self.assertFalse(self.is_acked())
        self.hold.finish(self.backend.get_queue(0))
        run_loop(self.is_acked)
        self.assertEqual(U64.unpack(self.peer.expect(Req.IOTLB_MSG)), (0,))
        self.assertEqual(self.memory.read(5 * PAGE, 4), b"done")

    def test_of_another_page_does_not_wait(self):
        self.hold_one()
        self.map(6)
        self.assertEqual(self.iotlb(UPDATE, SHIFT + 6 * PAGE, PAGE, self.memory.user), 0)
        self.assertEqual(self.iotlb(INVALIDATE, SHIFT + 6 * PAGE), 0)
        self.assertTrue(self.hold.chains[0].is_alive())

    def test_takes_the_buffer_away_at_the_deadline(self):
        self.backend.props.drain_timeout = 50
        self.hold_one()
        self.send_invalidate(5)
        run_loop(self.is_acked)
        self.peer.expect(Req.IOTLB_MSG)
        chain, = self.hold.chains
        self.assertEqual((chain.write(0, b"late"), chain.get_writable_size()), (0, 0))
        self.assertEqual(self.memory.read(5 * PAGE, 4), bytes(4))
        self.hold.finish(self.backend.get_queue(0))
        self.ring.wait_used((0, 0))

    def test_of_the_ring_holds_completions_back(self):
        self.hold_one()
        self.assertEqual(self.iotlb(INVALIDATE, SHIFT), 0)
        self.hold.finish(self.backend.get_queue(0))
        self.assertEqual(self.ring.used(), [])
        self.answer_until(lambda: self.ring.used_idx == 1)
        self.assertEqual(self.ring.used(), [(0, 4)])

    def test_forgets_what_was_asked(self):
        self.start()
        self.misses.clear()
        self.offer(5)
        self.answer()
        self.assertEqual(self.iotlb(INVALIDATE, SHIFT + 5 * PAGE), 0)
        self.ring.kick()
        self.answer()
        self.assertEqual([page for page, *_ in self.misses], [5 * PAGE] * 2)

    def test_no_stale_access_while_pages_move(self):
        """Each page that is taken away is filled at once, and never changes again."""
        rng = random.Random(3)
        self.start()
        free = list(range(8, 256))
        rng.shuffle(free)
        poisoned = {}
        for number in range(16, 24):
            self.map(number, free.pop())
        for turn in range(600):
            page = rng.randrange(16, 24)
            self.offer(page, rng.randrange(4, PAGE))
            self.answer_until(lambda: self.hold.chains)
            moved = rng.randrange(16, 24)
            old = self.pages[moved][0]
            self.map(moved, free.pop(0))
            poisoned.pop(self.pages[moved][0], None)
            if rng.random() < 0.5:  # while it is held
                self.send_invalidate(moved)
                run_idle()
                self.assertEqual(self.is_acked(), moved != page)
                self.hold.finish(self.backend.get_queue(0), turn.to_bytes(4, "little"))
                run_loop(self.is_acked)
                self.peer.expect(Req.IOTLB_MSG)
            else:
                self.hold.finish(self.backend.get_queue(0), turn.to_bytes(4, "little"))
                self.assertEqual(self.iotlb(INVALIDATE, SHIFT + moved * PAGE), 0)
            self.assertEqual(self.ring.used(), [(0, 4)])
            free.append(old)
            poisoned[old] = rng.randbytes(PAGE)
            self.memory.write(old * PAGE, poisoned[old])
        for place, content in poisoned.items():
            self.assertEqual(self.memory.read(place * PAGE, PAGE), content)


class Hostile(ByHand):
    """H080."""

    def assert_all_refused(self, *messages):
        for arguments in messages:
            with self.subTest(arguments):
                self.assertNotEqual(self.iotlb(*arguments), 0)

    def test_h080_ranges_that_are_none(self):
        self.start()
        user, top = self.memory.user, (1 << 64) - 1
        self.assert_all_refused(
            (UPDATE, SHIFT, 0, user), (UPDATE, top, 2, user), (UPDATE, 1, top, user),
            (UPDATE, SHIFT, PAGE, user - 1), (UPDATE, SHIFT, self.memory.size + 1, user),
            (UPDATE, SHIFT, PAGE, user, 0), (UPDATE, SHIFT, PAGE, user, 4),
            (INVALIDATE, SHIFT, 0), (INVALIDATE, top, 2), (MISS, SHIFT), (ACCESS_FAIL, SHIFT),
            (5, SHIFT), (0, SHIFT), (255, SHIFT))
        self.offer(0)
        self.answer_until(lambda: self.hold.chains)

    def test_h080_more_updates_than_there_is_room_for(self):
        """What is forgotten is asked for again, the ring too."""
        self.start()
        self.map(5)
        for number in range(5000):
            self.assertEqual(self.iotlb(UPDATE, SHIFT + (1 << 32) + 2 * number * PAGE, PAGE,
                                        self.memory.user + number % 256 * PAGE), 0)
        self.offer(5)
        self.answer_until(lambda: self.hold.chains)
        self.hold.finish(self.backend.get_queue(0))
        self.answer_until(lambda: self.ring.used_idx == 1)

    def test_h080_invalidation_of_a_page_that_was_forgotten_while_held(self):
        self.start()
        self.map(5)
        self.offer(5)
        self.answer_until(lambda: self.hold.chains)
        for number in range(2100):
            self.iotlb(UPDATE, SHIFT + (1 << 32) + 2 * number * PAGE, PAGE, self.memory.user)
        self.peer.send(Req.IOTLB_MSG, IOTLB.pack(SHIFT + 5 * PAGE, PAGE, 0, 0, INVALIDATE),
                       flags=1 | NEED_REPLY)
        run_idle()
        with self.assertRaises(BlockingIOError):
            self.peer.sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        self.hold.finish(self.backend.get_queue(0))
        self.assertEqual(U64.unpack(self.peer.expect(Req.IOTLB_MSG)), (0,))

    def test_h080_refused_before_the_feature(self):
        backend = self.make_backend()
        backend.add_feature(PLATFORM)
        peer = self.open_pair(backend)
        peer.negotiate()
        self.assertNotEqual(peer.ack(Req.IOTLB_MSG, IOTLB.pack(0, PAGE, 0, 3, UPDATE)), 0)

    def test_h080_a_channel_that_is_mute(self):
        """Questions are bounded, and nothing waits for them."""
        self.start()
        for number in range(500):
            self.offer(32 + number, head=0)
            run_idle()
            self.assertEqual(self.iotlb(INVALIDATE, 0, 0), 0)
        self.assertEqual(self.backend.is_connected(), True)


if __name__ == "__main__":
    unittest.main()
