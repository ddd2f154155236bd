# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's devices, driven from Python inside guests with Linux 6.12 and 6.1."""

import unittest

from guest import CLOUD, OLD
from guest_python import PythonGuest


class Inside(unittest.TestCase):
    """Runs a script of this folder in a guest; its tests are counted, and none may fail."""

    def run_inside(self, script, kernel, modules, at_least, **options):
        with PythonGuest(script, modules=modules, kernel=kernel, **options) as guest:
            guest.wait()
        self.assertGreaterEqual(int(guest.values["passed"]), at_least)
        return guest


class Errors(Inside):
    def check(self, kernel):
        self.run_inside("inside_errors.py", kernel, ["vhost_net", "vhost_vsock", "tun"], 22)

    def test_linux_6_12(self):
        self.check(CLOUD)

    def test_linux_6_1(self):
        self.check(OLD)


if __name__ == "__main__":
    unittest.main()
