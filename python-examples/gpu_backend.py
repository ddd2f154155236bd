#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio GPU without 3D: what its one screen shows is kept in a PNG file."""

import bisect
import os
import struct
import sys
import zlib

import serve
from gi.repository import GLib, Vhost

HEADER = struct.Struct("<IIQII")  # type, flags, fence, context, ring
RECT = "<4I"  # x, y, width, height
ENTRY = struct.Struct("<QI4x")  # address, size
(GET_DISPLAY_INFO, CREATE_2D, UNREF, SET_SCANOUT, FLUSH, TRANSFER, ATTACH_BACKING,
 DETACH_BACKING) = range(0x100, 0x108)
OK, OK_DISPLAY_INFO = 0x1100, 0x1101
(UNSPEC, OUT_OF_MEMORY, INVALID_SCANOUT, INVALID_RESOURCE, INVALID_CONTEXT,
 INVALID_PARAMETER) = range(0x1200, 0x1206)
FENCE = 1  # flag
CONTROL = 0  # queue
MAX_SCANOUTS = 16
MAX_ENTRIES, MAX_SIDE, MAX_BYTES = 16384, 8192, 256 << 20  # the last of all resources together
PIXEL = 4
FORMATS = {1: (2, 1, 0), 2: (2, 1, 0), 3: (1, 2, 3), 4: (1, 2, 3), 67: (0, 1, 2), 68: (3, 2, 1),
           121: (3, 2, 1), 134: (0, 1, 2)}  # which bytes of a pixel are red, green and blue


class Refused(Exception):
    """A command fails; the code is the answer."""


def write_png(path, width, height, rows):
    """Rows of RGB bytes to a file that is whole at any moment."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    data = (b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 1))
            + chunk(b"IEND", b""))
    with open(f"{path}.new", "wb") as file:
        file.write(data)
    os.rename(f"{path}.new", path)


class Resource:
    def __init__(self, format_, width, height):
        self.format, self.width, self.height = FORMATS[format_], width, height
        self.pixels = bytearray(width * height * PIXEL)
        self.entries, self.starts = [], []

    def attach(self, entries):
        """Where in guest memory it is, piece by piece."""
        self.entries, self.starts, end = entries, [], 0
        for _, size in entries:
            self.starts.append(end)
            end += size

    def check(self, x, y, width, height):
        if x + width > self.width or y + height > self.height:
            raise Refused(INVALID_PARAMETER)

    def fetch(self, memory, offset, size):
        """Bytes of the backing."""
        found, i = [], bisect.bisect_right(self.starts, offset) - 1
        while size > 0:
            if not 0 <= i < len(self.entries):
                raise Refused(INVALID_PARAMETER)
            address, length = self.entries[i]
            skip = offset - self.starts[i]
            if skip >= length:
                raise Refused(INVALID_PARAMETER)
            part = min(size, length - skip)
            found.append(memory.read(address + skip, part))
            offset, size, i = offset + part, size - part, i + 1
        return b"".join(found)

    def transfer(self, memory, x, y, width, height, offset):
        self.check(x, y, width, height)
        stride = self.width * PIXEL
        for row in range(height):
            place = (y + row) * stride + x * PIXEL
            self.pixels[place:place + width * PIXEL] = self.fetch(
                memory, offset + row * stride, width * PIXEL)

    def list_rows(self, x, y, width, height):
        for row in range(y, y + height):
            start = (row * self.width + x) * PIXEL
            line = self.pixels[start:start + width * PIXEL]
            colours = bytearray(3 * width)
            for i, place in enumerate(self.format):
                colours[i::3] = line[place::PIXEL]
            yield colours


class Gpu:
    def __init__(self, backend, path, width, height):
        self.backend, self.path, self.size = backend, path, (width, height)
        self.forget()
        self.calls = {
            GET_DISPLAY_INFO: self.get_display_info, CREATE_2D: self.create, UNREF: self.unref,
            SET_SCANOUT: self.set_scanout, FLUSH: self.flush, TRANSFER: self.transfer,
            ATTACH_BACKING: self.attach, DETACH_BACKING: self.detach}
        backend.set_config(struct.pack("<4I", 0, 0, 1, 0))  # one screen
        backend.connect("kick", self.on_kick)
        backend.connect("queue-stopped", self.forget)

    def forget(self, *_):
        self.resources, self.screen, self.timer = {}, None, 0

    def find(self, number):
        if number not in self.resources:
            raise Refused(INVALID_RESOURCE)
        return self.resources[number]

    # --- commands: the bytes after the header come in, those of the answer go out

    def get_display_info(self, data):
        return struct.pack("<6I", 0, 0, *self.size, 1, 0) + bytes(24 * (MAX_SCANOUTS - 1))

    def create(self, data):
        number, format_, width, height = struct.unpack_from(RECT, data)
        if number == 0 or number in self.resources:
            raise Refused(INVALID_RESOURCE)
        if format_ not in FORMATS or not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
            raise Refused(INVALID_PARAMETER)
        used = sum(len(resource.pixels) for resource in self.resources.values())
        if used + width * height * PIXEL > MAX_BYTES or len(self.resources) >= MAX_ENTRIES:
            raise Refused(OUT_OF_MEMORY)
        self.resources[number] = Resource(format_, width, height)

    def unref(self, data):
        number, = struct.unpack_from("<I", data)
        resource = self.find(number)
        del self.resources[number]
        if self.screen and self.screen[0] is resource:
            self.screen = None

    def attach(self, data):
        number, count = struct.unpack_from("<II", data)
        if count > MAX_ENTRIES or len(data) < 8 + count * ENTRY.size:
            raise Refused(INVALID_PARAMETER)
        entries = list(ENTRY.iter_unpack(data[8:8 + count * ENTRY.size]))
        if any(size == 0 for _, size in entries):
            raise Refused(INVALID_PARAMETER)
        self.find(number).attach(entries)

    def detach(self, data):
        self.find(*struct.unpack_from("<I", data)).attach([])

    def transfer(self, data):
        *rect, offset, number = struct.unpack_from("<4IQI", data)
        self.find(number).transfer(self.backend.get_memory(), *rect, offset)

    def set_scanout(self, data):
        *rect, scanout, number = struct.unpack_from("<6I", data)
        if scanout != 0:
            raise Refused(INVALID_SCANOUT)
        if number == 0:
            self.screen = None
            return
        resource = self.find(number)
        resource.check(*rect)
        self.screen = (resource, rect) if rect[2] and rect[3] else None

    def flush(self, data):
        *rect, number = struct.unpack_from("<5I", data)
        resource = self.find(number)
        resource.check(*rect)
        if self.screen and self.screen[0] is resource and not self.timer:
            self.timer = GLib.timeout_add(20, self.show)

    def show(self):
        """Many flushes make one picture."""
        self.timer = 0
        if self.screen:
            resource, rect = self.screen
            try:
                write_png(self.path, *rect[2:], resource.list_rows(*rect))
            except OSError as error:
                print(f"{self.path}: {error.strerror}", file=sys.stderr)
        return GLib.SOURCE_REMOVE

    # --- the queues

    def answer(self, request):
        """The type of the answer, and what follows its header."""
        kind = HEADER.unpack_from(request)[0]
        try:
            data = self.calls[kind](request[HEADER.size:])
        except Refused as refused:
            return refused.args[0], b""
        except (KeyError, struct.error):
            return UNSPEC, b""
        except GLib.Error:
            return INVALID_PARAMETER, b""  # the backing is not in guest memory
        return (OK_DISPLAY_INFO, data) if data else (OK, b"")

    def complete(self, chain):
        request = chain.read(0, HEADER.size + 8 + MAX_ENTRIES * ENTRY.size)
        if len(request) < HEADER.size:
            return 0
        kind, data = self.answer(request)
        _, flags, fence, context, ring = HEADER.unpack_from(request)
        return chain.write(0, HEADER.pack(kind, flags & FENCE, fence, context, ring) + data)

    def on_kick(self, backend, queue):
        while (chain := queue.pop()) is not None:
            queue.push(chain, self.complete(chain) if queue.get_index() == CONTROL else 0)
        queue.notify()


if __name__ == "__main__":
    parser = serve.parser(__doc__, "gpu")
    parser.add_argument("--size", metavar="WxH", default="640x480",
                        help="of the screen (%(default)s)")
    parser.add_argument("picture", help="PNG file to write")
    options = parser.parse_args()
    try:
        width, height = (int(side) for side in options.size.split("x"))
    except ValueError:
        parser.error(f"{options.size} is no size like 640x480")
    gpu_backend = Vhost.UserBackend(device_id=Vhost.DeviceId.GPU, n_queues=2)
    gpu = Gpu(gpu_backend, options.picture, width, height)
    serve.run(gpu_backend, options)
