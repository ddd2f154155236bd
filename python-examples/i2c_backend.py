#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio I2C adapter with one chip on its bus: an EEPROM of 256 bytes."""

import struct

import serve
from gi.repository import Vhost

HEADER = struct.Struct("<HHI")  # address, shifted left by one; padding; flags
FAIL_NEXT, READ = 1, 2
OK, ERROR = b"\0", b"\1"
ZERO_LENGTH_REQUEST = 0
LONGEST = 0xFFFF  # bytes of one message
SIZE = 256


class Eeprom:
    """The first byte of a write sets the address pointer, which each byte then moves on."""

    def __init__(self, contents=b""):
        self.cells = bytearray(contents[:SIZE].ljust(SIZE, b"\xff"))
        self.pointer = 0

    def read(self, size):
        return bytes(self.cells[self.step()] for _ in range(size))

    def write(self, data):
        for byte in data[:1]:
            self.pointer = byte
        for byte in data[1:]:
            self.cells[self.step()] = byte

    def step(self):
        here, self.pointer = self.pointer, (self.pointer + 1) % SIZE
        return here


class Bus:
    def __init__(self, chips):
        self.chips = chips  # by address, 7 bits
        self.failing = False  # the rest of a group of messages

    def transfer(self, chain, room):
        """One message; returns whether a chip answered."""
        header = chain.read(0, HEADER.size)
        if len(header) < HEADER.size:
            return False
        address, _, flags = HEADER.unpack(header)
        chip = None if self.failing else self.chips.get(address >> 1)
        done = chip is not None and self.talk(chip, chain, room, flags)
        self.failing = bool(flags & FAIL_NEXT) and not done
        return done

    def talk(self, chip, chain, room, flags):
        size = chain.get_readable_size() - HEADER.size
        if max(room, size) > LONGEST or (room if not flags & READ else size):
            return False
        if flags & READ:
            chain.write(0, chip.read(room))
        else:
            chip.write(chain.read(HEADER.size, size))
        return True

    def on_kick(self, backend, queue):
        while (chain := queue.pop()) is not None:
            room = chain.get_writable_size() - 1  # the last byte is the status
            if room >= 0:
                done = self.transfer(chain, room)
                chain.fill(0, 0, 0 if done else room)
                chain.write(room, OK if done else ERROR)
            queue.push(chain, room + 1)
        queue.notify()


def main():
    parser = serve.parser(__doc__, "i2c")
    parser.add_argument("--address", type=lambda text: int(text, 0), default=0x50,
                        help="of the EEPROM on the bus (0x50)")
    parser.add_argument("--contents", metavar="FILE", help="what the EEPROM holds at first")
    options = parser.parse_args()
    contents = b""
    if options.contents is not None:
        try:
            with open(options.contents, "rb") as file:
                contents = file.read(SIZE)
        except OSError as error:
            serve.fail(f"{options.contents}: {error.strerror}")
    adapter = Vhost.UserBackend(device_id=Vhost.DeviceId.I2C, n_queues=1)
    adapter.add_feature(ZERO_LENGTH_REQUEST)
    adapter.connect("kick", Bus({options.address: Eeprom(contents)}).on_kick)
    serve.run(adapter, options)


if __name__ == "__main__":
    main()
