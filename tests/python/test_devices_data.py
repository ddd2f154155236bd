# SPDX-License-Identifier: BSD-3-Clause
"""The examples that carry much data, each driven without a VM: the SCSI disk, the file system and
the GPU; what a guest would do, and what only a hostile one does.
"""

import errno
import os
import struct
import unittest

from example_device import Device
from fuse import Fuse
from helpers import wait_until
from peers import Row
from pictures import read_png

ROW = Row("front-end, back-end", "this library",
          "scsi, fs, gpu: what a guest does and what only a hostile one does")

BLOCK = 512


class Scsi(Device):
    BLOCKS = 100
    HEADER = struct.Struct("<BBHIQBBB32s")
    GOOD, CHECK = 0, 2

    def setUp(self):
        super().setUp()
        self.content = os.urandom(self.BLOCKS * BLOCK)
        with open(self.path("disk.img"), "wb") as file:
            file.write(self.content)
        self.start("scsi", self.path("disk.img"), n_queues=3)

    def command(self, cdb, data=b"", size=0, target=0, lun=0):
        """(status, sense key and code, data) of a command; the response of the adapter is OK."""
        queue = self.driver.get_queue(2)
        request = self.HEADER.pack(1, target, (lun << 8) | 0x40, 0, 77, 0, 0, 0, bytes(cdb))
        answer = self.ask(queue, request + data, 108 + size)
        sense_size, self.left, _, status, self.response = struct.unpack_from("<IIHBB", answer)
        sense = answer[12:12 + sense_size]
        return status, (sense[2], sense[12]) if sense else None, answer[108:]

    def check_fails(self, cdb, sense, **options):
        self.assertEqual(self.command(cdb, **options), (self.CHECK, sense, b""), cdb)
        self.assertEqual(self.response, 0)

    def test_says_what_it_is(self):
        status, _, data = self.command([0x12, 0, 0, 0, 36], size=36)
        self.assertEqual((status, data[8:32]), (self.GOOD, b"LIBVHOSTEXAMPLE DISK    "))
        for page in self.command([0x12, 1, 0, 0, 64], size=64)[2][4:]:
            status, _, data = self.command([0x12, 1, page, 0, 64], size=64)
            self.assertEqual((status, data[1], len(data) - 4), (self.GOOD, page, data[3]))
        self.assertEqual(self.command([0x25], size=8)[2], struct.pack(">II", 99, BLOCK))
        self.assertEqual(self.command([0x9E, 0x10] + [0] * 11 + [32], size=32)[2][:12],
                         struct.pack(">QI", 99, BLOCK))
        self.assertEqual(self.command([0xA0] + [0] * 8 + [16], size=16)[2],
                         b"\0\0\0\x08" + bytes(12))
        for cdb, size in (([0], 0), ([3, 0, 0, 0, 18], 18), ([0x1A, 0, 0, 0, 4], 4),
                          ([0x5A] + [0] * 7 + [8], 8), ([0x35], 0)):
            status, _, data = self.command(cdb, size=size)
            self.assertEqual((status, len(data)), (self.GOOD, size), cdb)

    def test_an_answer_is_cut_to_the_allocation(self):
        self.assertEqual(len(self.command([0x12, 0, 0, 0, 5], size=36)[2]), 5)
        self.assertEqual(self.left, 31)
        self.assertEqual(len(self.command([0x12, 0, 0, 0, 36], size=5)[2]), 5)

    def test_reads_and_writes(self):
        data = os.urandom(3 * BLOCK)
        for write, read, form, length in ((0x2A, 0x28, ">BxIxHx", 10), (0x8A, 0x88, ">BxQIxx", 16)):
            first = length
            self.assertEqual(self.command(struct.pack(form, write, first, 3), data),
                             (self.GOOD, None, b""))
            self.assertEqual(self.command(struct.pack(form, read, first - 1, 5), size=5 * BLOCK)[2],
                             self.content[(first - 1) * BLOCK:first * BLOCK] + data
                             + self.content[(first + 3) * BLOCK:(first + 4) * BLOCK])

    def test_refuses_what_is_beyond_the_end(self):
        for first, count in ((100, 1), (99, 2), (0xFFFFFFFF, 1)):
            for code in (0x28, 0x2A):
                self.check_fails(struct.pack(">BxIxHx", code, first, count), (5, 0x21),
                                 data=bytes(2 * BLOCK))
        self.check_fails(struct.pack(">BxQIxx", 0x88, (1 << 64) - 1, 0xFFFFFFFF), (5, 0x21))
        with open(self.path("disk.img"), "rb") as file:
            self.assertEqual(file.read(), self.content)

    def test_refuses_to_move_more_than_there_is_room_for(self):
        for code in (0x28, 0x2A):
            self.command(struct.pack(">BxIxHx", code, 0, 2), size=BLOCK, data=bytes(BLOCK))
            self.assertEqual(self.response, 1)  # OVERRUN

    def test_nonsense(self):
        self.check_fails([0xFF], (5, 0x20))
        self.check_fails([0x9E, 3], (5, 0x20))
        self.check_fails([0x12, 1, 0x77, 0, 99], (5, 0x24))
        self.check_fails([0x00], (5, 0x25), lun=1)
        self.assertEqual(self.command([0x12, 0, 0, 0, 36], size=36, lun=5)[2][:1], b"\x7f")
        self.command([0x00], target=1)
        self.assertEqual(self.response, 3)  # BAD_TARGET
        queue = self.driver.get_queue(2)
        self.assertEqual(self.ask(queue, b"short", 200), b"")
        self.assertEqual(self.ask(queue, bytes(51), 100), b"")
        self.assertEqual(self.command([0x00])[0], self.GOOD)

    def test_control(self):
        for request, answer in (
                (struct.pack("<II8sQ", 0, 5, b"\1\0\x40\0", 1), b"\0"),
                (struct.pack("<II8sQ", 0, 5, b"\1\1\x40\0", 1), b"\x0c"),
                (struct.pack("<I8sI", 1, b"\1", 4), bytes(5)), (b"\7\0\0\0", b"\x0b"),
                (b"\0\0\0\0", b"\x0b"), (b"", b"\x0b")):
            self.assertEqual(self.ask(self.queue, request, 5), answer, request)


class FileSystem(Fuse, Device):
    def setUp(self):
        super().setUp()
        self.tree = self.directory / "tree"
        (self.tree / "sub").mkdir(parents=True)
        (self.tree / "file").write_bytes(b"0123456789")
        os.link(self.tree / "file", self.tree / "sub" / "same")
        (self.tree / "link").symlink_to("sub/same")
        (self.tree / "out").symlink_to("/etc")
        os.mkfifo(self.tree / "pipe")
        self.start("fs", "--tag", "name", self.tree, n_queues=2)

    def test_begins(self):
        self.assertEqual(bytes(self.frontend.get_config(0, 40, None)),
                         b"name".ljust(36, b"\0") + struct.pack("<I", 1))
        data = self.get(self.INIT, data=struct.pack("<4I", 7, 41, 1 << 17, 0xFFFFFFFF))
        self.assertEqual((len(data), struct.unpack_from("<4I", data)), (64, (7, 31, 1 << 17, 0)))
        for data in (struct.pack("<4I", 7, 5, 0, 0), struct.pack("<4I", 1, 99, 0, 0), b"short"):
            self.assertNotEqual(self.call(self.INIT, data=data)[0], 0)

    def test_reads_a_file(self):
        handle = self.open(self.look_up(b"file"))
        self.assertEqual(self.read(handle, 0, 100), (0, b"0123456789"))
        self.assertEqual(self.read(handle, 3, 4), (0, b"3456"))
        self.assertEqual(self.read(handle, 10, 4), (0, b""))
        self.assertEqual(self.read(handle, 1 << 62, 4), (0, b""))
        self.assertEqual(self.read(handle, (1 << 64) - 2, 4)[0], errno.EINVAL)
        self.get(self.RELEASE, self.ROOT, struct.pack("<Q16x", handle))
        self.assertEqual(self.read(handle, 0, 1)[0], errno.EBADF)

    def test_a_file_with_two_names_is_one(self):
        first = self.look_up(b"file")
        self.assertEqual(self.look_up(b"same", self.look_up(b"sub")), first)
        attributes = self.get_attributes(first)
        seen = os.stat(self.tree / "file")
        self.assertEqual(struct.unpack_from("<QQ", attributes), (seen.st_ino, 10))
        self.assertEqual(struct.unpack_from("<II", attributes, 60), (seen.st_mode, 2))

    def test_forgets_after_as_many_look_ups(self):
        node = [self.look_up(b"file") for _ in range(3)][0]
        self.forget(node, 2)
        self.assertEqual(self.call(self.GETATTR, node)[0], 0)
        pairs = struct.pack("<IIQQQQ", 2, 0, 12345, 1, node, 1)
        self.ask(self.queue, self.IN.pack(80, self.BATCH_FORGET, 1, 0, 0, 0, 0, 0, 0) + pairs, 0)
        self.assertEqual(self.call(self.GETATTR, node)[0], errno.ESTALE)
        self.forget(self.ROOT, 1 << 63)
        self.forget(777, 1)
        self.assertEqual(self.call(self.GETATTR)[0], 0)

    def test_lists_a_directory_piece_by_piece(self):
        handle, names, offset = self.open(self.ROOT, self.OPENDIR), [], 0
        while data := self.read(handle, offset, 40, self.READDIR)[1]:
            inode, offset, length, _ = struct.unpack_from("<QQII", data)
            names.append(data[24:24 + length])
            self.assertEqual(inode, os.lstat(bytes(self.tree) + b"/" + names[-1]).st_ino)
        self.assertEqual(sorted(names), [b"file", b"link", b"out", b"pipe", b"sub"])
        self.assertEqual(self.read(handle, 1 << 63, 4096, self.READDIR), (0, b""))
        self.assertEqual(self.read(handle, 0, 10)[0], errno.EBADF)

    def test_stays_inside_its_tree(self):
        for name in (b"..", b".", b"", b"sub/same", b"/etc", b"x" * 300):
            self.assertEqual(self.call(self.LOOKUP, data=name + b"\0")[0], errno.EINVAL, name)
        self.assertEqual(self.call(self.LOOKUP, data=b"nothing\0")[0], errno.ENOENT)
        out = self.look_up(b"out")
        self.assertEqual(self.get(self.READLINK, out), b"/etc")
        self.assertEqual(self.call(self.LOOKUP, out, b"hostname\0")[0], errno.ENOTDIR)
        for node in (out, self.look_up(b"pipe")):
            self.assertEqual(self.call(self.OPEN, node, bytes(8))[0], errno.EACCES)

    def test_is_read_only(self):
        node = self.look_up(b"file")
        for flags in (os.O_WRONLY, os.O_RDWR, os.O_TRUNC):
            self.assertEqual(self.call(self.OPEN, node, struct.pack("<II", flags, 0))[0],
                             errno.EROFS)
        for opcode in (4, 9, 10, 12, 16, 35):
            self.assertEqual(self.call(opcode, node, bytes(200))[0], errno.EROFS, opcode)
        self.assertEqual((self.tree / "file").read_bytes(), b"0123456789")

    def test_nonsense(self):
        queue = self.driver.get_queue(1)
        self.assertEqual(self.ask(queue, b"short", 100), b"")
        self.assertEqual(self.ask(queue, bytes(40), 15), b"")
        self.assertEqual(self.call(9999)[0], errno.ENOSYS)
        for opcode in (self.GETATTR, self.READLINK, self.OPENDIR, self.STATFS, self.LOOKUP):
            self.assertNotEqual(self.call(opcode, 1 << 63, b"name\0\0\0\0")[0], 0, opcode)
        for opcode in (self.OPEN, self.READ, self.READDIR, self.RELEASE):
            self.assertEqual(self.call(opcode, data=b"short")[0], errno.EINVAL, opcode)
        self.assertEqual(self.call(self.GETATTR, size=10)[0], errno.ERANGE)
        self.assertEqual(self.call(self.OPENDIR, self.look_up(b"file"), bytes(8))[0], errno.ENOTDIR)

    def test_gives_out_so_many_handles(self):
        node = self.look_up(b"file")
        found = [self.call(self.OPEN, node, bytes(8))[0] for _ in range(1001)]
        self.assertEqual(found, [0] * 1000 + [errno.ENFILE])
        self.get(self.DESTROY)
        self.open(self.look_up(b"file"))


class Gpu(Device):
    HEADER = struct.Struct("<IIQII")
    (INFO, CREATE, UNREF, SCANOUT, FLUSH, TRANSFER, ATTACH, DETACH) = range(0x100, 0x108)
    OK, OK_INFO, UNSPEC, NO_MEMORY, NO_SCANOUT, NO_RESOURCE, BAD = (
        0x1100, 0x1101, 0x1200, 0x1201, 0x1202, 0x1203, 0x1205)
    WIDTH, HEIGHT = 40, 30
    complaint = ""

    def said(self):
        return self.complaint

    def setUp(self):
        super().setUp()
        self.start("gpu", "--size", f"{self.WIDTH}x{self.HEIGHT}", self.path("out.png"), n_queues=2)

    def do(self, kind, form="", *values, flags=0, fence=0):
        """(type, bytes) of the answer to a command."""
        answer = self.ask(self.queue, self.HEADER.pack(kind, flags, fence, 0, 0)
                          + struct.pack("<" + form, *values), 24 + 384)
        self.answer = self.HEADER.unpack_from(answer)
        return self.answer[0], answer[24:]

    def expect(self, *args, answer=OK):
        self.assertEqual(self.do(*args), (answer, b""), args)

    def find_memory(self, size):
        """An address in the part of guest memory that the driver's buffers do not reach."""
        region = self.driver.get_memory().get_region(0)
        return region.get_guest_address() + region.get_size() - size

    def make(self, format_=2):
        """Resource 1, as large as the screen, with pixels in two pieces, the second one first."""
        size = self.WIDTH * self.HEIGHT * 4
        pixels = os.urandom(size)
        start, cut = self.find_memory(size), 1234
        self.driver.get_memory().write(start, pixels[cut:])
        self.driver.get_memory().write(start + size - cut, pixels[:cut])
        self.expect(self.CREATE, "4I", 1, format_, self.WIDTH, self.HEIGHT)
        self.expect(self.ATTACH, "IIQIIQII", 1, 2, start + size - cut, cut, 0, start, size - cut, 0)
        return pixels

    def show(self, x=0, y=0, width=WIDTH, height=HEIGHT):
        self.expect(self.TRANSFER, "4IQII", 0, 0, self.WIDTH, self.HEIGHT, 0, 1, 0)
        self.expect(self.SCANOUT, "6I", x, y, width, height, 0, 1)
        self.expect(self.FLUSH, "6I", 0, 0, self.WIDTH, self.HEIGHT, 1, 0)
        wait_until(lambda: os.path.exists(self.path("out.png")), "picture")
        return read_png(self.path("out.png"))

    def test_shows_what_was_drawn(self):
        for format_, order in ((2, (2, 1, 0)), (67, (0, 1, 2)), (4, (1, 2, 3)), (121, (3, 2, 1))):
            pixels = self.make(format_)
            expected = b"".join(bytes(pixels[i + c] for c in order)
                                for i in range(0, len(pixels), 4))
            self.assertEqual(self.show(), (self.WIDTH, self.HEIGHT, expected))
            os.unlink(self.path("out.png"))
            self.expect(self.UNREF, "II", 1, 0)

    def test_shows_a_part_of_a_resource(self):
        pixels = self.make(67)
        rows = [pixels[4 * (y * self.WIDTH + 10):4 * (y * self.WIDTH + 30)] for y in range(5, 25)]
        expected = b"".join(row[i:i + 3] for row in rows for i in range(0, len(row), 4))
        self.assertEqual(self.show(10, 5, 20, 20), (20, 20, expected))

    def test_display_and_fences(self):
        self.assertEqual(struct.unpack("<4I", bytes(self.frontend.get_config(0, 16, None))),
                         (0, 0, 1, 0))
        kind, data = self.do(self.INFO, flags=1, fence=0x123456789A)
        self.assertEqual((kind, len(data)), (self.OK_INFO, 384))
        self.assertEqual(struct.unpack_from("<6I", data), (0, 0, self.WIDTH, self.HEIGHT, 1, 0))
        self.assertEqual(self.answer[1:3], (1, 0x123456789A))

    def test_refuses_what_is_outside(self):
        self.make()
        for rect in ((0, 0, 41, 1), (1, 0, 40, 1), (0, 30, 1, 1), (0xFFFFFFFF, 0, 2, 1)):
            self.expect(self.TRANSFER, "4IQII", *rect, 0, 1, 0, answer=self.BAD)
            self.expect(self.SCANOUT, "6I", *rect, 0, 1, answer=self.BAD)
            self.expect(self.FLUSH, "6I", *rect, 1, 0, answer=self.BAD)
        for offset in (4, 1 << 40, (1 << 64) - 1):
            self.expect(self.TRANSFER, "4IQII", 0, 0, 40, 30, offset, 1, 0, answer=self.BAD)
        self.expect(self.SCANOUT, "6I", 0, 0, 40, 30, 1, 1, answer=self.NO_SCANOUT)
        self.expect(self.DETACH, "II", 1, 0)
        self.expect(self.TRANSFER, "4IQII", 0, 0, 1, 1, 0, 1, 0, answer=self.BAD)

    def test_refuses_a_backing_that_is_no_guest_memory(self):
        self.make()
        for address, size in ((0, 4800), ((1 << 64) - 16, 4800), (self.find_memory(8), 4800)):
            self.expect(self.ATTACH, "IIQII", 1, 1, address, size, 0)
            self.expect(self.TRANSFER, "4IQII", 0, 0, 40, 30, 0, 1, 0, answer=self.BAD)
        for entries in (2, 16385, 0xFFFFFFFF):
            self.expect(self.ATTACH, "IIQII", 1, entries, 0, 4800, 0, answer=self.BAD)
        self.expect(self.ATTACH, "IIQII", 1, 1, 0, 0, 0, answer=self.BAD)

    def test_refuses_what_is_too_much(self):
        for format_, width, height in ((0, 1, 1), (2, 0, 1), (2, 1, 0), (2, 8193, 1),
                                       (2, 0xFFFFFFFF, 0xFFFFFFFF)):
            self.expect(self.CREATE, "4I", 1, format_, width, height, answer=self.BAD)
        self.expect(self.CREATE, "4I", 1, 2, 8192, 8192)
        self.expect(self.CREATE, "4I", 2, 2, 1, 1, answer=self.NO_MEMORY)
        self.expect(self.CREATE, "4I", 1, 2, 1, 1, answer=self.NO_RESOURCE)
        self.expect(self.CREATE, "4I", 0, 2, 1, 1, answer=self.NO_RESOURCE)
        self.expect(self.UNREF, "II", 1, 0)
        self.expect(self.CREATE, "4I", 2, 2, 1, 1)

    def test_survives_a_picture_that_cannot_be_written(self):
        os.mkdir(self.path("out.png.new"))
        self.make()
        self.expect(self.SCANOUT, "6I", 0, 0, self.WIDTH, self.HEIGHT, 0, 1)
        self.expect(self.FLUSH, "6I", 0, 0, self.WIDTH, self.HEIGHT, 1, 0)
        wait_until(self.backend.read_output, "word of the failure")
        self.complaint = f"{self.path('out.png')}: Is a directory\n"
        self.do(self.INFO)

    def test_nonsense(self):
        for kind in (0, 0x10A, 0x200, 0xFFFFFFFF):
            self.expect(kind, answer=self.UNSPEC)
        for kind in range(self.CREATE, self.DETACH + 1):
            self.expect(kind, "H", 7, answer=self.UNSPEC)
            if kind != self.CREATE:
                self.expect(kind, "12I", *[0] * 4, *[9] * 8, answer=self.NO_RESOURCE
                            if kind != self.SCANOUT else self.NO_SCANOUT)
        self.assertEqual(self.ask(self.queue, b"short", 24), b"")
        self.assertEqual(self.ask(self.driver.get_queue(1), bytes(56), 24), b"")
        ROW.seen()


if __name__ == "__main__":
    unittest.main()
