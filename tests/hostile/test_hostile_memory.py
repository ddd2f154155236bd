# SPDX-License-Identifier: BSD-3-Clause
"""A front-end attacks a back-end with guest memory that lies, overlaps, or goes away."""

import os
import unittest

from attack import Attack, count_mappings
from devices import Vhost
from helpers import run_loop
from rings import WRITE
from wire import NEED_REPLY, SINGLE, TABLE, VERSION, Req, pack_table

PAGE = 4096
GUEST, USER = 0x100000, 0x7F0000000000
TOP = 1 << 64


class Tables(Attack):
    """All of it is rejected, and the table before stays in force."""

    def setUp(self):
        super().setUp()
        self.begin_ring()
        self.file = self.make_memory(1 << 20)
        self.mappings = count_mappings()

    def tearDown(self):
        self.assertEqual(count_mappings(), self.mappings)
        self.assertEqual(self.backend.get_memory().get_n_regions(), 1)
        self.assert_served(self.ring)
        super().tearDown()

    def reject_table(self, *regions, fd=None, words=()):
        fds = [self.file.fd if fd is None else fd] * len(regions)
        self.assert_rejected(Req.SET_MEM_TABLE, pack_table(*regions), fds, words)

    def reject_region(self, *region, fd=None, words=()):
        self.assert_rejected(Req.ADD_MEM_REG, SINGLE.pack(0, *region),
                             [self.file.fd if fd is None else fd], words)

    def reject_both(self, *region, **more):
        self.reject_table(region, **more)
        self.reject_region(*region, **more)

    def test_H024_more_regions_than_there_can_be(self):
        for n in (9, 1 << 16, 0xFFFFFFFF):
            body = TABLE.pack(n, 0) + pack_table((GUEST, PAGE, USER, 0))[8:]
            self.assert_rejected(Req.SET_MEM_TABLE, body, [self.file.fd])

    def test_H024_count_that_is_not_the_payloads(self):
        one = (GUEST, PAGE, USER, 0)
        for n, regions in ((1, 2), (2, 1)):
            body = TABLE.pack(n, 0) + pack_table(*[one] * regions)[8:]
            self.assert_rejected(Req.SET_MEM_TABLE, body, [self.file.fd] * n)

    def test_H025_no_region(self):
        self.assert_rejected(Req.SET_MEM_TABLE, TABLE.pack(0, 0))

    def test_H026_no_size(self):
        self.reject_both(GUEST << 8, 0, USER << 1, 0, words=["no size"])

    def test_H026_wraps_around(self):
        self.reject_both(TOP - PAGE, 2 * PAGE, 0x1000, 0, words=["wraps"])
        self.reject_both(0x10000000, 2 * PAGE, TOP - PAGE, 0, words=["wraps"])
        self.reject_both(0x10000000, TOP - 1, 0x10000000, 0)

    def test_H026_last_page_is_no_overflow(self):
        region = SINGLE.pack(0, TOP - PAGE, PAGE, TOP - PAGE, 0)
        self.peer.do(Req.ADD_MEM_REG, region, [self.file.fd])
        self.peer.do(Req.REM_MEM_REG, region)

    def test_H027_file_offset_overflows(self):
        for offset in (TOP - PAGE, TOP - 1, (1 << 63) - PAGE, 1 << 63):
            self.reject_both(GUEST << 8, 2 * PAGE, USER << 1, offset)

    def test_H028_region_beyond_its_file(self):
        self.reject_both(GUEST << 8, (1 << 20) + 1, USER << 1, 0, words=["0x100000 bytes"])
        self.reject_both(GUEST << 8, PAGE, USER << 1, 1 << 20)
        self.reject_both(GUEST << 8, PAGE, USER << 1, (1 << 20) - PAGE + 1)

    def test_H030_what_is_no_file(self):
        read, write = os.pipe()
        with open("/dev/zero", "rb+", buffering=0) as zero, os.fdopen(read), os.fdopen(write, "w"):
            directory = os.open("/", os.O_RDONLY)
            self.addCleanup(os.close, directory)
            for fd in (zero.fileno(), read, directory, self.peer.sock.fileno()):
                self.reject_both(GUEST << 8, PAGE, USER << 1, 0, fd=fd, words=["not a file"])

    def test_H030_file_that_cannot_be_written(self):
        fd = os.open(f"/proc/self/fd/{self.file.fd}", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.reject_both(GUEST << 8, PAGE, USER << 1, 0, fd=fd, words=["cannot map"])

    def test_H030_file_of_any_file_system_is_taken(self):
        """Not strict: QEMU may back a guest with a file on a disk. SIGBUS is survived (H029)."""
        with open(self.path("ram"), "wb+") as file:
            file.truncate(PAGE)
            region = SINGLE.pack(0, GUEST << 8, PAGE, USER << 1, 0)
            self.peer.do(Req.ADD_MEM_REG, region, [file.fileno()])
            self.peer.do(Req.REM_MEM_REG, region)

    def test_H031_overlap_within_a_table(self):
        here = (GUEST << 8, 4 * PAGE, USER << 1, 0)
        for other in (here, (here[0] + PAGE, PAGE, USER << 2, 0), (GUEST << 9, PAGE, here[2], 0),
                      (here[0] - PAGE, PAGE + 1, USER << 2, 0),
                      (GUEST << 9, PAGE, here[2] + 4 * PAGE - 1, 0)):
            self.reject_table(here, other, words=["overlap"])
            self.reject_table(other, here, words=["overlap"])

    def test_H031_overlap_with_a_region_that_is_there(self):
        memory = self.memory
        for region in (memory.region, (memory.guest, PAGE, USER << 1, 0),
                       (GUEST << 8, PAGE, memory.user, 0),
                       (memory.guest + memory.size - 1, PAGE, USER << 1, 0),
                       (GUEST << 8, PAGE, memory.user - PAGE + 1, 0)):
            self.reject_region(*region, words=["overlap"])

    def test_H032_mapping_fails(self):
        huge = os.memfd_create("huge")
        self.addCleanup(os.close, huge)
        os.ftruncate(huge, 1 << 50)
        self.reject_both(GUEST << 20, 1 << 50, 1 << 60, 0, fd=huge, words=["cannot map"])

    def test_H033_removing_what_is_not_there(self):
        guest, size, user, _ = self.memory.region
        for region in ((guest + PAGE, size, user, 0), (guest, size - PAGE, user, 0),
                       (guest, size, user + PAGE, 0), (GUEST << 8, PAGE, USER << 1, 0)):
            self.assert_rejected(Req.REM_MEM_REG, SINGLE.pack(0, *region), words=["no memory"])

    def test_H019_H035_third_of_five_fails(self):
        regions = [(GUEST << 8 | n << 20, PAGE, USER << 1 | n << 20, 0) for n in range(5)]
        regions[2] = (GUEST << 9, PAGE, USER << 2, 1 << 30)
        before = self.backend.get_memory().get_region(0).get_guest_address()
        self.reject_table(*regions)
        self.assertEqual(self.backend.get_memory().get_region(0).get_guest_address(), before)


class InUse(Attack):
    """Memory changes under a running queue."""

    def test_H033_region_of_a_buffer_in_flight(self):
        held = []
        self.begin_ring(serve=lambda backend, queue: held.append(queue.pop()))
        other = self.make_memory(guest=GUEST << 8, user=USER << 1)
        region = SINGLE.pack(0, *other.region)
        self.peer.do(Req.ADD_MEM_REG, region, [other.fd])
        mappings = count_mappings()
        self.ring.describe(0, other.guest, 64, WRITE)
        self.ring.offer(0)
        self.ring.kick()
        run_loop(lambda: held)
        self.peer.do(Req.REM_MEM_REG, region)
        self.assertEqual(count_mappings(), mappings)
        self.assertEqual(held[0].write(0, b"still mine"), 10)
        self.assertEqual(other.read(0, 10), b"still mine")
        self.backend.get_queue(0).push(held[0], 10)
        self.assertEqual(count_mappings(), mappings - 1)

    def test_H034_table_swapped_under_load(self):
        self.begin_ring()
        for _ in range(100):
            self.offer_room(self.ring)
            self.peer.send(Req.SET_MEM_TABLE, pack_table(self.memory.region), [self.memory.fd],
                           VERSION | NEED_REPLY)
            self.peer.expect(Req.SET_MEM_TABLE)
            self.ring.wait_used((0, 16))
        self.assertEqual(self.events.take("device-failed"), [])

    def test_H037_buffer_in_memory_that_was_never_shared(self):
        self.begin_ring()
        self.ring.describe(0, self.memory.guest + (1 << 40), 16, WRITE)
        self.ring.offer(0)
        self.ring.kick()
        run_loop(lambda: "device-failed" in self.events.names())
        (error,), = self.events.take("device-failed")
        self.assertTrue(error.matches(Vhost.error_quark(), Vhost.Error.BROKEN_QUEUE))
        self.assertTrue(self.backend.is_connected())


class GoingAway(Attack):
    """H029: the file behind guest memory is cut short while it is mapped."""

    n_queues = 2

    def setUp(self):
        super().setUp()
        self.begin_ring()

    def assert_broken(self):
        run_loop(lambda: "device-failed" in self.events.names())
        for (error,) in self.events.take("device-failed"):
            self.assertTrue(error.matches(Vhost.error_quark(), Vhost.Error.BROKEN_QUEUE), error)
        self.assertEqual(self.ring.take_errors(), 1)
        self.bystander.assert_serves()
        self.assertTrue(self.backend.is_connected())

    def test_H029_ring_goes(self):
        os.ftruncate(self.memory.fd, 0)
        self.ring.kick()
        self.assert_broken()

    def test_H029_buffer_goes(self):
        self.ring.describe(0, self.memory.guest + self.memory.size - PAGE, 64, WRITE)
        self.ring.offer(0)
        os.ftruncate(self.memory.fd, self.memory.size - PAGE)
        self.ring.kick()
        self.assert_broken()

    def test_H029_goes_while_the_device_holds_a_chain(self):
        held = []
        self.backend.get_queue(0).set_kick_func(lambda queue: held.append(queue.pop()))
        self.offer_room(self.ring, size=64)
        run_loop(lambda: held)
        os.ftruncate(self.memory.fd, 0)
        held[0].write(0, b"into nothing")
        self.backend.get_queue(0).push(held[0], 12)
        self.ring.kick()
        self.assert_broken()

    def test_H029_is_whole_again_with_good_memory(self):
        os.ftruncate(self.memory.fd, 0)
        self.ring.kick()
        self.assert_broken()
        self.peer.ask_base(0)
        good = self.make_memory()
        self.share(good)
        ring = self.make_ring(good)
        ring.attach(self.peer)
        self.assert_served(ring)

    def test_H029_a_thousand_times(self):
        """While the other device serves on."""
        for n in range(250):
            memory = self.make_memory(2 * PAGE, guest=GUEST << 8, user=USER << 1)
            region = SINGLE.pack(0, *memory.region)
            self.peer.do(Req.ADD_MEM_REG, region, [memory.fd])
            shared = self.backend.get_memory()
            os.ftruncate(memory.fd, PAGE)
            for place in (0, PAGE, PAGE - 8, 2 * PAGE - 8):
                shared.read(memory.guest + place, 8)
            self.assertTrue(shared.get_region(1).is_broken())
            del shared
            self.peer.do(Req.REM_MEM_REG, region)
            if n % 10 == 0:
                self.bystander.assert_serves()
            memory.close()
        self.assert_served(self.ring)


if __name__ == "__main__":
    unittest.main()
