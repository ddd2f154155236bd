# SPDX-License-Identifier: BSD-3-Clause
"""Disks of this library on VDUSE inside guests, as the kernel's own and behind vhost_vdpa."""

import unittest

from guest import CLOUD, OLD, find_tool, get_kernel
from guest_python import PythonGuest
from peers import Row

VIRTIO = Row("back-end blk, VDUSE", "Linux guest, virtio_vdpa",
             "mkfs, mount, write, read; notice of a new size; 2 queues; killed twice while the "
             "guest writes")
VHOST = Row("back-end blk, VDUSE", "Linux guest, vhost_vdpa",
            "driven by ours, split and packed: blocks compared, other memory, configuration "
            "changes; killed three times")
MODULES = ["virtio_vdpa", "vhost_vdpa", "vduse", "virtio_blk", "ext4"]


class Vduse(unittest.TestCase):
    def run_inside(self, script, *words, at_least, **options):
        with PythonGuest(script, *words, deadline=500.0, memory=768, **options) as guest:
            guest.wait()
        self.assertGreaterEqual(int(guest.values["passed"]), at_least)
        return guest

    def run_classes(self, *names, at_least):
        programs = [find_tool("iproute2", "vdpa"), find_tool("e2fsprogs", "mkfs.ext4"),
                    find_tool("qemu-system-common", "qemu-storage-daemon")]
        return self.run_inside("inside_vduse.py", *names, at_least=at_least, kernel=CLOUD,
                               modules=MODULES, programs=programs)

    def test_virtio_vdpa(self):
        guest = self.run_classes("Mounted", at_least=4)
        self.assertIn("killed-2", guest.values)
        VIRTIO.seen(get_kernel(CLOUD).version)

    def test_vhost_vdpa(self):
        self.run_classes("Driven", at_least=3)
        VHOST.seen(get_kernel(CLOUD).version)

    def test_serving(self):
        self.run_classes("Serving", at_least=5)

    def test_kernel_without_it(self):
        self.run_inside("inside_no_vduse.py", at_least=2, kernel=OLD, modules=[])

    def test_throughput(self):
        guest = self.run_classes("Figures", at_least=1)
        for name in ("ours", "theirs"):
            for way in ("write", "read"):
                for size in ("4k", "512k"):
                    print(f"# {name} {way} {size}: {guest.values[f'{name}-{way}-{size}']}")


if __name__ == "__main__":
    unittest.main()
