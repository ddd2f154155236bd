# SPDX-License-Identifier: BSD-3-Clause
"""XEN_MMAP: regions of 40 bytes, of which those that need Xen are refused by name."""

import unittest

from devices import Driving, Session, Vhost, serve_random
from facing import CHANNEL, FacingHand
from peers import Row
from rings import Memory
from wire import REGION, SINGLE, TABLE, XEN_REGION, Proto, Req, pack_table, word

ROW = Row("front-end, back-end", "this library",
          "XEN_MMAP, for memory that needs no Xen")

XEN = word(Proto.XEN_MMAP)
SLOTS = word(Proto.CONFIGURE_MEM_SLOTS)
ACKS = word(Proto.REPLY_ACK)
FOREIGN, GRANT, ON_DEMAND = 1, 2, 0x100


def pack_xen(*regions):
    return TABLE.pack(len(regions), 0) + b"".join(XEN_REGION.pack(*region) for region in regions)


class Served(Session):
    def make_backend(self, **properties):
        wanted = Vhost.UserBackend().get_property("protocol-features") | XEN
        return super().make_backend(protocol_features=wanted, **properties)

    def begin_xen(self):
        self.backend.connect("kick", serve_random)
        self.peer.negotiate(protocol=XEN | ACKS | SLOTS)
        self.memory = self.make_memory()

    def test_table_of_long_regions(self):
        self.begin_xen()
        others = [self.make_memory(guest=n << 30, user=n << 40) for n in range(1, 8)]
        every = [self.memory, *others]
        self.peer.do(Req.SET_MEM_TABLE, pack_xen(*((*each.region, 0, 7) for each in every)),
                     [each.fd for each in every])
        self.assertEqual(self.backend.get_memory().get_n_regions(), 8)
        for memory in (self.memory, others[-1]):
            ring = self.make_ring(memory)
            ring.attach(self.peer)
            self.assert_served(ring)
            self.peer.ask_base(0)

    def test_one_long_region_at_a_time(self):
        self.begin_xen()
        body = bytes(8) + XEN_REGION.pack(*self.memory.region, 0, 0)
        self.peer.do(Req.ADD_MEM_REG, body, [self.memory.fd])
        ring = self.make_ring(self.memory)
        ring.attach(self.peer)
        self.assert_served(ring)
        self.peer.ask_base(0)
        self.peer.do(Req.REM_MEM_REG, body)
        self.assertEqual(self.backend.get_memory().get_n_regions(), 0)

    def test_memory_of_xen_is_refused_by_name(self):
        self.begin_xen()
        self.peer.do(Req.SET_MEM_TABLE, pack_xen((*self.memory.region, 0, 0)), [self.memory.fd])
        other = self.make_memory(guest=1 << 32, user=1 << 33)
        for flags, words in ((FOREIGN, "privcmd"), (GRANT, "gntdev"),
                             (GRANT | ON_DEMAND, "gntdev"), (FOREIGN | GRANT, "both"),
                             (ON_DEMAND, "unknown"), (1 << 31, "unknown")):
            with self.subTest(flags):
                region = (*other.region, flags, 3)
                self.assertNotEqual(
                    self.peer.ack(Req.SET_MEM_TABLE, pack_xen(region), [other.fd]), 0)
                self.assert_refused(Req.SET_MEM_TABLE, f"{flags:#x}", "domain 3", words)
                self.assertNotEqual(self.peer.ack(
                    Req.ADD_MEM_REG, bytes(8) + XEN_REGION.pack(*region), [other.fd]), 0)
                self.assert_refused(Req.ADD_MEM_REG, words)
        self.assertEqual(self.backend.get_memory().get_n_regions(), 1)

    def test_short_regions_are_refused_with_it(self):
        self.begin_xen()
        self.assertNotEqual(self.peer.ack(Req.SET_MEM_TABLE, pack_table(self.memory.region),
                                          [self.memory.fd]), 0)
        self.assert_refused(Req.SET_MEM_TABLE, "must be 48")
        self.assertNotEqual(self.peer.ack(Req.ADD_MEM_REG, SINGLE.pack(0, *self.memory.region),
                                          [self.memory.fd]), 0)
        self.assert_refused(Req.ADD_MEM_REG, "must be 48")

    def test_long_regions_are_refused_without_it(self):
        self.peer.negotiate(protocol=ACKS | SLOTS)
        memory = self.make_memory()
        self.assertNotEqual(self.peer.ack(Req.SET_MEM_TABLE, pack_xen((*memory.region, 0, 0)),
                                          [memory.fd]), 0)
        self.assert_refused(Req.SET_MEM_TABLE, "must be 40")

    def test_lying_count(self):
        self.begin_xen()
        body = TABLE.pack(2, 0) + XEN_REGION.pack(*self.memory.region, 0, 0)
        self.assertNotEqual(self.peer.ack(Req.SET_MEM_TABLE, body, [self.memory.fd] * 2), 0)
        self.assert_refused(Req.SET_MEM_TABLE, "must be 88")


class Sent(FacingHand):
    def setUp(self):
        super().setUp()
        self.frontend = self.make_frontend(protocol_features=2**64 - 1)

    def share(self):
        raw = Memory(4096)
        region = Vhost.MemoryRegion.new(1 << 20, 4096, 1 << 30, raw.fd, 0)
        raw.close()
        self.frontend.set_memory(Vhost.Memory.new().add(region), None)

    def test_table(self):
        self.open(protocol=CHANNEL | XEN)
        self.share()
        self.assertEqual(self.last(Req.SET_MEM_TABLE).body,
                         pack_xen((1 << 20, 4096, 1 << 30, 0, 0, 0)))

    def test_region_by_region(self):
        self.open(protocol=CHANNEL | XEN | SLOTS)
        self.share()
        self.assertEqual(self.last(Req.ADD_MEM_REG).body,
                         bytes(8) + XEN_REGION.pack(1 << 20, 4096, 1 << 30, 0, 0, 0))

    def test_taken_only_when_asked_for(self):
        self.frontend = self.make_frontend()
        self.open(protocol=CHANNEL | XEN)
        self.assertEqual(self.acked() & XEN, 0)
        self.share()
        self.assertEqual(self.last(Req.SET_MEM_TABLE).body[8:],
                         REGION.pack(1 << 20, 4096, 1 << 30, 0))


class BothEnds(Driving):
    def test_driver_and_device(self):
        for wanted in (2**64 - 1, 2**64 - 1 & ~SLOTS):
            with self.subTest(wanted):
                self.serve(protocol_features=wanted)
                frontend = self.open_frontend(protocol_features=wanted
                                              & ~word(Proto.INBAND_NOTIFICATIONS))
                self.assertTrue(frontend.has_protocol_feature(Proto.XEN_MMAP))
                driver = self.start_driver(frontend=frontend)
                self.assertEqual(driver.get_queue(0).request(b"xen", 8, None), b"xen")
                driver.stop(None)
                frontend.close()
                self.served.stop()
        ROW.seen()


if __name__ == "__main__":
    unittest.main()
