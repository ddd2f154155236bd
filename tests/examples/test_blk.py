# SPDX-License-Identifier: BSD-3-Clause
"""The library's own disk, as one page of Python and one of C, read and written without a VM."""

import json
import os
import struct
import subprocess
import sys
import unittest

from devices import Vhost
from example_device import Device
from helpers import root, wait_for_socket

HEADER = struct.Struct("<IIQ")
SECTOR = 512
IN, OUT, FLUSH, GET_ID = 0, 1, 4, 8
PYTHON = [sys.executable, root() / "python-examples/blk_native.py"]
C = [os.path.join(os.environ["MESON_BUILD_ROOT"], "tests/examples/blk")]


class Disk(Device):
    """A test for each of the two programs."""

    def serve(self, command, *options, n_queues=1):
        self.content = os.urandom(1 << 20)
        image = self.path("disk.img")
        with open(image, "wb") as file:
            file.write(self.content)
        socket = self.path("device.sock")
        self.backend = self.spawn(*command, "--socket-path", socket, *options, image)
        wait_for_socket(socket, child=self.backend)
        self.frontend = Vhost.UserFrontend()
        self.frontend.open(socket, None)
        self.addCleanup(self.stop)
        self.driver = Vhost.Driver(device=self.frontend)
        self.driver.props.wanted_features |= 0xFFFFFF
        self.driver.start(n_queues, 64, None)

    def read(self, queue, sector, size):
        *data, status = self.ask(queue, HEADER.pack(IN, 0, sector), size + 1)
        return bytes(data), status

    def use(self, command, *options):
        self.serve(command, "--num-queues", "4", *options, n_queues=4)
        for number in range(4):
            queue = self.driver.get_queue(number)
            data, status = self.read(queue, 8 * number, 4096)
            self.assertEqual((data, status), (self.content[4096 * number:][:4096], 0))
            written = os.urandom(8192)
            self.assertEqual(self.ask(queue, HEADER.pack(OUT, 0, 64) + written, 1), b"\0")
            self.assertEqual(self.ask(queue, HEADER.pack(FLUSH, 0, 0), 1), b"\0")
            self.assertEqual(self.read(queue, 64, 8192), (written, 0))
        self.assertEqual(self.ask(self.queue, HEADER.pack(GET_ID, 0, 0), 21),
                         b"disk.img".ljust(21, b"\0"))
        self.assertEqual(self.read(self.queue, len(self.content) // SECTOR, SECTOR),
                         (bytes(SECTOR), 1))

    def test_python(self):
        self.use(PYTHON)

    def test_python_direct(self):
        self.use(PYTHON, "--direct")

    def test_c(self):
        self.use(C)

    def test_c_with_threads(self):
        self.use(C, "--threads")

    def test_read_only(self):
        self.serve(C, "--read-only")
        self.assertEqual(self.ask(self.queue, HEADER.pack(OUT, 0, 0) + bytes(SECTOR), 1), b"\1")
        self.assertEqual(self.read(self.queue, 0, SECTOR), (self.content[:SECTOR], 0))


class CommandLine(unittest.TestCase):
    def run_program(self, command, *arguments):
        return subprocess.run([*command, *arguments], stdin=subprocess.DEVNULL, timeout=20,
                              capture_output=True, text=True)

    def test_capabilities(self):
        for command in (PYTHON, C):
            done = self.run_program(command, "--print-capabilities")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertEqual(json.loads(done.stdout), {"type": "block", "features": ["read-only"]})

    def test_a_disk_that_cannot_be_opened(self):
        for command in (PYTHON, C):
            done = self.run_program(command, "--socket-path", "/nonexistent/socket", "/dev/null")
            self.assertEqual(done.returncode, 1)
            self.assertIn("/dev/null is neither a file nor a block device", done.stderr)


if __name__ == "__main__":
    unittest.main()
