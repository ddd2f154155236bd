#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio GPU without 3D: what its one screen shows goes to the display of the front-end, is kept
in a PNG file, or both.
"""

import bisect
import struct
import sys

import png
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
            yield self.pixels[start:start + width * PIXEL]


class Gpu:
    def __init__(self, backend, path, width, height):
        self.backend, self.path, self.size = backend, path, (width, height)
        self.display = None
        self.forget()
        self.calls = {
            GET_DISPLAY_INFO: self.get_display_info, CREATE_2D: self.create, UNREF: self.unref,
            SET_SCANOUT: self.set_scanout, FLUSH: self.flush, TRANSFER: self.transfer,
            ATTACH_BACKING: self.attach, DETACH_BACKING: self.detach}
        backend.set_config(struct.pack("<4I", 0, 0, 1, 0))  # one screen
        backend.connect("gpu-socket", self.on_display)
        backend.connect("kick", self.on_kick)
        backend.connect("queue-stopped", self.forget)

    def on_display(self, backend, display):
        self.display = display

    def has_display(self):
        return self.display is not None and self.display.is_open()

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
        self.screen = None
        if number != 0:
            resource = self.find(number)
            resource.check(*rect)
            if rect[2] and rect[3]:
                self.screen = (resource, rect)
        if self.has_display():
            self.display.send_scanout(0, *(rect[2:] if self.screen else (0, 0)))

    def flush(self, data):
        *rect, number = struct.unpack_from("<5I", data)
        resource = self.find(number)
        resource.check(*rect)
        if self.screen and self.screen[0] is resource and not self.timer:
            self.timer = GLib.timeout_add(20, self.on_timeout)

    def on_timeout(self):
        """Many flushes make one picture."""
        self.timer = 0
        if self.screen:
            resource, rect = self.screen
            self.show(resource, *rect)
        return GLib.SOURCE_REMOVE

    def show(self, resource, x, y, width, height):
        rows = list(resource.list_rows(x, y, width, height))
        red, green, blue = resource.format
        try:
            if self.has_display():
                unused = ({0, 1, 2, 3} - {red, green, blue}).pop()
                self.display.send_update(0, 0, 0, width, height,
                                         png.pick(b"".join(rows), (blue, green, red, unused)))
            if self.path is not None:
                png.write(self.path, width, height,
                          (png.pick(row, (red, green, blue)) for row in rows))
        except OSError as error:
            print(f"{self.path}: {error.strerror}", file=sys.stderr)
        except GLib.Error as error:
            if error.matches(Vhost.error_quark(), Vhost.Error.QUEUE_FULL):  # a slow display
                self.timer = GLib.timeout_add(100, self.on_timeout)

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

    def complete(self, chain, kind, data=b""):
        """Writes the answer to a request whose header was read."""
        _, flags, fence, context, ring = HEADER.unpack(chain.read(0, HEADER.size))
        written = chain.write(0, HEADER.pack(kind, flags & FENCE, fence, context, ring) + data)
        queue = self.backend.get_queue(CONTROL)
        queue.push(chain, written)
        queue.notify()

    def ask_display(self, chain):
        """It knows its own screens; the rest of the queue does not wait for the answer."""
        def on_answer(display, result):
            try:
                data = display.get_display_info_finish(result).get_data()[HEADER.size:]
            except GLib.Error:
                data = self.get_display_info(b"")
            self.complete(chain, OK_DISPLAY_INFO, data)
        self.display.get_display_info_async(None, on_answer)

    def on_command(self, queue, chain):
        request = chain.read(0, HEADER.size + 8 + MAX_ENTRIES * ENTRY.size)
        if len(request) < HEADER.size:
            queue.push(chain, 0)
        elif HEADER.unpack_from(request)[0] == GET_DISPLAY_INFO and self.has_display():
            self.ask_display(chain)
        else:
            self.complete(chain, *self.answer(request))

    def on_kick(self, backend, queue):
        while (chain := queue.pop()) is not None:
            if queue.get_index() == CONTROL:
                self.on_command(queue, chain)
            else:
                queue.push(chain, 0)  # the cursor, which is not shown
        queue.notify()


if __name__ == "__main__":
    parser = serve.parser(__doc__, "gpu")
    parser.add_argument("--size", metavar="WxH", type=serve.size, default="640x480",
                        help="of the screen (%(default)s)")
    parser.add_argument("picture", nargs="?", help="PNG file to write")
    options = parser.parse_args()
    gpu_backend = Vhost.UserBackend(device_id=Vhost.DeviceId.GPU, n_queues=2)
    gpu = Gpu(gpu_backend, options.picture, *options.size)
    serve.run(gpu_backend, options)
