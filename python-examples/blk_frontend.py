#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reads a whole virtio disk, without a VM, and prints its sha256."""

import hashlib
import struct
import sys
import time

import serve
from gi.repository import GLib

HEADER = struct.Struct("<IIQ")  # type, reserved, sector
SECTOR = 512
IN = 0


class Reader:
    """Keeps several reads in flight and hands their data out in the order of the disk."""

    def __init__(self, queue, size, block_size, depth):
        self.queue, self.size, self.block_size, self.depth = queue, size, block_size, depth
        self.offset = 0
        self.waiting = {}  # token: offset
        self.done = {}  # offset: data

    def submit(self):
        while self.offset < self.size and len(self.waiting) + len(self.done) < self.depth:
            length = min(self.block_size, self.size - self.offset)
            request = HEADER.pack(IN, 0, self.offset // SECTOR)
            self.waiting[self.queue.add(request, length + 1)] = self.offset
            self.offset += length
        self.queue.kick()

    def blocks(self):
        expected = 0
        while expected < self.size:
            self.submit()
            buffer = self.queue.wait(None)
            data = buffer.get_data()
            offset = self.waiting.pop(buffer.get_token())
            if not data or data[-1] != 0:
                serve.fail(f"the disk cannot read at {offset}")
            self.done[offset] = data
            while (data := self.done.pop(expected, None)) is not None:
                yield data[:-1]
                expected += len(data) - 1


def show_progress(done, size):
    if sys.stderr.isatty():
        bar = "#" * (40 * done // size)
        print(f"\r[{bar:40}] {100 * done // size:3} %", end="", file=sys.stderr, flush=True)


def read_disk(queue, size, block_size, depth):
    digest, done = hashlib.sha256(), 0
    for data in Reader(queue, size, block_size, depth).blocks():
        digest.update(data)
        done += len(data)
        show_progress(done, size)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return digest.hexdigest()


def main():
    parser = serve.parser(__doc__)
    parser.add_argument("--block-size", type=int, default=1 << 20, help="of a read (%(default)s)")
    parser.add_argument("--depth", type=int, default=8, help="reads in flight (%(default)s)")
    parser.add_argument("--compare", metavar="IMAGE", help="must have the same sha256")
    options = parser.parse_args()
    frontend, driver = serve.open_driver(options, n_queues=1, queue_size=256)
    try:
        size = struct.unpack("<Q", frontend.get_config(0, 8, None))[0] * SECTOR
        started = time.monotonic()
        digest = read_disk(driver.get_queue(0), size, options.block_size, options.depth)
        seconds = time.monotonic() - started
        driver.stop(None)
    except GLib.Error as error:
        serve.fail(error)
    rate = size / seconds / (1 << 20)
    print(f"{size} bytes in {seconds:.2f} s, {rate:.0f} MiB/s, sha256 {digest}")
    if options.compare is not None:
        with open(options.compare, "rb") as image:
            expected = hashlib.sha256(image.read(size)).hexdigest()
        if digest != expected:
            serve.fail(f"{options.compare} has sha256 {expected}")


if __name__ == "__main__":
    main()
