# SPDX-License-Identifier: BSD-3-Clause
"""GPA_ADDRESSES: rings and regions are told by guest physical addresses."""

import unittest

from devices import Driving, Session, Vhost, serve_echo, serve_random
from facing import CHANNEL, FacingHand
from peers import Row
from rings import Memory
from wire import ADDR, REGION, SINGLE, STATE, Proto, Req, pack_table, word

ROW = Row("front-end, back-end", "this library", "GPA_ADDRESSES")

GPA = word(Proto.GPA_ADDRESSES)
ACKS = word(Proto.REPLY_ACK)
SLOTS = word(Proto.CONFIGURE_MEM_SLOTS)


class Served(Session):
    def begin_gpa(self, guest=0x100000):
        self.backend.connect("kick", serve_random)
        self.peer.negotiate(protocol=GPA | ACKS | SLOTS)
        self.memory = self.make_memory(guest=guest, user=guest)

    def test_offered_from_the_start(self):
        self.assertEqual(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES) & GPA, GPA)

    def test_ring_by_guest_addresses(self):
        self.begin_gpa()
        self.share(self.memory)
        ring = self.make_ring(self.memory)
        ring.attach(self.peer)
        self.assert_served(ring)

    def test_ring_at_address_0(self):
        self.begin_gpa(guest=0)
        self.share(self.memory)
        ring = self.make_ring(self.memory)
        ring.attach(self.peer)
        self.assert_served(ring)

    def test_two_regions(self):
        self.begin_gpa()
        other = self.make_memory(guest=0x40000000, user=0x40000000)
        self.share(self.memory, other)
        ring = self.make_ring(other)
        ring.attach(self.peer)
        self.assert_served(ring)

    def test_other_user_address_is_refused(self):
        self.begin_gpa()
        self.share(self.memory)
        other = self.make_memory()
        self.assertNotEqual(
            self.peer.ack(Req.SET_MEM_TABLE, pack_table(other.region), [other.fd]), 0)
        self.assert_refused(Req.SET_MEM_TABLE, "0x7f0000000000", "GPA_ADDRESSES")
        self.assertNotEqual(
            self.peer.ack(Req.ADD_MEM_REG, SINGLE.pack(0, *other.region), [other.fd]), 0)
        self.assert_refused(Req.ADD_MEM_REG, "GPA_ADDRESSES")
        self.assertEqual(self.backend.get_memory().get_n_regions(), 1)

    def test_ring_outside_is_refused(self):
        self.begin_gpa()
        self.share(self.memory)
        ring = self.make_ring(self.memory)
        self.peer.do(Req.SET_VRING_NUM, STATE.pack(0, ring.size))
        self.assertNotEqual(self.peer.ack(Req.SET_VRING_ADDR, ring.pack_addr(desc=0x7F0000000000)),
                            0)
        self.assert_refused(Req.SET_VRING_ADDR, "0x7f0000000000")

    def test_region_by_region(self):
        self.begin_gpa()
        self.peer.do(Req.ADD_MEM_REG, SINGLE.pack(0, *self.memory.region), [self.memory.fd])
        ring = self.make_ring(self.memory)
        ring.attach(self.peer)
        self.assert_served(ring)
        self.peer.ask_base(0)
        self.peer.do(Req.REM_MEM_REG, SINGLE.pack(0, *self.memory.region))
        self.assertEqual(self.backend.get_memory().get_n_regions(), 0)


class Sent(FacingHand):
    """What goes out, byte by byte."""

    def make_region(self, guest, user):
        raw = Memory(4096)
        self.addCleanup(raw.close)
        region = Vhost.MemoryRegion.new(guest, 4096, user, raw.fd, 0)
        return Vhost.Memory.new().add(region)

    def test_our_addresses_are_not_told(self):
        self.open(protocol=CHANNEL | GPA)
        self.frontend.set_memory(self.make_region(0x10000, 0x7FFF00000000), None)
        self.assertEqual(self.last(Req.SET_MEM_TABLE).body[8:],
                         REGION.pack(0x10000, 4096, 0x10000, 0))
        self.frontend.set_vring_addr(0, 0, 0x10000, 0x10400, 0x10800, 0, None)
        self.assertEqual(self.last(Req.SET_VRING_ADDR).body,
                         ADDR.pack(0, 0, 0x10000, 0x10800, 0x10400, 0))

    def test_region_by_region(self):
        self.open(protocol=CHANNEL | GPA | SLOTS)
        memory = self.make_region(0x10000, 0x7FFF00000000)
        self.frontend.set_memory(memory, None)
        self.assertEqual(self.last(Req.ADD_MEM_REG).body,
                         SINGLE.pack(0, 0x10000, 4096, 0x10000, 0))
        self.frontend.set_memory(self.make_region(0x90000, 0x7FFF00000000), None)
        self.assertEqual(self.last(Req.REM_MEM_REG).body[:32],
                         SINGLE.pack(0, 0x10000, 4096, 0x10000, 0)[:32])

    def test_without_it_they_are(self):
        self.open()
        self.frontend.set_memory(self.make_region(0x10000, 0x7FFF00000000), None)
        self.assertEqual(self.last(Req.SET_MEM_TABLE).body[8:],
                         REGION.pack(0x10000, 4096, 0x7FFF00000000, 0))

    def test_back_end_that_means_SHMEM_by_bit_21(self):
        """rust-vmm 0.16 does. What it takes for user addresses names the same bytes."""
        self.open(protocol=CHANNEL | GPA)
        self.frontend.set_memory(self.make_region(0x10000, 0x7FFF00000000), None)
        self.frontend.set_vring_addr(0, 0, 0x10000, 0x10400, 0x10800, 0, None)
        _, size, user, _ = REGION.unpack(self.last(Req.SET_MEM_TABLE).body[8:])
        for address in ADDR.unpack(self.last(Req.SET_VRING_ADDR).body)[2:5]:
            self.assertTrue(user <= address < user + size)


class BothEnds(Driving):
    def test_driver_and_device(self):
        self.serve()
        frontend = self.open_frontend()
        self.assertTrue(frontend.has_protocol_feature(Proto.GPA_ADDRESSES))
        driver = self.start_driver(frontend=frontend)
        self.assertEqual(driver.get_queue(0).request(b"where?", 16, None), b"where?")

    def test_either_end_may_do_without(self):
        plain = Vhost.UserBackend().get_property("protocol-features") & ~GPA
        self.serve(protocol_features=plain, kick=serve_echo)
        frontend = self.open_frontend()
        self.assertFalse(frontend.has_protocol_feature(Proto.GPA_ADDRESSES))
        driver = self.start_driver(frontend=frontend)
        self.assertEqual(driver.get_queue(0).request(b"where?", 16, None), b"where?")
        ROW.seen()


if __name__ == "__main__":
    unittest.main()
