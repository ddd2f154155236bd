# SPDX-License-Identifier: BSD-3-Clause
"""The two listings at the top of README.md run as they are printed, but for the socket's path."""

import re
import subprocess
import sys
import unittest

from helpers import TempDir, root, wait_for_socket

PRINTED_PATH = '"/tmp/rng.sock"'
LISTING = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Listings(TempDir):
    def setUp(self):
        super().setUp()
        self.socket = self.path("rng.sock")
        found = LISTING.findall((root() / "README.md").read_text(encoding="utf-8"))
        self.assertGreaterEqual(len(found), 2, "README.md has lost its listings")
        self.device, self.driver = (self.write(*each) for each in zip(("device", "driver"), found))

    def write(self, name, listing):
        """A listing as a file, at a socket of our own."""
        self.assertEqual(listing.count(PRINTED_PATH), 1, listing)
        path = self.directory / f"{name}.py"
        path.write_text(listing.replace(PRINTED_PATH, repr(self.socket)), encoding="utf-8")
        return path

    def run_driver(self):
        return subprocess.run([sys.executable, self.driver], stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, cwd=self.directory, timeout=20)

    def test_driver_reads_what_the_device_gives(self):
        device = self.spawn(sys.executable, self.device, cwd=self.directory)
        wait_for_socket(self.socket, child=device)
        found = []
        for _ in range(3):
            done = self.run_driver()
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            found.append(bytes.fromhex(done.stdout))
        self.assertEqual([len(data) for data in found], [64, 64, 64])
        self.assertEqual(len({*found, bytes(64)}), 4, "the same bytes came twice")
        self.assertTrue(device.is_running())
        self.assertEqual(device.read_output(), "")

    def test_driver_alone_says_what_is_missing(self):
        done = self.run_driver()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(self.socket, done.stderr)


if __name__ == "__main__":
    unittest.main()
