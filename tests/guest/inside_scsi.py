# SPDX-License-Identifier: BSD-3-Clause
"""Inside a guest: commands from a driver's queue to a target on a ramdisk of this kernel."""

import os
import unittest

import inside
from gi.repository import Gio, GLib, Vhost
from kernel_scsi import REQUESTS, Disk, ScsiError

CONFIG = "/sys/kernel/config/target"
WWPN, NEXUS = "naa.5001405aabbccdd0", "naa.5001405aabbccdd1"
BLOCKS = 2048  # a ramdisk of 1 MiB


def make_target():
    """Makes in configfs what targetcli would."""
    disk, group = f"{CONFIG}/core/rd_mcp_0/ram", f"{CONFIG}/vhost/{WWPN}/tpgt_1"
    os.makedirs(disk)
    inside.write_file(f"{disk}/control", "rd_pages=256\n")
    inside.write_file(f"{disk}/enable", "1\n")
    for name in (f"{CONFIG}/vhost", f"{CONFIG}/vhost/{WWPN}", group, f"{group}/lun/lun_0"):
        if not os.path.isdir(name):
            os.mkdir(name)
    inside.write_file(f"{group}/nexus", NEXUS)
    os.symlink(disk, f"{group}/lun/lun_0/ram")


class Target(unittest.TestCase):
    def setUp(self):
        self.disk = Disk(WWPN)
        self.addCleanup(self.disk.stop)

    def test_inquiry(self):
        self.assertEqual(self.disk.inquire()[:2], ["LIO-ORG", "RAMDISK-MCP"])

    def test_capacity(self):
        self.assertEqual(self.disk.get_capacity(), (BLOCKS, 512))

    def test_what_is_written_is_read(self):
        whole = os.urandom(BLOCKS * 512)
        for first in range(0, BLOCKS, 64):
            self.disk.write(first, whole[first * 512:(first + 64) * 512])
        read = b"".join(self.disk.read(first, 32) for first in range(0, BLOCKS, 32))
        self.assertEqual(read, whole)

    def test_beyond_the_end(self):
        with self.assertRaisesRegex(ScsiError, "status 2"):
            self.disk.read(BLOCKS, 1)

    def test_stop_and_start(self):
        self.disk.write(5, b"again".ljust(512, b"."))
        self.disk.driver.stop(None)
        self.disk.driver.start(3, 64, None)
        self.disk.queue = self.disk.driver.get_queue(REQUESTS)
        self.assertEqual(self.disk.read(5, 1), b"again".ljust(512, b"."))

    def test_endpoint_is_taken(self):
        with self.assertRaisesRegex(GLib.Error, "SCSI_SET_ENDPOINT: no target of that name"):
            Disk(WWPN)
        self.disk.host.clear_endpoint()
        other = Disk(WWPN)
        self.assertEqual(other.get_capacity(), (BLOCKS, 512))
        other.stop()


class Host(unittest.TestCase):
    def setUp(self):
        self.host = Vhost.KernelScsi()
        self.host.open(None)
        self.addCleanup(self.host.close)

    def test_numbers(self):
        self.assertEqual(self.host.get_abi_version(), 1)
        self.assertEqual(self.host.get_events_missed(), 0)
        self.host.set_events_missed(1)
        self.assertEqual(self.host.get_events_missed(), 1)
        self.assertGreaterEqual(self.host.get_n_queues(), 3)

    def test_no_target(self):
        with self.assertRaisesRegex(GLib.Error, "given no target"):
            Vhost.Driver(device=self.host).start(3, 64, None)
        self.host.set_endpoint("naa.0000000000000000", 1)
        with self.assertRaisesRegex(GLib.Error, "SCSI_SET_ENDPOINT: no target of that name"):
            Vhost.Driver(device=self.host).start(3, 64, None)
        for wwpn in ("", "n" * 224):
            with self.assertRaisesRegex(GLib.Error, "cannot be a target"):
                self.host.set_endpoint(wwpn, 1)

    @unittest.skipIf(inside.is_old(), "Linux 6.1 has one worker")
    def test_workers(self):
        first = self.host.get_vring_worker(REQUESTS)
        worker = self.host.add_worker()
        self.assertNotEqual(worker, first)
        self.host.attach_vring_worker(REQUESTS, worker)
        self.assertEqual(self.host.get_vring_worker(REQUESTS), worker)
        with self.assertRaisesRegex(GLib.Error, "attached to the worker") as raised:
            self.host.remove_worker(worker)
        self.assertTrue(raised.exception.matches(Gio.io_error_quark(), Gio.IOErrorEnum.BUSY))
        self.host.attach_vring_worker(REQUESTS, first)
        self.host.remove_worker(worker)
        with self.assertRaisesRegex(GLib.Error, "no such worker"):
            self.host.remove_worker(worker)

    @unittest.skipUnless(inside.is_old(), "this kernel has workers")
    def test_no_workers(self):
        for ask in (self.host.add_worker, lambda: self.host.remove_worker(0),
                    lambda: self.host.attach_vring_worker(0, 0),
                    lambda: self.host.get_vring_worker(0)):
            with self.assertRaisesRegex(GLib.Error, "no such request") as raised:
                ask()
            self.assertTrue(raised.exception.matches(Gio.io_error_quark(),
                                                     Gio.IOErrorEnum.NOT_SUPPORTED))


if __name__ == "__main__":
    make_target()
    inside.run_tests()
