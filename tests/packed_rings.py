# SPDX-License-Identifier: BSD-3-Clause
"""Packed rings written by hand, as a driver would.

    ring = PackedRing(memory, 8)
    ring.offer((address, 64, WRITE))         # one chain; its number is what used() tells
    ring.used() == [(0, 64)]
"""

import os
import struct

from rings import NEXT, PAGE

DESC = struct.Struct("<QIHH")  # address, length, id, flags
AVAIL, USED = 0x80, 0x8000


class PackedRing:
    """A packed ring at an offset of a Memory: descriptors, driver's and device's event area."""

    def __init__(self, memory, size=8, offset=0):
        self.memory, self.size = memory, size
        self.desc = offset
        self.avail = self.desc + DESC.size * size
        self.used_ring = self.avail + 4
        self.end = (self.used_ring + 4 + PAGE - 1) // PAGE * PAGE
        self.kick_fd, self.call_fd = (os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                                      for _ in range(2))
        self._next = self._next_used = 0  # entries since the start; the lap is in the quotient
        self._in_flight = {}  # id: entries

    def close(self):
        os.close(self.kick_fd)
        os.close(self.call_fd)

    def begin_at(self, entry):
        """Where to go on, of a ring that has been in use for less than a lap."""
        self._next = self._next_used = entry

    def offer(self, *buffers):
        """Makes one chain of (address, length, flags) available; returns its id."""
        number = min(set(range(self.size)) - set(self._in_flight))
        self._in_flight[number] = len(buffers)
        for i in reversed(range(len(buffers))):  # the first entry makes the rest visible
            address, length, flags = buffers[i]
            lap = (self._next + i) // self.size
            flags |= NEXT if i + 1 < len(buffers) else 0
            self._put(self._next + i, address, length, number, flags | (USED if lap % 2 else AVAIL))
        self._next += len(buffers)
        return number

    def used(self):
        """(id, length) of each chain used since the last call."""
        found = []
        while self._in_flight:
            _, length, number, flags = self._get(self._next_used)
            mine = 0 if self._next_used // self.size % 2 else AVAIL | USED
            if flags & (AVAIL | USED) != mine:
                break
            found.append((number, length))
            self._next_used += self._in_flight.pop(number)
        return found

    def kick(self):
        os.eventfd_write(self.kick_fd, 1)

    def _get(self, entry):
        start = self.desc + DESC.size * (entry % self.size)
        return DESC.unpack(self.memory.read(start, DESC.size))

    def _put(self, entry, *fields):
        start = self.desc + DESC.size * (entry % self.size)
        self.memory.write(start, DESC.pack(*fields))
