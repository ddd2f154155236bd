# SPDX-License-Identifier: BSD-3-Clause
"""A guest attacks the device side with what it writes into a split ring."""

import os
import unittest

from attack import Attack
from devices import Vhost, serve_echo
from helpers import run_idle, run_loop
from rings import DESC, INDIRECT, NEXT, WRITE
from wire import Feature, Req, word

PAGE = 4096
FAR = 1 << 40  # no memory is there


class Rings(Attack):
    """Two queues of one device, `self.ring` and `self.other`. Only the first is attacked."""

    n_queues = 2

    def make_backend(self, **properties):
        return super().make_backend(drain_timeout=20, **properties)

    def setUp(self):
        super().setUp()
        self.begin(word(Feature.INDIRECT_DESC), serve_echo)
        self.ring = self.make_ring(self.memory)
        self.other = self.make_ring(self.memory, 8, 1 << 19)
        self.ring.attach(self.peer, 0)
        self.other.attach(self.peer, 1)
        self.queue = self.backend.get_queue(0)
        self.data = self.memory.guest + self.ring.end  # a page that is free
        self.table = self.ring.end + PAGE  # and one for an indirect table, as an offset
        self.ring.take_calls()

    def tearDown(self):
        self.assert_echo(self.other)
        super().tearDown()

    def assert_echo(self, ring):
        """The queue serves what keeps to the rules."""
        source, target = ring.end + 8 * PAGE, ring.end + 9 * PAGE
        self.memory.write(source, os.urandom(32))
        ring.describe(6, self.memory.guest + source, 32, NEXT, 7)
        ring.describe(7, self.memory.guest + target, 32, WRITE)
        ring.offer(6)
        ring.kick()
        run_loop(lambda: ring.used_idx == ring.avail_idx)
        self.assertEqual(self.memory.read(source, 32), self.memory.read(target, 32))
        ring.used()

    def attack(self, *heads):
        """Offers these chains, and lets the device look."""
        self.ring.offer(*heads)
        self.ring.kick()
        run_idle()

    def assert_broken(self, *words):
        """H059: that queue is broken and says why; it can be started again."""
        run_loop(lambda: "device-failed" in self.events.names())
        (error,), = self.events.take("device-failed")
        self.assertTrue(error.matches(Vhost.error_quark(), Vhost.Error.BROKEN_QUEUE), error)
        for each in ("queue 0", *words):
            self.assertIn(each, error.message)
        self.assertEqual(self.ring.take_errors(), 1)
        self.assertEqual(self.ring.used(), [])
        self.assertIsNone(self.queue.pop())
        self.assertEqual(self.queue.dup_error().message, error.message)
        self.assertTrue(self.peer.ask_u64(Req.GET_STATUS) & Vhost.Status.NEEDS_RESET)
        self.assert_echo(self.other)
        self.start_again()

    def start_again(self):
        self.peer.ask_base(0)
        self.ring.begin_at(0)
        self.ring.attach(self.peer, 0)
        self.assert_echo(self.ring)
        self.assertIsNone(self.queue.dup_error())
        self.peer.ask_base(0)
        self.ring.begin_at(0)
        self.ring.attach(self.peer, 0)


class Chains(Rings):
    def test_H046_available_index_jumps(self):
        for jump in (9, 0x7FFF, 0x8000, 0xFFFF):
            with self.subTest(jump):
                self.ring.avail_idx = jump
                self.attack()
                self.assert_broken("index")

    def test_H046_available_index_goes_back(self):
        self.ring.describe(0, self.data, 16, WRITE)
        self.attack(0, 0)
        self.ring.used()
        self.ring.avail_idx = 1
        self.attack()
        self.assert_broken_after_use("index")

    def assert_broken_after_use(self, *words):
        run_loop(lambda: "device-failed" in self.events.names())
        (error,), = self.events.take("device-failed")
        for each in words:
            self.assertIn(each, error.message)
        self.start_again()

    def test_H047_head_out_of_range(self):
        for head in (8, 9, 255, 0x7FFF, 0xFFFF):
            with self.subTest(head):
                self.attack(head)
                self.assert_broken(str(head))

    def test_H047_next_out_of_range(self):
        for following in (8, 0x7FFF, 0xFFFF):
            with self.subTest(following):
                self.ring.describe(0, self.data, 16, NEXT, following)
                self.attack(0)
                self.assert_broken(str(following))

    def test_H048_loops(self):
        for length in (1, 2, 8):
            with self.subTest(length):
                for n in range(length):
                    self.ring.describe(n, self.data, 16, NEXT | WRITE, (n + 1) % length)
                self.attack(0)
                self.assert_broken("longer than its table")

    def test_H051_length_0(self):
        """Nothing to read or write there, and no reason to break. (C.5 of the checklist: accept)"""
        self.ring.describe(0, self.data, 0, NEXT, 1)
        self.ring.describe(1, self.data, 4, NEXT, 2)
        self.ring.describe(2, self.data + 64, 0, NEXT | WRITE, 3)
        self.ring.describe(3, self.data + 64, 4, WRITE)
        self.ring.offer(0)
        self.ring.kick()
        self.ring.wait_used((0, 4))

    def test_H051_length_0_at_a_bad_address(self):
        self.ring.describe(0, FAR, 0, WRITE)
        self.attack(0)
        self.assertTrue(self.ring.used() == [(0, 0)] or self.queue.dup_error() is not None)
        self.start_again()
        self.events.clear()

    def test_H052_address_and_length_wrap(self):
        for address, length in (((1 << 64) - 8, 16), ((1 << 64) - 1, 0xFFFFFFFF),
                                (self.data, 0xFFFFFFFF)):
            with self.subTest(address=address):
                self.ring.describe(0, address, length, WRITE)
                self.attack(0)
                self.assert_broken("memory")

    def test_H053_huge_length_allocates_nothing(self):
        """Nor does a chain of many that are huge and real."""
        self.ring.describe(0, self.memory.guest, self.memory.size, WRITE)
        self.attack(0)
        self.assertEqual(self.ring.used(), [(0, 0)])

    def test_H037_H052_not_in_memory(self):
        last = self.memory.guest + self.memory.size
        for address, length in ((FAR, 1), (0, 1), (last, 1), (last - 1, 2),
                                (self.memory.guest - 1, 2)):
            for flags in (0, WRITE):
                with self.subTest(address=address, flags=flags):
                    self.ring.describe(0, address, length, flags)
                    self.attack(0)
                    self.assert_broken("memory", "0x")

    def test_H054_readable_after_writable(self):
        self.ring.describe(0, self.data, 16, WRITE | NEXT, 1)
        self.ring.describe(1, self.data, 16, 0)
        self.attack(0)
        self.assert_broken("readable")

    def test_H057_same_head_twice_in_flight(self):
        held = []
        self.queue.set_kick_func(lambda queue: held.append(queue.pop()))
        self.ring.describe(0, self.data, 16, WRITE)
        self.attack(0, 0)
        run_loop(lambda: "device-failed" in self.events.names())
        self.queue.set_kick_func(None)
        del held[:]
        self.assert_broken("in flight")

    def test_H058_no_more_in_flight_than_entries(self):
        held = []

        def hold(queue):
            while (chain := queue.pop()) is not None:
                held.append(chain)
        self.queue.set_kick_func(hold)
        for head in range(8):
            self.ring.describe(head, self.data, 16, WRITE)
            self.ring.offer(head)
        self.attack()
        self.assertEqual(len(held), 8)
        self.ring.avail_idx = 16
        self.attack()
        self.assertEqual(len(held), 8)
        self.queue.set_kick_func(None)
        del held[:]
        self.assert_broken()

    def test_H059_the_rest_of_a_batch_is_not_served(self):
        self.ring.describe(0, self.data, 16, WRITE)
        self.ring.describe(1, FAR, 16, WRITE)
        self.ring.describe(2, self.data, 16, WRITE)
        self.attack(0, 1, 2)
        self.assertEqual(self.ring.used(), [(0, 0)])
        self.assert_broken("memory")

    def test_H064_handle_is_dead_after_completion(self):
        held = []
        self.queue.set_kick_func(lambda queue: held.append(queue.pop()))
        self.ring.describe(0, self.data, 16, WRITE)
        self.attack(0)
        chain, = held
        self.assertTrue(self.queue.push(chain, 0))
        self.memory.write(self.ring.end, bytes(16))
        self.assertEqual(chain.write(0, b"too late"), 0)
        self.assertFalse(self.queue.push(chain, 16))
        self.assertFalse(self.queue.unpop(chain))
        self.assertEqual(self.memory.read(self.ring.end, 16), bytes(16))
        self.assertEqual(self.ring.used(), [(0, 0)])

    def test_H061_no_more_is_reported_than_was_written(self):
        def claim(queue):
            chain = queue.pop()
            chain.write(0, b"abc")
            queue.push(chain, 16)
        self.queue.set_kick_func(claim)
        self.ring.describe(0, self.data, 16, WRITE)
        self.attack(0)
        self.assertEqual(self.ring.used(), [(0, 3)])

    def test_H062_used_ring_is_overwritten(self):
        """The device goes by its own index, and writes where its own index says."""
        self.assert_echo(self.ring)
        used = self.ring.used_ring
        self.memory.write(used, b"\xff" * (6 + 8 * self.ring.size))
        self.ring.describe(0, self.data, 16, WRITE)
        self.attack(0)
        self.assertEqual(self.ring.used_idx, 2)
        self.assertEqual(self.memory.read(used + 4 + 8, 8), bytes(8))


class Notifications(Attack):
    def test_H060_garbage_in_the_fields_that_suppress(self):
        """At worst a notification too many or too few; every chain is served."""
        self.begin_ring(word(Feature.EVENT_IDX))
        for event in (0, 1, 7, 8, 0x7FFF, 0x8000, 0xFFFF):
            self.ring.used_event = event
            self.memory.write(self.ring.avail, b"\xff\xff")
            self.assert_served(self.ring)


class Indirect(Rings):
    """Tables of descriptors that lie outside the ring's own."""

    def describe(self, index, *desc):
        self.ring.describe(index, *desc, table=self.table)

    def refer(self, length=32, flags=INDIRECT, address=None):
        address = self.memory.guest + self.table if address is None else address
        self.ring.describe(0, address, length, flags, 1)
        self.attack(0)

    def fill_table(self):
        """One that is in order: an echo of 16 bytes."""
        self.memory.write(self.ring.end, b"sixteen bytes ok")
        self.describe(0, self.data, 16, NEXT, 1)
        self.describe(1, self.data + 64, 16, WRITE, 0)

    def test_good_one(self):
        self.fill_table()
        self.refer()
        self.ring.wait_used((0, 16))
        self.assertEqual(self.memory.read(self.ring.end + 64, 16), b"sixteen bytes ok")

    def test_direct_and_then_indirect(self):
        self.memory.write(self.ring.end, b"eight,  eight")
        self.ring.describe(0, self.data, 8, NEXT, 1)
        self.ring.describe(1, self.memory.guest + self.table, 16, INDIRECT)
        self.describe(0, self.data + 64, 16, WRITE, 0)
        self.attack(0)
        self.ring.wait_used((0, 8))

    def test_table_longer_than_the_queue(self):
        """Forbidden, and what Linux makes for a disk with a small queue."""
        n = 64
        self.memory.write(self.ring.end, bytes(range(n)))
        for i in range(n):
            self.describe(i, self.data + i, 1, NEXT, i + 1)
        self.describe(n, self.data + PAGE // 2, n, WRITE, 0)
        self.refer((n + 1) * DESC.size)
        self.ring.wait_used((0, n))
        self.assertEqual(self.memory.read(self.ring.end + PAGE // 2, n), bytes(range(n)))

    def test_H049_lengths_that_no_table_has(self):
        self.fill_table()
        for length in (0, 1, 15, 17, 31, 1025 * 16, 0xFFFFFFF0, 0xFFFFFFFF):
            with self.subTest(length):
                self.refer(length)
                self.assert_broken("indirect")

    def test_H049_nested(self):
        self.describe(0, self.memory.guest + self.table, 32, INDIRECT)
        self.refer()
        self.assert_broken("indirect")

    def test_H049_together_with_next(self):
        self.fill_table()
        self.ring.describe(1, self.data, 16, WRITE)
        self.refer(flags=INDIRECT | NEXT)
        self.assert_broken("indirect")

    def test_H049_next_beyond_the_table(self):
        for following in (2, 8, 0xFFFF):
            with self.subTest(following):
                self.describe(0, self.data, 16, NEXT, following)
                self.refer()
                self.assert_broken(str(following))

    def test_H048_loop_in_a_table(self):
        self.describe(0, self.data, 16, NEXT, 1)
        self.describe(1, self.data, 16, NEXT, 0)
        self.refer()
        self.assert_broken("longer than its table")

    def test_H049_table_not_in_memory(self):
        end = self.memory.guest + self.memory.size
        for address in (FAR, 0, end - 16, (1 << 64) - 16):
            with self.subTest(address):
                self.refer(address=address)
                self.assert_broken("memory")

    def test_H050_table_across_regions(self):
        """The half of a descriptor may lie in each."""
        more = self.make_memory(PAGE, guest=self.memory.guest + self.memory.size, user=1 << 40)
        self.share(self.memory, more)
        self.fill_table()
        table = self.memory.read(self.table, 2 * DESC.size)
        for split in (8, 10, 16, 24, 31):
            with self.subTest(split):
                self.memory.write(self.memory.size - split, table[:split])
                more.write(0, table[split:])
                self.refer(address=self.memory.guest + self.memory.size - split)
                self.ring.wait_used((0, 16))

    def test_H049_not_negotiated(self):
        self.peer.ask_base(0), self.peer.ask_base(1)
        self.peer.negotiate(own=False)
        self.fill_table()
        self.ring.attach(self.peer, 0)
        self.other.attach(self.peer, 1, base=self.other.avail_idx)
        self.refer()
        self.assert_broken("indirect")


class Index(Rings):
    def test_H046_index_wraps(self):
        self.peer.ask_base(0)
        self.ring.begin_at(0xFFFC)
        self.ring.attach(self.peer, 0, base=0xFFFC)
        for _ in range(8):
            self.assert_echo(self.ring)
        self.assertEqual(self.peer.ask_base(0), 4)

    def test_base_that_is_not_the_rings(self):
        """A front-end that lies about where the queue stood breaks that queue."""
        self.peer.ask_base(0)
        self.ring.begin_at(0)
        self.ring.attach(self.peer, 0, base=100)
        self.attack()
        self.assert_broken("index")


if __name__ == "__main__":
    unittest.main()
