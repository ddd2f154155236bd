# SPDX-License-Identifier: BSD-3-Clause
"""Guest memory and split rings written by hand, as a driver would, or as no driver should.

    memory = Memory(1 << 20)
    ring = Ring(memory, 8)
    ring.describe(0, memory.guest + ring.end, 64, WRITE)
    ring.offer(0)
    ring.attach(peer, 0)                     # tells a back-end, which finds the chain
    ring.used() == [(0, 64)]
"""

import mmap
import os
import struct

from helpers import run_loop
from wire import ADDR, STATE, Req

DESC = struct.Struct("<QIHH")  # address, length, flags, next
USED = struct.Struct("<II")  # id, length
NEXT, WRITE, INDIRECT = 1, 2, 4
PAGE = 4096


class Memory:
    """A memfd mapped here, that is shared as one region of guest memory."""

    def __init__(self, size=1 << 20, guest=0x100000, user=0x7F0000000000):
        self.size, self.guest, self.user = size, guest, user
        self.fd = os.memfd_create("guest")
        os.ftruncate(self.fd, size)
        self.map = mmap.mmap(self.fd, size)

    def close(self):
        """May be called twice."""
        if not self.map.closed:
            self.map.close()
            os.close(self.fd)

    @property
    def region(self):
        """As SET_MEM_TABLE and ADD_MEM_REG have it."""
        return self.guest, self.size, self.user, 0

    def read(self, offset, size):
        return self.map[offset:offset + size]

    def write(self, offset, data):
        self.map[offset:offset + len(data)] = data


class Ring:
    """A split ring at an offset of a Memory. Nothing it writes is checked."""

    def __init__(self, memory, size=8, offset=0):
        self.memory, self.size = memory, size
        self.desc = offset
        self.avail = self.desc + 16 * size
        self.used_ring = (self.avail + 6 + 2 * size + 3) // 4 * 4
        self.end = (self.used_ring + 6 + 8 * size + PAGE - 1) // PAGE * PAGE
        self.kick_fd, self.call_fd, self.err_fd = (os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
                                                   for _ in range(3))
        self._seen = 0

    def close(self):
        for fd in (self.kick_fd, self.call_fd, self.err_fd):
            os.close(fd)

    # --- what a driver writes

    def describe(self, index, address, length, flags=0, following=0, table=None):
        """One descriptor of the ring's own table, or of an indirect one at offset `table`."""
        start = self.desc if table is None else table
        self.memory.write(start + DESC.size * index, DESC.pack(address, length, flags, following))

    def offer(self, *heads):
        """Makes chains available."""
        for head in heads:
            idx = self.avail_idx
            self._put(self.avail + 4 + 2 * (idx % self.size), head)
            self.avail_idx = (idx + 1) & 0xFFFF

    @property
    def avail_idx(self):
        return self._get(self.avail + 2)

    @avail_idx.setter
    def avail_idx(self, value):
        self._put(self.avail + 2, value)

    @property
    def used_event(self):
        return self._get(self.avail + 4 + 2 * self.size)

    @used_event.setter
    def used_event(self, value):
        self._put(self.avail + 4 + 2 * self.size, value)

    def kick(self):
        os.eventfd_write(self.kick_fd, 1)

    # --- what a device writes

    @property
    def used_idx(self):
        return self._get(self.used_ring + 2)

    @used_idx.setter
    def used_idx(self, value):
        self._put(self.used_ring + 2, value)

    def used(self):
        """(head, length) of each chain used since the last call."""
        found = []
        while self._seen != self.used_idx:
            place = self.used_ring + 4 + 8 * (self._seen % self.size)
            found.append(USED.unpack(self.memory.read(place, USED.size)))
            self._seen = (self._seen + 1) & 0xFFFF
        return found

    def wait_used(self, *expected, deadline=5.0):
        """Runs the main loop until exactly these (head, length) have been used."""
        found = []

        def have_all():
            found.extend(self.used())
            return len(found) >= len(expected)
        run_loop(have_all, deadline)
        if found != list(expected):
            raise AssertionError(f"used are {found}, not {list(expected)}")

    def begin_at(self, index):
        """Both indices, of a ring that has been in use."""
        self.avail_idx = self.used_idx = self._seen = index

    # --- how a back-end hears of it

    def pack_addr(self, index=0, flags=0, **moved):
        """The payload of SET_VRING_ADDR; desc, used and avail may be given as user addresses."""
        user = self.memory.user
        return ADDR.pack(index, flags, moved.get("desc", user + self.desc),
                         moved.get("used", user + self.used_ring),
                         moved.get("avail", user + self.avail), 0)

    def attach(self, peer, index=0, base=0, enable=True):
        """Everything from SET_VRING_NUM to SET_VRING_ENABLE; memory must be there."""
        peer.do(Req.SET_VRING_NUM, STATE.pack(index, self.size))
        peer.do(Req.SET_VRING_BASE, STATE.pack(index, base))
        peer.do(Req.SET_VRING_ADDR, self.pack_addr(index))
        self.give_fds(peer, index)
        if enable:
            peer.do(Req.SET_VRING_ENABLE, STATE.pack(index, 1))

    def give_fds(self, peer, index=0):
        """Call and err, then the kick that starts the ring."""
        for request, fd in ((Req.SET_VRING_CALL, self.call_fd), (Req.SET_VRING_ERR, self.err_fd),
                            (Req.SET_VRING_KICK, self.kick_fd)):
            if peer.set_fd(request, index, fd) != 0:
                raise AssertionError(f"{request!r} was refused")

    def take_kicks(self):
        """Empties the kick descriptor, as if nobody had kicked."""
        return self._drain(self.kick_fd)

    def take_calls(self):
        """How often the device notified since the last call."""
        return self._drain(self.call_fd)

    def take_errors(self):
        return self._drain(self.err_fd)

    @staticmethod
    def _drain(fd):
        try:
            return os.eventfd_read(fd)
        except BlockingIOError:
            return 0

    def _get(self, offset):
        return int.from_bytes(self.memory.read(offset, 2), "little")

    def _put(self, offset, value):
        self.memory.write(offset, (value & 0xFFFF).to_bytes(2, "little"))
