# SPDX-License-Identifier: BSD-3-Clause
"""Guest memory comes, changes and goes while queues run."""

import unittest

from devices import Session, Vhost, serve_echo
from helpers import run_loop
from rings import NEXT, WRITE
from wire import SINGLE, Proto, Req, word

PAGE = 4096


class Slots(Session):
    """Memory regions one by one."""

    def setUp(self):
        super().setUp()
        self.backend.connect("kick", serve_echo)
        self.peer.negotiate()

    def add(self, memory):
        return self.peer.ack(Req.ADD_MEM_REG, SINGLE.pack(0, *memory.region), [memory.fd])

    def remove(self, memory, fds=()):
        return self.peer.ack(Req.REM_MEM_REG, SINGLE.pack(0, *memory.region), fds)

    def make_two(self):
        low = self.make_memory()
        high = self.make_memory(guest=low.guest + low.size, user=low.user - (1 << 30))
        return low, high

    def regions(self):
        memory = self.backend.get_memory()
        return [memory.get_region(i).get_guest_address() for i in range(memory.get_n_regions())]

    def echo(self, ring, source, target, data):
        """The device copies bytes from one buffer to the other, which may be in any memory."""
        source.write(8 * PAGE, data)
        target.write(9 * PAGE, bytes(len(data)))
        ring.describe(0, source.guest + 8 * PAGE, len(data), NEXT, 1)
        ring.describe(1, target.guest + 9 * PAGE, len(data), WRITE)
        ring.offer(0)
        ring.kick()
        ring.wait_used((0, len(data)))
        self.assertEqual(target.read(9 * PAGE, len(data)), data)

    def test_number_of_slots(self):
        self.assertEqual(self.peer.ask_u64(Req.GET_MAX_MEM_SLOTS), 509)

    def test_all_slots_can_be_taken(self):
        shared = self.make_memory(size=PAGE)
        for i in range(509):
            region = SINGLE.pack(0, shared.guest + i * PAGE, PAGE, shared.user + i * PAGE, 0)
            self.assertEqual(self.peer.ack(Req.ADD_MEM_REG, region, [shared.fd]), 0, i)
        region = SINGLE.pack(0, 0, PAGE, 0, 0)
        self.assertNotEqual(self.peer.ack(Req.ADD_MEM_REG, region, [shared.fd]), 0)
        self.assert_refused(Req.ADD_MEM_REG, "slots")
        self.assertEqual(len(self.regions()), 509)

    def test_regions_come_and_go_while_a_queue_runs(self):
        low, high = self.make_two()
        self.assertEqual(self.add(low), 0)
        ring = self.make_ring(low)
        ring.attach(self.peer)
        for _ in range(3):
            self.assertEqual(self.add(high), 0)
            self.assertEqual(self.regions(), [low.guest, high.guest])
            self.echo(ring, low, high, b"to the new region")
            self.echo(ring, high, low, b"and back")
            self.assertEqual(self.remove(high), 0)
            self.assertEqual(self.regions(), [low.guest])
            self.echo(ring, low, low, b"within the old one")
        self.assertEqual(self.events.take("device-failed"), [])

    def test_region_of_a_ring_may_be_away_for_a_while(self):
        low, high = self.make_two()
        self.assertEqual((self.add(low), self.add(high)), (0, 0))
        ring = self.make_ring(low)
        ring.attach(self.peer)
        self.echo(ring, low, high, b"before")
        self.assertEqual(self.remove(low), 0)
        ring.describe(0, high.guest, 4, WRITE)
        ring.offer(0)
        ring.kick()
        self.assertEqual(self.peer.ask_u64(Req.GET_MAX_MEM_SLOTS), 509)
        self.assertEqual(ring.used(), [])
        self.assertEqual(self.add(low), 0)
        ring.wait_used((0, 0))
        self.echo(ring, low, high, b"after")

    def test_what_is_pushed_while_the_ring_is_away_is_used_later(self):
        low, high = self.make_two()
        self.add(low), self.add(high)
        ring, held = self.make_ring(low), []
        self.backend.get_queue(0).set_kick_func(lambda queue: held.append(queue.pop()))
        ring.attach(self.peer)
        ring.describe(0, high.guest, 8, WRITE)
        ring.offer(0)
        ring.kick()
        run_loop(lambda: held)
        self.assertEqual(self.remove(low), 0)
        self.assertTrue(self.backend.get_queue(0).push(held[0], held[0].write(0, b"waits")))
        self.assertEqual((ring.used(), high.read(0, 5)), ([], b"waits"))
        self.assertEqual(self.add(low), 0)
        self.assertEqual(ring.used(), [(0, 5)])

    def test_removing_takes_a_surplus_descriptor_as_qemu_sends_it(self):
        low, high = self.make_two()
        self.add(low), self.add(high)
        self.assertEqual(self.remove(high, [high.fd]), 0)
        self.assertEqual(self.regions(), [low.guest])

    def test_buffer_across_two_regions(self):
        low, high = self.make_two()
        self.add(low), self.add(high)
        ring = self.make_ring(low)
        ring.attach(self.peer)
        low.write(low.size - 3, b"abc")
        high.write(0, b"defg")
        ring.describe(0, low.guest + low.size - 3, 7, NEXT, 1)
        ring.describe(1, low.guest + low.size - 5, 8, WRITE)
        ring.offer(0)
        ring.kick()
        ring.wait_used((0, 7))
        self.assertEqual(low.read(low.size - 5, 5) + high.read(0, 2), b"abcdefg")


class Table(Session):
    """All regions at once."""

    def test_new_table_while_a_queue_runs(self):
        self.begin_ring()
        for _ in range(3):
            self.assert_served(self.ring)
            self.share(self.memory)
        self.assert_served(self.ring)
        self.assertEqual(self.events.take("device-failed"), [])

    def test_new_table_on_other_memory(self):
        """As when another file takes the place of guest memory: the ring is where it was."""
        self.begin_ring()
        self.assert_served(self.ring)
        copy = self.make_memory()
        copy.write(0, self.memory.read(0, self.memory.size))
        self.share(copy)
        self.ring.memory = copy
        self.assert_served(self.ring)

    def test_new_table_adds_a_region(self):
        self.begin_ring()
        more = self.make_memory(guest=self.memory.guest + (1 << 30), user=1 << 40)
        self.share(self.memory, more)
        more.write(0, bytes(8))
        self.ring.describe(0, more.guest, 8, WRITE)
        self.ring.offer(0)
        self.ring.kick()
        self.ring.wait_used((0, 8))
        self.assertNotEqual(more.read(0, 8), bytes(8))

    def test_chain_in_flight_keeps_the_memory_it_came_from(self):
        held = []
        self.begin_ring(serve=lambda backend, queue: held.append(queue.pop()))
        offset = self.offer_room(self.ring)
        run_loop(lambda: held)
        old, new = self.memory, self.make_memory()
        new.write(0, old.read(0, old.size))
        self.share(new)
        self.assertEqual(held[0].write(0, b"to the old one"), 14)
        self.assertTrue(self.backend.get_queue(0).push(held[0], 14))
        self.assertEqual(old.read(offset, 14), b"to the old one")
        self.assertEqual(new.read(offset, 14), bytes(14))
        self.ring.memory = new
        self.assertEqual(self.ring.used(), [(0, 14)])

    def test_eight_regions_are_the_most(self):
        self.begin()
        many = [self.make_memory(PAGE, guest=i << 20, user=i << 30) for i in range(8)]
        self.share(*many)
        self.assertEqual(self.backend.get_memory().get_n_regions(), 8)

    def test_region_in_the_middle_of_a_file(self):
        self.begin()
        body = SINGLE.pack(0, 0x9000000, PAGE, 0x9000000, 3 * PAGE)
        self.memory.write(3 * PAGE, b"third page")
        self.peer.do(Req.ADD_MEM_REG, body, [self.memory.fd])
        found = self.backend.get_memory().read(0x9000000, 10)
        self.assertEqual(bytes(found), b"third page")

    def test_memory_goes_with_the_front_end(self):
        self.begin_ring()
        self.assertIsNotNone(self.backend.get_memory())
        self.peer.close()
        run_loop(lambda: not self.backend.is_connected())
        self.assertIsNone(self.backend.get_memory())
        with open("/proc/self/maps", encoding="ascii") as maps:
            self.assertEqual(sum("/memfd:guest" in line for line in maps), 1)  # our own


class TableOnly(Session):
    """A back-end that does not offer slots gets tables."""

    def make_backend(self, **properties):
        return super().make_backend(protocol_features=word(Proto.REPLY_ACK), **properties)

    def test_slots_are_not_served(self):
        self.begin_ring()
        body = SINGLE.pack(0, *self.memory.region)
        self.assertNotEqual(self.peer.ack(Req.ADD_MEM_REG, body, [self.memory.fd]), 0)
        error = self.assert_refused(Req.ADD_MEM_REG, "CONFIGURE_MEM_SLOTS")
        self.assertTrue(error.matches(Vhost.error_quark(), Vhost.Error.NOT_NEGOTIATED))
        self.assert_served(self.ring)


if __name__ == "__main__":
    unittest.main()
