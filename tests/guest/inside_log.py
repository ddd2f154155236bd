# SPDX-License-Identifier: BSD-3-Clause
"""Inside a guest: vhost-net logs which pages it writes, and nothing else."""

import mmap
import os
import unittest

import inside
from gi.repository import Vhost
from helpers import wait_until
from inside_net import RECEIVE, TRANSMIT, Net, Wire, make_frame
from kernel_net import open_tap
from rings import PAGE, WRITE, Memory, Ring

SIZE = 16  # descriptors
HEADER = 12
LOGGED = (0x1C0000, 0x1C8000)  # where the used rings are logged: not where they are
LOG_BYTES = 4096
VERSION_1, LOG_ALL = 1 << Vhost.Feature.VERSION_1, 1 << Vhost.Feature.LOG_ALL


class Log(Net):
    def setUp(self):
        self.memory = Memory(1 << 20)
        self.addCleanup(self.memory.close)
        self.rings = [Ring(self.memory, SIZE, offset) for offset in (0, 0x4000)]
        for ring in self.rings:
            self.addCleanup(ring.close)
        tap = open_tap("tap0")
        self.addCleanup(os.close, tap)
        self.quieten("tap0")
        self.wire = Wire(self.open_packet("tap0"))
        self.net = Vhost.KernelNet()
        self.net.open(None)
        self.addCleanup(self.net.close)
        self.net.set_backend(tap)
        self.share_memory()
        self.make_log()
        for index in (RECEIVE, TRANSMIT):
            self.start(index)

    def share_memory(self):
        guest, size, user, _ = self.memory.region
        region = Vhost.MemoryRegion.new(guest, size, user, self.memory.fd, 0)
        self.net.set_memory(Vhost.Memory.new().add(region), None)

    def make_log(self):
        fd = os.memfd_create("log")
        os.ftruncate(fd, LOG_BYTES)
        self.log = mmap.mmap(fd, LOG_BYTES)
        self.addCleanup(self.log.close)
        self.log_fd = os.eventfd(0, os.EFD_NONBLOCK)
        self.addCleanup(os.close, self.log_fd)
        self.net.set_log_base(fd, LOG_BYTES, 0, None)
        self.net.set_log_fd(self.log_fd, None)
        os.close(fd)
        self.net.set_features(VERSION_1 | LOG_ALL, None)

    def place(self, index, flags):
        ring = self.rings[index]
        desc, avail, used = (self.memory.guest + place
                             for place in (ring.desc, ring.avail, ring.used_ring))
        self.net.set_vring_addr(index, flags, desc, avail, used, LOGGED[index], None)

    def start(self, index):
        ring = self.rings[index]
        self.net.set_vring_num(index, SIZE, None)
        self.net.set_vring_base(index, 0, None)
        self.place(index, flags=1)
        self.net.set_vring_call(index, ring.call_fd, None)
        self.net.set_vring_kick(index, ring.kick_fd, None)
        self.net.set_vring_enable(index, True, None)

    def read_log(self):
        """The numbers of the pages that are marked."""
        return {8 * byte + bit for byte, value in enumerate(self.log[:]) for bit in range(8)
                if value >> bit & 1}

    def clear_log(self):
        self.log[:] = bytes(LOG_BYTES)

    def check_log(self, data, ring):
        """These pages of buffers are marked, and this ring's; a worker that looks for more to do
        may mark what belongs to any ring. The kernel marks after it has told of the buffers.
        """
        expected = data | {LOGGED[ring] // PAGE}
        wait_until(lambda: expected <= self.read_log(), f"mark of each of {expected}", 20)
        self.assertEqual(self.read_log() - {place // PAGE for place in LOGGED}, data)
        self.clear_log()

    def receive(self, frames):
        """Frames arrive in buffers that lie across pages; returns the pages they were put into."""
        ring, pages = self.rings[RECEIVE], set()
        first = ring.avail_idx
        places = [self.memory.guest + 0x40000 + 3 * PAGE * n + 0xE80 for n in range(frames)]
        for n, place in enumerate(places):
            ring.describe(n, place, 1600, WRITE)
        ring.offer(*range(frames))
        ring.kick()
        for number in range(frames):
            self.wire.send(make_frame(number, 1400))
        wait_until(lambda: (ring.used_idx - first) & 0xFFFF == frames, "frames", 20)
        for head, length in ring.used():
            self.assertEqual(length, HEADER + len(make_frame(head, 1400)))
            pages |= set(range(places[head] // PAGE, (places[head] + length - 1) // PAGE + 1))
        return pages

    def test_pages_equal_the_oracle(self):
        """Known mistake: the used ring's log address is the guest's, and is not translated."""
        for frames in (1, 7, SIZE):
            written = self.receive(frames)
            self.check_log(written, RECEIVE)
            inside.report(f"pages-{frames}", len(written))
        self.assertGreater(os.eventfd_read(self.log_fd), 0)

    def test_what_is_read_is_not_logged(self):
        ring = self.rings[TRANSMIT]
        place = self.memory.guest + 0x80000
        frame = bytes(HEADER) + make_frame(3)
        self.memory.write(0x80000, frame)
        ring.describe(0, place, len(frame))
        ring.offer(0)
        ring.kick()
        self.assertEqual(self.wire.receive(), make_frame(3))
        wait_until(lambda: ring.used_idx == 1, "buffer used", 20)
        self.check_log(set(), TRANSMIT)

    def test_logging_ends(self):
        self.receive(1)
        self.net.set_features(VERSION_1, None)
        for index in (RECEIVE, TRANSMIT):
            self.place(index, flags=0)
        self.clear_log()
        self.receive(3)
        self.assertEqual(self.read_log(), set())


if __name__ == "__main__":
    inside.run_tests()
