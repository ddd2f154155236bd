# SPDX-License-Identifier: BSD-3-Clause
"""Guest memory from a script: regions inside a huge page, tables that never change."""

import mmap
import os
import unittest

import gi

gi.require_version("Vhost", "1")
from gi.repository import GLib, Vhost  # noqa: E402

HUGE_PAGES = "/proc/sys/vm/nr_hugepages"
HUGE = 2 << 20


def read_number(path):
    with open(path) as file:
        return int(file.read())


class HugePages(unittest.TestCase):
    def setUp(self):
        before = read_number(HUGE_PAGES)
        self.write_number(before + 4)
        self.addCleanup(self.write_number, before)
        if read_number(HUGE_PAGES) < before + 4:
            self.skipTest("the kernel gives no 4 huge pages: too little free memory in one piece")

    def write_number(self, number):
        try:
            with open(HUGE_PAGES, "w") as file:
                file.write(str(number))
        except OSError as error:
            self.skipTest(f"{HUGE_PAGES} cannot be set ({error.strerror}): this needs root")

    def test_region_inside_a_huge_page(self):
        fd = os.memfd_create("huge", os.MFD_HUGETLB)
        self.addCleanup(os.close, fd)
        os.ftruncate(fd, 2 * HUGE)
        offset = HUGE // 2 + 4096
        region = Vhost.MemoryRegion.new(0x1000, HUGE, 0x5000, fd, offset)
        memory = Vhost.Memory.new().add(region)
        memory.write(0x1000, b"first")
        memory.write(0x1000 + HUGE - 4, b"last")
        self.assertEqual(memory.read(0x1000, 5), b"first")
        with mmap.mmap(fd, 2 * HUGE) as file:
            self.assertEqual(file[offset:offset + 5], b"first")
            self.assertEqual(file[offset + HUGE - 4:offset + HUGE], b"last")


class Table(unittest.TestCase):
    def make_region(self, guest, size=4096):
        fd = os.memfd_create("region")
        self.addCleanup(os.close, fd)
        os.ftruncate(fd, size)
        return Vhost.MemoryRegion.new(guest, size, guest + (1 << 40), fd, 0)

    def test_change_makes_a_new_table(self):
        empty = Vhost.Memory.new()
        one = empty.add(self.make_region(0))
        two = one.add(self.make_region(4096))
        self.assertEqual([t.get_n_regions() for t in (empty, one, two)], [0, 1, 2])
        two.write(4094, b"over")
        self.assertEqual(two.read(4094, 4), b"over")
        with self.assertRaises(GLib.Error) as caught:
            one.read(4094, 4)
        self.assertIn("0x1000 is in no memory region", caught.exception.message)
        self.assertEqual(two.remove(0, 4096, 1 << 40).get_n_regions(), 1)

    def test_overlap_is_refused(self):
        table = Vhost.Memory.new().add(self.make_region(0, 8192))
        with self.assertRaises(GLib.Error) as caught:
            table.add(self.make_region(4096))
        self.assertTrue(caught.exception.matches(Vhost.error_quark(), Vhost.Error.BAD_MEMORY))


if __name__ == "__main__":
    unittest.main()
