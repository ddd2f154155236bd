#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio disk, served from an image file or a block device."""

import argparse
import ctypes
import os
import struct

import serve
from gi.repository import GLib, Vhost

SECTOR = 512
HEADER = struct.Struct("<IIQ")  # type, reserved, sector
RANGE = struct.Struct("<QII")  # sector, number of sectors, flags
IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES = 0, 1, 4, 8, 11, 13
OK, IOERR, UNSUPP = b"\0", b"\1", b"\2"
UNMAP = 1  # flag of WRITE_ZEROES
MAX_DISCARD, MAX_ZEROES = 1 << 22, 1 << 15  # sectors of one request
PUNCH_HOLE_KEEP_SIZE = 3  # of fallocate()
libc = ctypes.CDLL(None, use_errno=True)


class Disk:
    def __init__(self, path, read_only, n_queues):
        self.fd = os.open(path, (os.O_RDONLY if read_only else os.O_RDWR) | os.O_CLOEXEC)
        self.read_only, self.n_queues = read_only, n_queues
        self.name = os.path.basename(path).encode()[:20].ljust(20, b"\0")
        self.size = self.measure()

    def measure(self):
        return os.lseek(self.fd, 0, os.SEEK_END) // SECTOR * SECTOR

    def config(self):
        """struct virtio_blk_config (VIRTIO 1.4, section 5.2.4)."""
        return struct.pack(
            "<QIIHBBIBBHIBBHIIIIIB", self.size // SECTOR, 0, 126, 0, 0, 0, SECTOR, 0, 0, 0, 0,
            0, 0, self.n_queues, MAX_DISCARD, 1, 1, MAX_ZEROES, 1, 1).ljust(96, b"\0")

    def on_timeout(self, backend):
        """Tells the driver when somebody has made the image larger, or smaller."""
        size = self.measure()
        if size != self.size:
            self.size = size
            backend.set_config(self.config())
            backend.announce_config()
        return GLib.SOURCE_CONTINUE

    def transfer(self, chain, kind, offset):
        """Moves data between the guest and the file; no byte of it passes through Python."""
        size = (chain.get_writable_size() - 1) if kind == IN else (
            chain.get_readable_size() - HEADER.size)
        if size % SECTOR or offset + size > self.size:
            return IOERR
        done = 0
        while done < size:
            if kind == IN:
                n = chain.write_from_fd(done, size - done, self.fd, offset + done)
            else:
                n = chain.read_to_fd(HEADER.size + done, size - done, self.fd, offset + done)
            if n == 0:
                return IOERR
            done += n
        return OK

    def clear(self, chain, kind):
        """A hole reads as zeroes, so that it serves both; but without UNMAP none may be made."""
        sector, count, flags = RANGE.unpack(chain.read(HEADER.size, RANGE.size))
        if flags & ~(UNMAP if kind == WRITE_ZEROES else 0):
            return UNSUPP
        if (sector + count) * SECTOR > self.size or count > (
                MAX_DISCARD if kind == DISCARD else MAX_ZEROES):
            return IOERR
        if kind == WRITE_ZEROES and not flags & UNMAP:
            done = os.pwrite(self.fd, bytes(count * SECTOR), sector * SECTOR)
            return OK if done == count * SECTOR else IOERR
        done = libc.fallocate(self.fd, PUNCH_HOLE_KEEP_SIZE, ctypes.c_long(sector * SECTOR),
                              ctypes.c_long(count * SECTOR))
        return OK if done == 0 else IOERR

    def serve(self, chain, kind, sector):
        if self.read_only and kind in (OUT, DISCARD, WRITE_ZEROES):
            return IOERR
        if kind in (IN, OUT):
            return self.transfer(chain, kind, sector * SECTOR)
        if kind == FLUSH:
            os.fdatasync(self.fd)
            return OK
        if kind == GET_ID:
            chain.write(0, self.name)
            return OK
        if kind in (DISCARD, WRITE_ZEROES):
            return self.clear(chain, kind)
        return UNSUPP

    def complete(self, chain):
        """Serves one request; its status is the last byte that the device may write."""
        room = chain.get_writable_size()
        if room == 0:
            return 0  # nowhere to say what became of it
        try:
            kind, _, sector = HEADER.unpack(chain.read(0, HEADER.size))
            status = self.serve(chain, kind, sector)
        except (GLib.Error, OSError, struct.error):
            status = IOERR
        if status != OK:
            chain.fill(0, 0, room - 1)
        chain.write(room - 1, status)
        return room

    def on_kick(self, backend, queue):
        while (chain := queue.pop()) is not None:
            queue.push(chain, self.complete(chain))
        queue.notify()

    def attach(self, backend):
        """Makes a disk of a back-end, whatever carries it."""
        backend.set_config(self.config())
        for feature in ("SEG_MAX", "BLK_SIZE", "FLUSH", "MQ"):
            backend.add_feature(getattr(Vhost.BlkFeature, feature))
        for feature in ("RO",) if self.read_only else ("DISCARD", "WRITE_ZEROES"):
            backend.add_feature(getattr(Vhost.BlkFeature, feature))
        backend.connect("kick", self.on_kick)
        GLib.timeout_add_seconds(1, self.on_timeout, backend)


def main():
    parser = serve.parser(__doc__, "block", ["read-only", "blk-file"])
    parser.add_argument("--read-only", action="store_true", help="refuse to change the image")
    parser.add_argument("--num-queues", type=int, default=1, help="(%(default)s)")
    image = parser.add_mutually_exclusive_group(required=True)
    image.add_argument("--blk-file", metavar="PATH", dest="image", help="file or block device")
    image.add_argument("image", nargs="?", help="the same", default=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        disk = Disk(options.image, options.read_only, options.num_queues)
    except OSError as error:
        serve.fail(f"{options.image}: {error.strerror}")
    blk = Vhost.UserBackend(device_id=Vhost.DeviceId.BLOCK, n_queues=options.num_queues)
    disk.attach(blk)
    serve.run(blk, options)


if __name__ == "__main__":
    main()
