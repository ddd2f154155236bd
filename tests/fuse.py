# SPDX-License-Identifier: BSD-3-Clause
"""FUSE as a guest speaks it to a virtio file system, request by request."""

import os
import struct


class Fuse:
    """For a test that has a started `driver`, whose queue 0 is for FORGET and 1 for the rest."""

    IN, OUT = struct.Struct("<IIQQIIIHH"), struct.Struct("<IiQ")
    (LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS, RELEASE, INIT, OPENDIR, READDIR,
     DESTROY, BATCH_FORGET) = 1, 2, 3, 5, 14, 15, 17, 18, 26, 27, 28, 38, 42
    ROOT = 1

    def call(self, opcode, node=ROOT, data=b"", size=4096):
        """(errno, bytes) of a FUSE request."""
        request = self.IN.pack(40 + len(data), opcode, 99, node, 0, 0, 0, 0, 0) + data
        answer = bytes(self.driver.get_queue(1).request(request, 16 + size, None))
        length, error, unique = self.OUT.unpack_from(answer)
        self.assertEqual((length, unique), (len(answer), 99))
        return -error, answer[16:]

    def get(self, *args, **options):
        error, data = self.call(*args, **options)
        self.assertEqual(error, 0, os.strerror(error))
        return data

    def look_up(self, name, node=ROOT):
        data = self.get(self.LOOKUP, node, name + b"\0")
        self.assertEqual(len(data), 128)
        return struct.unpack_from("<Q", data)[0]

    def open(self, node, opcode=OPEN, flags=0):
        return struct.unpack_from("<Q", self.get(opcode, node, struct.pack("<II", flags, 0)))[0]

    def read(self, handle, offset, size, opcode=READ):
        return self.call(opcode, self.ROOT, struct.pack("<QQI20x", handle, offset, size),
                         max(size, 4096))

    def get_attributes(self, node=ROOT):
        data = self.get(self.GETATTR, node, bytes(16))
        self.assertEqual(len(data), 104)
        return data[16:]

    def forget(self, node, count):
        """What no answer is expected for."""
        request = self.IN.pack(48, self.FORGET, 1, node, 0, 0, 0, 0, 0) + struct.pack("<Q", count)
        self.driver.get_queue(0).request(request, 0, None)
