# SPDX-License-Identifier: BSD-3-Clause
"""Debian's kernel behind an IOMMU of QEMU's drives a disk of ours: rings and buffers are at I/O
addresses, which our back-end asks QEMU for.
"""

import hashlib
import os
import unittest

from guest import Guest, get_versions, vhost_user
from helpers import TempDir, wait_for_socket
from peers import Row

MIB = 1 << 20
BODY = """
    report iommu $(ls /sys/class/iommu)
    report groups $(ls /sys/kernel/iommu_groups | wc -l)
    report before $(sha256sum < /dev/vda)
    dd if=/source of=/dev/vda bs=64k seek=32 conv=fsync 2>/dev/null
    echo 3 > /proc/sys/vm/drop_caches
    report after $(sha256sum < /dev/vda)
    """


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Behind(TempDir):
    def check(self, *iommu, append="", modules=(), device=""):
        content, written = os.urandom(8 * MIB), os.urandom(4 * MIB)
        image, socket = self.path("disk.img"), self.path("blk.sock")
        with open(image, "wb") as file:
            file.write(content)
        backend = self.spawn_python("tests/guest/iommu_disk.py", "--socket-path", socket, image,
                                    env={**os.environ, "VHOST_DEBUG": "message"})
        wait_for_socket(socket, child=backend)
        with Guest(BODY, modules=[*modules, "virtio_blk"], files={"/source": written},
                   append=append,
                   arguments=[*iommu, *vhost_user(
                       socket, "vhost-user-blk-pci,disable-legacy=on,iommu_platform=on" + device)],
                   deadline=200.0) as guest:
            guest.wait()
        self.assertGreater(int(guest.values["groups"]), 0, guest.lines)
        expected = content[:2 * MIB] + written + content[6 * MIB:]
        self.assertEqual(guest.values["before"].split()[0], sha256(content))
        self.assertEqual(guest.values["after"].split()[0], sha256(expected))
        with open(image, "rb") as file:
            self.assertEqual(sha256(file.read()), sha256(expected))
        self.assertGreater(backend.read_messages().count("IOTLB_MSG"), 100)
        self.assertEqual(backend.stop(), 0)

    def test_intel_iommu(self):
        """Behind a root port: elsewhere there is no ATS, and QEMU 7.2 then never invalidates."""
        self.check("-device", "intel-iommu,intremap=on,device-iotlb=on",
                   "-device", "pcie-root-port,id=root0,chassis=1",
                   append="intel_iommu=on no_timer_check", device=",ats=on,bus=root0")
        INTEL.seen(get_versions())

    def test_virtio_iommu(self):
        self.check("-device", "virtio-iommu-pci", modules=["virtio-iommu"])
        VIRTIO.seen(get_versions())


INTEL = Row("back-end blk", "QEMU, Linux guest",
            "behind intel-iommu with device IOTLB: reads and writes, the sha256 on both sides")
VIRTIO = Row("back-end blk", "QEMU, Linux guest",
             "behind virtio-iommu: reads and writes, the sha256 on both sides")

if __name__ == "__main__":
    unittest.main()
