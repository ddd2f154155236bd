# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's devices, driven from Python inside guests with Linux 6.12 and 6.1."""

import unittest

from guest import CLOUD, OLD, get_versions
from guest_python import PythonGuest
from peers import Row

ROW = Row("kernel devices, driver", "Linux 6.12 and 6.1: vhost-net, vhost-vsock, vhost-scsi",
          "10⁴ frames each way to a TAP device and a packet socket, dirty pages, 1 MiB each way to "
          "AF_VSOCK sockets, SCSI commands to a ramdisk, what is refused and why")


class Inside(unittest.TestCase):
    """Runs a script of this folder in a guest; its tests are counted, and none may fail."""

    def run_inside(self, script, kernel, modules, at_least, **options):
        with PythonGuest(script, modules=modules, kernel=kernel, **options) as guest:
            guest.wait()
        self.assertGreaterEqual(int(guest.values["passed"]), at_least)
        ROW.seen(", ".join(get_versions(name) for name in (CLOUD, OLD)))
        return guest


class Errors(Inside):
    def check(self, kernel):
        self.run_inside("inside_errors.py", kernel, ["vhost_net", "vhost_vsock", "tun"], 22)

    def test_linux_6_12(self):
        self.check(CLOUD)

    def test_linux_6_1(self):
        self.check(OLD)


class Net(Inside):
    """Frames from a queue to a TAP device or a packet socket and back, their sums compared."""

    def check(self, kernel):
        self.run_inside("inside_net.py", kernel, ["vhost_net", "tun"], 11)

    def test_linux_6_12(self):
        self.check(CLOUD)

    def test_linux_6_1(self):
        self.check(OLD)


class Log(Inside):
    """Dirty pages of vhost-net against those that frames were put into."""

    def check(self, kernel):
        self.run_inside("inside_log.py", kernel, ["vhost_net", "tun"], 3)

    def test_linux_6_12(self):
        self.check(CLOUD)

    def test_linux_6_1(self):
        self.check(OLD)


class Vsock(Inside):
    """A script as guest, and AF_VSOCK sockets of the host: 1 MiB each way, messages, both sides."""

    def check(self, kernel):
        self.run_inside("inside_vsock.py", kernel, ["vhost_vsock"], 5)

    def test_linux_6_12(self):
        self.check(CLOUD)

    def test_linux_6_1(self):
        self.check(OLD)


class Scsi(Inside):
    """Commands to a target on a ramdisk; workers where the kernel has them."""

    def check(self, kernel):
        self.run_inside("inside_scsi.py", kernel, ["vhost_scsi"], 9,
                        before="mount -t configfs none /sys/kernel/config")

    def test_linux_6_12(self):
        self.check(CLOUD)

    def test_linux_6_1(self):
        self.check(OLD)


if __name__ == "__main__":
    unittest.main()
