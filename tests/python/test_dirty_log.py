# SPDX-License-Identifier: BSD-3-Clause
"""Pages that the device wrote are marked while a guest migrates. A front-end drives a back-end in
another thread, on rings of both formats; what changed in memory is compared with what is marked.
"""

import mmap
import os
import random
import socket
import threading
import unittest

from devices import Driving, Session, Vhost, expect_error
from helpers import run_loop, wait_until
from packed_rings import PackedRing
from rings import NEXT, PAGE, WRITE, Memory, Ring
from wire import NEED_REPLY, U64, FakeBackend, Feature, Proto, Req, word

LOG_ALL = word(Feature.LOG_ALL)
LOGGED = 1  # flag of a ring
SIZE = 512  # of rings, which then lie in several pages
FIRST = SIZE - 5  # entry; the end of the ring comes soon
MOST = 12  # chains at a time
AREA = 5 * PAGE  # of a chain's buffers
ERROR = Vhost.Error


class Log:
    """A dirty log in a file, with bytes before and behind it that are nobody's."""

    def __init__(self, size, offset=0):
        self.size, self.offset = size, offset
        self.fd = os.memfd_create("log")
        os.ftruncate(self.fd, offset + size + PAGE)
        self.map = mmap.mmap(self.fd, offset + size + PAGE)

    def close(self):
        self.map.close()
        os.close(self.fd)

    def pages(self):
        """The numbers of all pages that are marked."""
        content = self.map[self.offset:self.offset + self.size]
        return {8 * i + bit for i, byte in enumerate(content) if byte
                for bit in range(8) if byte >> bit & 1}

    def take(self):
        pages = self.pages()
        self.map[self.offset:self.offset + self.size] = bytes(self.size)
        return pages

    def is_clean_outside(self):
        return not any(self.map[:self.offset]) and not any(self.map[self.offset + self.size:])


class SplitRing(Ring):
    """With chains of up to four descriptors, offered as those of a packed ring."""

    _offered = 0

    def offer(self, *buffers):
        head = 4 * (self._offered % (self.size // 4))
        self._offered += 1
        for i, (address, length, flags) in enumerate(buffers):
            more = NEXT if i + 1 < len(buffers) else 0
            self.describe(head + i, address, length, flags | more, head + i + 1)
        super().offer(head)
        return head


def serve_at_random(backend, queue):
    """Writes all, a part, nothing, or something behind a gap, and reports what it likes."""
    chance = random.Random(queue.props.chains)
    while (chain := queue.pop()) is not None:
        room = chain.get_writable_size()
        kind = chance.randrange(4)
        if kind == 0:
            chain.write(0, chance.randbytes(room))
        elif kind == 1:
            chain.write(0, chance.randbytes(chance.randrange(room)))
        elif kind == 2:
            chain.write(room - 1, chance.randbytes(1))
        queue.push(chain, chance.choice((0, room)))
    queue.notify()


class Migrating(Driving):
    """A guest with two regions of memory, a ring in the lower one, and a log."""

    ring_type = SplitRing
    first_base = FIRST
    features = word(Feature.VERSION_1, Feature.INDIRECT_DESC)

    def set_up(self, serve=serve_at_random, reconnect_interval=0, **options):
        self.low = Memory(1 << 20, 0x100000, 0x7F0000000000)
        self.high = Memory(1 << 20, 0x1000000, 0x7E0000000000)
        self.memories = (self.low, self.high)
        self.ring = self.ring_type(self.low, SIZE, 3 * PAGE)
        self.ring.begin_at(FIRST)
        for each in (*self.memories, self.ring):
            self.addCleanup(each.close)
        self.serve(kick=serve, **options)
        self.frontend = self.open_frontend(reconnect_interval=reconnect_interval)
        self.start()
        self.log = self.give_log()

    def start(self, features=0, flags=0, area=None):
        """`area` does something about an inflight area."""
        table = Vhost.Memory.new()
        for memory in self.memories:
            table = table.add(Vhost.MemoryRegion.new(*memory.region[:3], memory.fd, 0))
        self.frontend.set_features(self.features | features, None)
        self.frontend.set_memory(table, None)
        if area:
            area()
        self.frontend.set_vring_num(0, SIZE, None)
        self.frontend.set_vring_base(0, self.first_base, None)
        self.set_ring(flags)
        self.frontend.set_vring_call(0, self.ring.call_fd, None)
        self.frontend.set_vring_kick(0, self.ring.kick_fd, None)
        self.frontend.set_vring_enable(0, True, None)

    def set_ring(self, flags, log=None):
        desc, avail, used = (self.low.guest + offset for offset in
                             (self.ring.desc, self.ring.avail, self.ring.used_ring))
        self.frontend.set_vring_addr(0, flags, desc, avail, used, used if log is None else log,
                                     None)

    def give_log(self, size=(0x1000000 + (1 << 20)) // PAGE // 8, offset=0):
        log = Log(size, offset)
        self.addCleanup(log.close)
        self.frontend.set_log_base(log.fd, size, offset, None)
        return log

    def switch_on(self):
        self.frontend.set_features(self.features | LOG_ALL, None)
        self.set_ring(LOGGED)

    def switch_off(self):
        self.frontend.set_features(self.features, None)
        self.set_ring(0)

    # --- the guest

    def offer_some(self, chance):
        """Chains of a byte to read and one to three buffers to write, anywhere; how many."""
        n = chance.randrange(1, MOST)
        for i in range(n):
            memory = chance.choice(self.memories)
            place = self.ring.end + i * AREA
            buffers = [(self.low.guest, 1, 0)]
            for _ in range(chance.randrange(1, 4)):
                size = chance.choice((1, 7, 512, PAGE, PAGE + 1))
                start = place + chance.randrange(PAGE // 4)
                buffers.append((memory.guest + start, size, WRITE))
                place = start + size
            self.ring.offer(*buffers)
        return n

    def serve_round(self, n):
        """Kicks, and waits until the back-end has gone back to its loop."""
        found = []
        self.ring.kick()
        wait_until(lambda: found.extend(self.ring.used()) or len(found) >= n, "end of the round")
        self.settle()
        return found

    def settle(self):
        for _ in range(3):
            self.served.call(lambda backend: None)

    def snapshot(self):
        return {memory.guest: memory.map[:] for memory in self.memories}

    def find_changed(self, before):
        return {(memory.guest + start) // PAGE for memory in self.memories
                for start in range(0, memory.size, PAGE)
                if memory.map[start:start + PAGE] != before[memory.guest][start:start + PAGE]}

    def ring_pages(self):
        first = (self.low.guest + self.ring.desc) // PAGE
        return set(range(first, (self.low.guest + self.ring.end) // PAGE))

    def all_pages(self):
        return {page for memory in self.memories
                for page in range(memory.guest // PAGE, (memory.guest + memory.size) // PAGE)}


class Split(Migrating):
    def test_every_page_that_changed_is_marked(self):
        self.set_up()
        self.switch_on()
        self.log.take()
        chance, n_changed = random.Random(1), 0
        for _ in range(60):
            n = self.offer_some(chance)
            before = self.snapshot()
            self.serve_round(n)
            changed, marked = self.find_changed(before), self.log.take()
            self.assertEqual(changed - marked, set(), "changed and not marked")
            self.assertEqual(marked - self.all_pages(), set())
            n_changed += len(changed - self.ring_pages())
        self.assertGreater(n_changed, 200)
        self.assertEqual(self.served.call(lambda backend: backend.props.unlogged_pages), 0)
        self.assertTrue(self.log.is_clean_outside())

    def test_nothing_is_marked_that_was_not_written(self):
        self.set_up(serve=self.serve_one_byte)
        self.switch_on()
        self.log.take()
        self.ring.offer((self.low.guest, 1, 0), (self.high.guest + 10 * PAGE - 1, 3 * PAGE, WRITE))
        self.serve_round(1)
        first = (self.high.guest + 10 * PAGE - 1) // PAGE
        self.assertEqual(self.log.take() - self.ring_pages(), {first})

    @staticmethod
    def serve_one_byte(backend, queue):
        while (chain := queue.pop()) is not None:
            queue.push(chain, chain.write(0, b"x"))
        queue.notify()

    def test_log_is_exchanged_while_the_queue_runs(self):
        self.set_up()
        self.switch_on()
        chance = random.Random(2)
        for round_number in range(20):
            old, self.log = self.log, self.give_log(offset=round_number * 100)
            self.settle()
            old.take()
            n = self.offer_some(chance)
            before = self.snapshot()
            self.serve_round(n)
            self.assertEqual(self.find_changed(before) - self.log.pages(), set())
            self.assertEqual(old.pages(), set(), "the old log was touched")

    def test_switched_on_and_off_live(self):
        self.set_up()
        chance = random.Random(3)
        for on in (False, True, False, True):
            self.switch_on() if on else self.switch_off()
            self.settle()
            self.log.take()
            n = self.offer_some(chance)
            before = self.snapshot()
            self.serve_round(n)
            changed, marked = self.find_changed(before), self.log.take()
            self.assertTrue(marked >= changed if on else marked == set())
        queue = self.served.call(lambda backend: backend.get_queue(0))
        self.assertTrue(queue.is_started() and queue.is_enabled())

    def test_ring_is_logged_when_its_flag_says_so(self):
        self.set_up()
        self.frontend.set_features(self.features | LOG_ALL, None)
        for flags in (0, LOGGED, 0):
            self.set_ring(flags)
            self.settle()
            self.log.take()
            n = self.offer_some(random.Random(4))
            before = self.snapshot()
            self.serve_round(n)
            changed, marked = self.find_changed(before), self.log.take()
            self.assertTrue(changed & self.ring_pages())
            self.assertEqual(changed - self.ring_pages() - marked, set())
            self.assertEqual(bool(marked & self.ring_pages()), bool(flags))

    def test_ring_is_logged_where_its_address_says(self):
        self.set_up()
        self.switch_on()
        elsewhere = 0x1000  # in no region
        self.set_ring(LOGGED, elsewhere)
        self.settle()
        self.log.take()
        self.serve_round(self.offer_some(random.Random(5)))
        self.assertIn(elsewhere // PAGE, self.log.take())

    def test_chains_in_flight_over_all_changes(self):
        """Written before there was a log, given back after: the pages are in the newest log."""
        held = []
        self.set_up(serve=lambda backend, queue: self.hold(queue, held))
        for i in range(3):
            self.ring.offer((self.high.guest + i * PAGE, PAGE, WRITE))
        self.ring.kick()
        wait_until(lambda: len(held) == 3, "chains")
        self.switch_on()
        self.served.call(lambda backend: backend.get_queue(0).push(held[0], PAGE))
        first = self.high.guest // PAGE
        self.assertIn(first, self.log.take())
        newer = self.give_log()
        self.served.call(lambda backend: backend.get_queue(0).unpop(held[2]))
        self.served.call(lambda backend: backend.get_queue(0).push(held[1], 0))
        self.assertTrue({first + 1, first + 2} <= newer.take())
        self.assertNotIn(first + 1, self.log.pages())

    def test_chains_that_are_given_up_at_a_stop(self):
        held = []
        self.set_up(serve=lambda backend, queue: self.hold(queue, held), drain_timeout=50)
        self.switch_on()
        self.ring.offer((self.high.guest, 3 * PAGE, WRITE))
        self.ring.kick()
        wait_until(lambda: len(held) == 1, "chain")
        self.log.take()
        self.frontend.get_vring_base(0, None)
        first = self.high.guest // PAGE
        self.assertTrue({first, first + 1, first + 2} <= self.log.take())

    @staticmethod
    def hold(queue, held, most=None):
        """Fills all chains up to so many bytes, and keeps them."""
        while (chain := queue.pop()) is not None:
            chain.fill(0, 0xAA, chain.get_writable_size() if most is None else most)
            held.append(chain)

    def test_everything_changes_under_load(self):
        """Switches and exchanges the log as fast as it can while the guest drives on."""
        self.set_up()
        over = threading.Event()
        failed, self.n_driven = [], 0
        self.served.call(lambda backend: backend.connect("device-failed",
                                                         lambda _, error: failed.append(error)))
        driver = threading.Thread(target=self.drive, args=(over,))
        driver.start()
        try:
            logs = [self.log] + [self.give_log(offset=i * PAGE) for i in range(3)]
            for i in range(5000):
                log = logs[i % len(logs)]
                self.frontend.set_log_base(log.fd, log.size, log.offset, None)
                self.switch_on()
                self.switch_off()
                if i >= 100 and self.n_driven >= 6:
                    break
        finally:
            over.set()
            driver.join()
        self.assertGreaterEqual(self.n_driven, 6)
        self.assertEqual(failed, [])
        for log in logs:
            self.assertTrue(log.is_clean_outside())

    def drive(self, over):
        chance = random.Random(6)
        while not over.is_set():
            self.serve_round(self.offer_some(chance))
            self.n_driven += 1

    def test_log_descriptor_is_signalled(self):
        self.set_up()
        self.switch_on()
        told = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.addCleanup(os.close, told)
        self.frontend.set_log_fd(told, None)
        self.settle()
        os.eventfd_write(told, 1)
        os.eventfd_read(told)
        self.serve_round(self.offer_some(random.Random(7)))
        self.assertGreater(os.eventfd_read(told), 0)
        self.switch_off()
        self.settle()
        self.serve_round(self.offer_some(random.Random(8)))
        self.assertRaises(BlockingIOError, os.eventfd_read, told)

    def test_what_a_back_end_left_in_flight(self):
        """It filled buffers and went around the end of the ring, and was gone before anything was
        marked. The next one recovers the chains and writes nothing: their pages are marked, and all
        of the ring that either changed.
        """
        held, most = [], 2 * PAGE
        self.set_up(serve=lambda backend, queue: self.hold(queue, held, most))
        self.addCleanup(self.frontend.drop_inflight)
        self.frontend.get_vring_base(0, None)
        self.start(area=lambda: self.frontend.request_inflight(1, SIZE, None))
        self.switch_on()
        for i in range(10):
            self.ring.offer((self.low.guest, 1, 0),
                            (self.high.guest + 2 * i * PAGE, 2 * PAGE, WRITE))
        before = self.snapshot()
        self.ring.kick()
        wait_until(lambda: len(held) == 10, "chains")
        self.served.call(lambda backend: [backend.get_queue(0).push(chain, PAGE)
                                          for chain in held[2:8]])
        self.frontend.close()
        self.log.take()
        held.clear()
        most = 0
        self.frontend.open(self.socket, None)
        self.log = self.give_log()
        self.start(LOG_ALL, LOGGED, lambda: self.frontend.give_inflight(None))
        wait_until(lambda: len(held) == 4, "recovered chains")
        self.served.call(lambda backend: [backend.get_queue(0).push(chain, 0) for chain in held])
        first = self.high.guest // PAGE
        marked = self.log.take()
        self.assertEqual(self.find_changed(before) & self.ring_pages() - marked, set())
        self.assertTrue({first + page for page in (0, 1, 2, 3, 16, 17, 18, 19)} <= marked)
        self.assertEqual(len(self.ring.used()), 10)

    def test_what_is_written_beside_the_chains(self):
        self.set_up()
        page = self.high.guest // PAGE + 7
        self.served.call(lambda backend: backend.mark_dirty(page * PAGE, 1))
        self.assertEqual(self.log.take(), set())
        self.frontend.set_features(self.features | LOG_ALL, None)
        self.served.call(lambda backend: backend.mark_dirty(page * PAGE + PAGE - 1, 2))
        self.assertEqual(self.log.take(), {page, page + 1})


class SplitWithEventIndex(Split):
    features = Split.features | word(Feature.EVENT_IDX)


class Packed(Split):
    ring_type = PackedRing
    first_base = (FIRST | 0x8000) * 0x10001
    features = Split.features | word(Feature.RING_PACKED)


class PackedWithEventIndex(Split):
    ring_type = PackedRing
    first_base = (FIRST | 0x8000) * 0x10001
    features = Split.features | word(Feature.RING_PACKED, Feature.EVENT_IDX)


class Reconnecting(Migrating):
    def test_the_next_back_end_has_the_log(self):
        told = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.addCleanup(os.close, told)
        self.set_up(reconnect_interval=5)
        self.frontend.set_log_fd(told, None)
        self.switch_on()
        self.served.stop()
        self.serve(kick=serve_at_random)
        self.frontend.get_features(None)
        self.settle()
        self.log.take()
        os.eventfd_read(told)
        n = self.offer_some(random.Random(9))
        before = self.snapshot()
        self.serve_round(n)
        self.assertEqual(self.find_changed(before) - self.log.take(), set())
        self.assertGreater(os.eventfd_read(told), 0)


class Hostile(Session):
    """A log that cannot be one, or stops being one."""

    def setUp(self):
        super().setUp()
        self.begin_ring(LOG_ALL)

    def make_log(self, *args):
        log = Log(*args)
        self.addCleanup(log.close)
        return log

    def ask_log(self, fd, size, offset):
        """0, or what the refusal says."""
        body = U64.pack(size) + U64.pack(offset)
        self.peer.send(Req.SET_LOG_BASE, body, [fd], 1 | NEED_REPLY)
        answer = self.peer.expect(Req.SET_LOG_BASE)
        return 0 if answer == body else U64.unpack(answer)[0]

    def test_H077_sizes_and_offsets_that_cannot_be(self):
        log = self.make_log(PAGE)
        self.assertEqual(self.ask_log(log.fd, log.size, 0), 0)
        top = (1 << 64) - 1
        for size, offset in ((0, 0), (top, 0), (top, top), (PAGE, top), (PAGE, top - PAGE + 1),
                             (PAGE, 1 << 63), (1 << 63, 1 << 63), (PAGE, 1 << 40),
                             (2 * PAGE + 1, 0), (PAGE, PAGE + 1), (1, 2 * PAGE)):
            with self.subTest(f"{size:#x} at {offset:#x}"):
                self.assertEqual(self.ask_log(log.fd, size, offset), 1)
                self.assert_refused(Req.SET_LOG_BASE, "log: ")
        self.assert_still_logged(log)

    def test_H077_descriptors_that_are_no_log(self):
        log = self.make_log(PAGE)
        self.assertEqual(self.ask_log(log.fd, log.size, 0), 0)
        with open("/dev/zero", "r+b", 0) as zero, open(self.path("x"), "w+b", 0) as empty:
            for fd in (zero.fileno(), empty.fileno(), self.peer.sock.fileno(), self.ring.kick_fd):
                self.assertEqual(self.ask_log(fd, PAGE, 0), 1)
                self.assert_refused(Req.SET_LOG_BASE, "log: ")
        self.assert_still_logged(log)

    def assert_still_logged(self, log):
        self.assert_served(self.ring)
        self.assertEqual(log.pages(), {(self.memory.guest + self.ring.end) // PAGE})

    def test_H078_log_in_the_middle_of_a_file(self):
        for offset in (PAGE, 3 * PAGE, 8, 1000, PAGE + 1):
            with self.subTest(offset):
                log = self.make_log(PAGE, offset)
                self.assertEqual(self.ask_log(log.fd, log.size, offset), 0)
                self.assert_still_logged(log)
                self.assertTrue(log.is_clean_outside())

    def test_H079_log_that_is_smaller_than_memory(self):
        page = (self.memory.guest + self.ring.end) // PAGE
        for size in (page // 8, page // 8 + 1, 1):
            with self.subTest(size):
                log = self.make_log(size)
                before = self.backend.props.unlogged_pages
                self.assertEqual(self.ask_log(log.fd, size, 0), 0)
                self.assert_served(self.ring)
                covered = page < 8 * size
                self.assertEqual(log.pages(), {page} if covered else set())
                self.assertEqual(self.backend.props.unlogged_pages - before, 0 if covered else 1)
                self.assertTrue(log.is_clean_outside())

    def test_H079_ring_address_beyond_the_log(self):
        log = self.make_log(PAGE)
        self.assertEqual(self.ask_log(log.fd, log.size, 0), 0)
        addr = bytearray(self.ring.pack_addr(flags=LOGGED))
        for address in (1 << 40, (1 << 64) - 4, (1 << 64) - PAGE):
            addr[-8:] = U64.pack(address)
            self.peer.do(Req.SET_VRING_ADDR, bytes(addr))
            self.assert_served(self.ring)
            self.assertTrue(log.is_clean_outside())
        self.assertGreater(self.backend.props.unlogged_pages, 0)
        self.assertEqual(self.events.take("device-failed"), [])

    def test_H079_log_that_is_cut_short_while_it_is_used(self):
        log = self.make_log(PAGE)
        self.assertEqual(self.ask_log(log.fd, log.size, 0), 0)
        self.assert_served(self.ring)
        log.map.close()
        os.ftruncate(log.fd, 0)
        for head in range(3):
            self.assert_served(self.ring, head=head)
        again = self.make_log(PAGE)
        self.assertEqual(self.ask_log(again.fd, again.size, 0), 0)
        self.assert_still_logged(again)

    def test_failure_that_nobody_asked_about_ends_the_session(self):
        log = self.make_log(PAGE)
        self.peer.send(Req.SET_LOG_BASE, U64.pack(1 << 40) + U64.pack(0), [log.fd])
        self.assert_refused(Req.SET_LOG_BASE, "log: ")
        self.assertIsNone(self.peer.receive())

    def test_log_descriptor_that_is_none(self):
        with open("/dev/zero", "rb") as zero:
            self.assertEqual(self.peer.ack(Req.SET_LOG_FD, b"", [zero.fileno()]), 1)
        self.assert_refused(Req.SET_LOG_FD)
        self.assertEqual(self.peer.ack(Req.SET_LOG_FD, b""), 1)
        self.assert_served(self.ring)


class Offered(Session):
    def test_logging_goes_with_a_log_in_shared_memory(self):
        self.assertTrue(self.peer.ask_u64(Req.GET_FEATURES) & LOG_ALL)
        self.assertTrue(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES) & word(Proto.LOG_SHMFD))
        backend = self.make_backend(protocol_features=word(Proto.REPLY_ACK))
        peer = self.open_pair(backend)
        self.assertFalse(peer.ask_u64(Req.GET_FEATURES) & LOG_ALL)

    def test_log_without_a_descriptor_is_refused(self):
        self.peer.negotiate(protocol=word(Proto.REPLY_ACK))
        for body in (bytes(8), bytes(16)):
            self.assertEqual(self.peer.ack(Req.SET_LOG_BASE, body), 1)
            self.assert_refused(Req.SET_LOG_BASE, "LOG_SHMFD")

    def test_answer_comes_unasked_and_repeats_the_request(self):
        self.begin(LOG_ALL)
        log = Log(PAGE)
        self.addCleanup(log.close)
        body = U64.pack(PAGE) + U64.pack(0)
        self.assertEqual(self.peer.ask(Req.SET_LOG_BASE, body, [log.fd]), body)

    def test_next_front_end_begins_without_a_log(self):
        self.begin_ring(LOG_ALL)
        log = Log(PAGE)
        self.addCleanup(log.close)
        self.peer.ask(Req.SET_LOG_BASE, U64.pack(PAGE) + U64.pack(0), [log.fd])
        self.peer.close()
        run_loop(lambda: not self.backend.is_connected())
        self.peer = self.open_pair(self.backend)
        self.begin_ring(LOG_ALL)
        self.assert_served(self.ring)
        self.assertEqual(log.pages(), set())


class Answers(Session):
    """What back-ends answer, and how a front-end makes sure of what it said."""

    FEATURES = word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES, Feature.LOG_ALL)

    def open(self, protocol=word(Proto.LOG_SHMFD, Proto.REPLY_ACK), odd=None):
        mine, its = socket.socketpair()
        self.fake = FakeBackend(its, self.FEATURES, protocol, odd)
        self.addCleanup(self.fake.stop)
        self.frontend = Vhost.UserFrontend(timeout=2000)
        self.addCleanup(self.frontend.close)
        with mine:
            self.frontend.open_fd(mine.fileno(), None)
        self.log = Log(PAGE, 8)
        self.addCleanup(self.log.close)

    def set_log(self, answer):
        self.open(odd={Req.SET_LOG_BASE: lambda peer, _: peer.answer(Req.SET_LOG_BASE, answer)})
        return self.frontend.set_log_base(self.log.fd, PAGE, 8, None)

    def test_H084_all_answers_in_use_are_accepted(self):
        for answer in (b"", bytes(8), U64.pack(PAGE), U64.pack(PAGE) + U64.pack(8)):
            with self.subTest(answer):
                self.assertTrue(self.set_log(answer))
                message, = self.fake.find(Req.SET_LOG_BASE)
                self.assertEqual(message.body, U64.pack(PAGE) + U64.pack(8))
                self.assertEqual(len(message.fds), 1)
                self.assertTrue(self.frontend.get_features(None) & LOG_ALL)

    def test_refusals(self):
        for answer in (U64.pack(1), bytes(16)):
            with self.subTest(answer):
                expect_error(self, ERROR.REFUSED, self.set_log, answer)
                self.assertTrue(self.frontend.is_open())

    def test_answers_of_other_sizes_end_the_connection(self):
        for size in (4, 12, 24):
            expect_error(self, ERROR.BAD_SIZE, self.set_log, bytes(size))
            self.assertFalse(self.frontend.is_open())

    def test_without_shared_memory_there_is_no_log(self):
        self.open(protocol=word(Proto.REPLY_ACK))
        expect_error(self, ERROR.NOT_NEGOTIATED, self.frontend.set_log_base, self.log.fd, PAGE, 0,
                     None)
        self.assertEqual(self.fake.find(Req.SET_LOG_BASE), [])

    def test_without_acks_another_answer_is_waited_for(self):
        self.open(protocol=word(Proto.LOG_SHMFD))
        self.frontend.set_features(LOG_ALL, None)
        self.assertEqual(self.fake.names()[-2:], ["SET_FEATURES", "GET_FEATURES"])
        self.frontend.set_features(0, None)
        self.frontend.get_features(None)
        self.assertEqual(self.fake.names()[-2:], ["SET_FEATURES", "GET_FEATURES"])

    def test_log_descriptor(self):
        self.open()
        self.frontend.set_log_fd(self.log.fd, None)
        self.assertEqual(len(self.fake.find(Req.SET_LOG_FD)[0].fds), 1)


if __name__ == "__main__":
    unittest.main()
