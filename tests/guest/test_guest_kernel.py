# SPDX-License-Identifier: BSD-3-Clause
"""The kernel's devices, driven from Python inside guests with Linux 6.12 and 6.1."""

import re
import unittest

from guest import CLOUD, OLD, get_versions
from guest_python import PythonGuest
from helpers import root
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


class Requests(Inside):
    """Each request made of a real kernel, and what it gave: the table of docs/kernel.md."""

    LINE = re.compile(r"device \d+: (\w+)(?: [<>] \w+)* = (\S+)")
    ROW = re.compile(r"\| ([A-Z_]+) \| (.+?) \| (.+?) \|")

    def read_table(self, column):
        text = (root() / "docs" / "kernel.md").read_text(encoding="utf-8")
        return {row[0]: row[column] for row in self.ROW.findall(text)}

    def check(self, kernel, column):
        guest = self.run_inside(
            "inside_record.py", kernel, ["vhost_net", "vhost_vsock", "vhost_scsi", "tun"], 4,
            before="export VHOST_DEBUG=ioctl; mount -t configfs none /sys/kernel/config")
        results = {}
        for name, result in filter(None, (self.find(line) for line in guest.lines)):
            results.setdefault(name, set()).add("works" if result.isdigit() else result)
        seen = {name: "works" if "works" in found else ", ".join(sorted(found))
                for name, found in results.items()}
        table = self.read_table(column)
        self.assertGreater(len(table), 30)
        self.assertEqual({name: seen.get(name) for name in table}, table)

    def find(self, line):
        match = self.LINE.fullmatch(line.strip())
        return match and match.groups()

    def test_linux_6_12(self):
        self.check(CLOUD, 2)

    def test_linux_6_1(self):
        self.check(OLD, 1)


if __name__ == "__main__":
    unittest.main()
