# SPDX-License-Identifier: BSD-3-Clause
"""python-examples/net_backend.py, and net_native.py with the card in C, on a TAP interface of a
network namespace of its own, and net_frontend.py, which pings the kernel there.
"""

import os
import subprocess
import sys
import unittest

from helpers import TempDir, is_listening, root, wait_until
from peers import Row

ROW = Row("back-end net", "Linux, TAP interface", "ARP and ping from a driver without a VM")
NATIVE_ROW = Row("back-end net (C)", "Linux, TAP interface",
                 "ARP and ping from a driver without a VM; one of two queue pairs")
KERNEL = "10.0.0.1"


@unittest.skipUnless(os.path.exists("/dev/net/tun"), "this machine has no /dev/net/tun")
class Tap(TempDir):
    program = ["net_backend.py"]
    row = ROW

    def setUp(self):
        super().setUp()
        self.socket = self.path("net.sock")
        self.bridge = self.spawn_bridge()
        wait_until(lambda: is_listening(self.socket, self.bridge.pid), "listening back-end")
        self.run_inside("ip", "addr", "add", f"{KERNEL}/24", "dev", "tap0")
        self.run_inside("ip", "link", "set", "tap0", "up")

    def spawn_bridge(self):
        return self.spawn(
            "unshare", "--map-root-user", "--net", sys.executable,
            root() / "python-examples" / self.program[0], *self.program[1:], "--tap=tap0",
            f"--socket-path={self.socket}")

    def run_inside(self, *arguments):
        subprocess.run(["nsenter", f"--target={self.bridge.pid}", "--user",
                        "--preserve-credentials", "--net", *arguments], check=True)

    def ping(self, *arguments):
        child = self.spawn_python("python-examples/net_frontend.py",
                                  f"--socket-path={self.socket}", *arguments)
        return child.wait(), child.read_output()

    def test_ping(self):
        for size in (0, 56, 1472):
            status, output = self.ping("--count=5", f"--size={size}", KERNEL)
            self.assertEqual(status, 0, output)
            self.assertIn("5 of 5 pings came back", output)
        self.assertEqual(self.bridge.stop(), 0, self.bridge.read_output())
        self.row.seen(os.uname().release)

    def test_a_second_one_at_the_same_path_is_refused(self):
        second = self.spawn_bridge()
        self.assertEqual(second.wait(), 1)
        self.assertIn(self.socket, second.read_output())
        self.assertEqual(self.ping(KERNEL)[0], 0)

    def test_nobody_is_there(self):
        status, output = self.ping("--wait=0.3", "10.0.0.9")
        self.assertEqual((status, "nobody has 10.0.0.9" in output), (1, True), output)

    def test_interface_that_is_down_drops_what_it_is_sent(self):
        self.run_inside("ip", "link", "set", "tap0", "down")
        self.assertEqual(self.ping("--wait=0.3", KERNEL)[0], 1)
        self.run_inside("ip", "link", "set", "tap0", "up")
        self.assertEqual(self.ping(KERNEL)[0], 0)


class Native(Tap):
    program = ["net_native.py", "--mac=52:54:00:00:00:01"]
    row = NATIVE_ROW


class NativeQueues(Native):
    """The driver starts one pair of two: the kernel must not send by the other."""

    program = [*Native.program, "--queue-pairs=2"]

    def test_no_such_interface_name(self):
        status = subprocess.run([root() / "python-examples/net_native.py", "--tap", "x" * 20,
                                 f"--socket-path={self.path('other.sock')}"],
                                capture_output=True, text=True, check=False)
        self.assertEqual(status.returncode, 1)
        self.assertIn("too long", status.stderr)


if __name__ == "__main__":
    unittest.main()
