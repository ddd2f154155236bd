#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Draws on a virtio GPU, without a VM, and keeps what its display shows in a PNG file."""

import struct

import png
import serve
from gi.repository import GLib, Vhost

HEADER = struct.Struct("<IIQII")  # type, flags, fence, context, ring
GET_DISPLAY_INFO, CREATE_2D, _, SET_SCANOUT, FLUSH, TRANSFER, ATTACH_BACKING = range(0x100, 0x107)
OK, OK_DISPLAY_INFO = 0x1100, 0x1101
B8G8R8X8, PIXEL = 2, 4
RESOURCE, SCANOUT = 1, 0


class Display:
    """What a screen shows, as the GPU tells it."""

    def __init__(self, connection):
        self.width = self.height = 0
        self.pixels, self.complete = bytearray(), False
        connection.connect("scanout", self.on_scanout)
        connection.connect("update", self.on_update)

    def on_scanout(self, connection, scanout, width, height):
        self.width, self.height = width, height
        self.pixels = bytearray(width * height * PIXEL)

    def on_update(self, connection, scanout, x, y, width, height, pixels):
        data, size = pixels.get_data(), width * PIXEL
        for row in range(height):
            place = ((y + row) * self.width + x) * PIXEL
            self.pixels[place:place + size] = data[row * size:(row + 1) * size]
        self.complete = True

    def write(self, path):
        size = self.width * PIXEL
        png.write(path, self.width, self.height, (
            png.pick(self.pixels[row * size:(row + 1) * size], (2, 1, 0))
            for row in range(self.height)))


class Painter:
    """Sends commands while the main loop runs: a GPU may ask its display before it answers."""

    def __init__(self, driver):
        self.queue, self.memory = driver.get_queue(0), driver.get_memory()
        self.queue.start_watching()

    def do(self, kind, form="", *values):
        request = HEADER.pack(kind, 0, 0, 0, 0) + struct.pack("<" + form, *values)
        self.queue.add(request, HEADER.size + 16 * 24)
        self.queue.kick()
        answer = wait_for(self.queue.collect).get_data()
        if HEADER.unpack_from(answer)[0] not in (OK, OK_DISPLAY_INFO):
            serve.fail(f"the GPU refuses command {kind:#x}")
        return answer[HEADER.size:]

    def paint(self, width, height, pixels):
        """Fills the screen. The driver's own buffers are at the other end of its memory."""
        region = self.memory.get_region(0)
        place = region.get_guest_address() + region.get_size() - len(pixels)
        self.memory.write(place, pixels)
        rect = (0, 0, width, height)
        self.do(CREATE_2D, "4I", RESOURCE, B8G8R8X8, width, height)
        self.do(ATTACH_BACKING, "IIQII", RESOURCE, 1, place, len(pixels), 0)
        self.do(TRANSFER, "4IQII", *rect, 0, RESOURCE, 0)
        self.do(SET_SCANOUT, "6I", *rect, SCANOUT, RESOURCE)
        self.do(FLUSH, "6I", *rect, RESOURCE, 0)


def wait_for(condition, seconds=10):
    """Runs the main loop until there is something."""
    late = []
    timer = GLib.timeout_add_seconds(seconds, lambda: late.append(True))
    while not (found := condition()):
        if late:
            serve.fail("the GPU does not answer")
        GLib.MainContext.default().iteration(True)
    GLib.source_remove(timer)
    return found


def make_picture(width, height):
    """Red grows to the right, green downwards, blue is in squares."""
    return b"".join(bytes((x // 32 + y // 32 & 1 and 255, 255 * y // height, 255 * x // width, 0))
                    for y in range(height) for x in range(width))


def main():
    parser = serve.parser(__doc__)
    parser.add_argument("--size", metavar="WxH", type=serve.size, default="640x480",
                        help="of the screen (%(default)s)")
    parser.add_argument("picture", help="PNG file to write")
    options = parser.parse_args()
    frontend = Vhost.UserFrontend()
    driver = Vhost.Driver(device=frontend)
    try:
        options.program.open(frontend, None)
        connection = frontend.open_gpu(None)
        connection.set_screen(SCANOUT, *options.size, None)
        display = Display(connection)
        driver.start(2, 64, None)
        painter = Painter(driver)
        width, height = struct.unpack_from("<8xII", painter.do(GET_DISPLAY_INFO))
        painter.paint(width, height, make_picture(width, height))
        wait_for(lambda: display.complete)
        driver.stop(None)
        display.write(options.picture)
    except (GLib.Error, OSError) as error:
        serve.fail(error)
    print(f"{width}×{height} in {options.picture}")


if __name__ == "__main__":
    main()
