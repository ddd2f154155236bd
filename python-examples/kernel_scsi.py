#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Asks a SCSI target of the kernel what it is, through vhost-scsi, and prints its first block."""

import argparse
import struct

import serve
from gi.repository import GLib, Vhost

COMMAND = struct.Struct("<BBH4xQBBB32s")  # 1, target, lun; tag; attribute, priority, crn; CDB
RESPONSE = struct.Struct("<IIHBB96s")  # sizes of sense and residue, qualifier, status, response
INQUIRY, READ_CAPACITY, READ_10, WRITE_10 = 0x12, 0x25, 0x28, 0x2A
CONTROL, EVENTS, REQUESTS = 0, 1, 2
GROUP = 1  # tpgt_1; the host shows each group as a target


class ScsiError(Exception):
    """The target did not do it."""


class Disk:
    """LUN 0 of a target."""

    def __init__(self, wwpn):
        self.host = Vhost.KernelScsi()
        self.host.open(None)
        self.host.set_endpoint(wwpn, GROUP)
        self.driver = Vhost.Driver(device=self.host)
        self.driver.start(3, 64, None)
        self.queue = self.driver.get_queue(REQUESTS)
        self.queue.set_timeout(20_000)

    def ask(self, cdb, data=b"", size=0):
        """Sends a command, with data to write or room for what is read; returns what was read."""
        command = COMMAND.pack(1, GROUP, 0x0040, 1, 0, 0, 0, cdb)  # LUN 0, big endian, 0x4000
        answer = self.queue.request(command + data, RESPONSE.size + size, None)
        _, residue, _, status, response, sense = RESPONSE.unpack_from(answer)
        if response or status:
            raise ScsiError(f"response {response}, status {status}, sense {sense[:18].hex()}")
        return answer[RESPONSE.size:RESPONSE.size + size - residue]

    def inquire(self):
        """Vendor, product and revision."""
        data = self.ask(struct.pack(">BBBHB", INQUIRY, 0, 0, 96, 0), size=96)
        return [data[a:b].decode("ascii").strip() for a, b in ((8, 16), (16, 32), (32, 36))]

    def get_capacity(self):
        """Number of blocks, and bytes of each."""
        last, block = struct.unpack(">II", self.ask(bytes([READ_CAPACITY]) + bytes(9), size=8))
        return last + 1, block

    def read(self, first, count, block=512):
        cdb = struct.pack(">BBIBHB", READ_10, 0, first, 0, count, 0)
        return self.ask(cdb, size=count * block)

    def write(self, first, data, block=512):
        self.ask(struct.pack(">BBIBHB", WRITE_10, 0, first, 0, len(data) // block, 0), data)

    def stop(self):
        self.driver.stop(None)
        self.host.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wwpn", help="the name of a vhost target in configfs, naa.5001405…")
    options = parser.parse_args()
    try:
        disk = Disk(options.wwpn)
        print(*disk.inquire())
        blocks, block = disk.get_capacity()
        print(f"{blocks} blocks of {block} bytes")
        print(disk.read(0, 1, block).hex())
        disk.stop()
    except (GLib.Error, ScsiError) as error:
        serve.fail(error)


if __name__ == "__main__":
    main()
