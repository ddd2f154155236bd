# SPDX-License-Identifier: BSD-3-Clause
"""The front-end and the driver on QEMU's vhost-user-gpu 7.2: configuration, resources, and what it
shows on its display.
"""

import os
import struct
import subprocess
import sys
import unittest

from devices import Vhost
from helpers import TempDir, root, wait_for_socket
from peers import Row, get_package_version, take_messages
from pictures import draw_expected, read_png

ROW = Row("front-end, driver", "vhost-user-gpu",
          "configuration, resources, fences, refusals; "
          "a 2D scanout through the GPU socket to a PNG")
PROGRAM = "/usr/lib/qemu/vhost-user-gpu"
HEADER = struct.Struct("<IIQII")
CREATE, UNREF, TRANSFER, ATTACH, DETACH = 0x101, 0x102, 0x105, 0x106, 0x107
OK, INVALID_RESOURCE, INVALID_PARAMETER = 0x1100, 0x1203, 0x1205
SPARED = ("G_DEBUG", "MALLOC_PERTURB_")  # it uses memory that it has not written
WIDTH, HEIGHT = 64, 32
FENCE = 1


class Daemon(TempDir):
    def setUp(self):
        super().setUp()
        environment = {name: value for name, value in os.environ.items() if name not in SPARED}
        self.daemon = self.spawn(PROGRAM, f"--socket-path={self.path('gpu.sock')}", env=environment)
        wait_for_socket(self.path("gpu.sock"), child=self.daemon)


class Commands(Daemon):
    def setUp(self):
        super().setUp()
        self.frontend = Vhost.UserFrontend()
        self.frontend.open(self.path("gpu.sock"), None)
        self.driver = Vhost.Driver(device=self.frontend)
        self.addCleanup(self.end)
        self.driver.start(2, 64, None)

    def end(self):
        self.driver.stop(None)
        self.frontend.close()
        self.driver = self.frontend = None
        self.assertEqual(self.daemon.wait(), 0, self.daemon.read_output())

    def do(self, kind, form, *values, fence=0):
        """The type of the answer to a command."""
        request = HEADER.pack(kind, FENCE, fence, 0, 0) + struct.pack("<" + form, *values)
        answer = bytes(self.driver.get_queue(0).request(request, HEADER.size, None))
        found, flags, found_fence, *_ = HEADER.unpack(answer)
        self.assertEqual((flags & FENCE, found_fence), (FENCE, fence))
        return found

    def test_configuration(self):
        self.assertTrue(self.frontend.has_protocol_feature(Vhost.UserProtocolFeature.CONFIG))
        config = struct.unpack("<4I", bytes(self.frontend.get_config(0, 16, None)))
        self.assertEqual(config, (0, 0, 0, 0))  # how many screens there are is for QEMU to say

    def test_resources(self):
        size = WIDTH * HEIGHT * 4
        region = self.driver.get_memory().get_region(0)
        place = region.get_guest_address() + region.get_size() - size
        self.driver.get_memory().write(place, os.urandom(size))
        self.assertEqual(self.do(CREATE, "4I", 1, 2, WIDTH, HEIGHT, fence=1), OK)
        self.assertEqual(self.do(CREATE, "4I", 1, 2, WIDTH, HEIGHT, fence=2), INVALID_RESOURCE)
        self.assertEqual(self.do(ATTACH, "IIQII", 1, 1, place, size, 0, fence=3), OK)
        self.assertEqual(self.do(TRANSFER, "4IQII", 0, 0, WIDTH, HEIGHT, 0, 1, 0, fence=4), OK)
        self.assertEqual(self.do(TRANSFER, "4IQII", 1, 0, WIDTH, HEIGHT, 0, 1, 0, fence=5),
                         INVALID_PARAMETER)
        self.assertEqual(self.do(DETACH, "II", 1, 0, fence=6), OK)
        self.assertEqual(self.do(UNREF, "II", 1, 0, fence=7), OK)
        self.assertEqual(self.do(UNREF, "II", 1, 0, fence=8), INVALID_RESOURCE)


class Display(Daemon):
    def test_picture(self):
        done = subprocess.run(
            [sys.executable, root() / "python-examples/gpu_frontend.py", "--size=320x200",
             f"--socket-path={self.path('gpu.sock')}", self.path("out.png")],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        messages, rest = take_messages(done.stderr)
        sys.stderr.write(messages)
        self.assertEqual((done.returncode, rest), (0, ""))
        self.assertEqual(read_png(self.path("out.png")), draw_expected(320, 200))
        self.assertEqual(self.daemon.wait(), 0, self.daemon.read_output())
        ROW.seen(get_package_version("qemu-system-gui"))


if __name__ == "__main__":
    unittest.main()
