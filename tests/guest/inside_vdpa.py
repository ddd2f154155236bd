# SPDX-License-Identifier: BSD-3-Clause
"""Inside a guest: qemu-storage-daemon serves a disk to its kernel, which is driven here through
vhost_vdpa.
"""

import os
import struct
import subprocess
import time
import unittest

import inside
from gi.repository import Gio, GLib, Vhost

MIB = 1 << 20
BLOCK = 4096
IN, OUT = 0, 1
NODE = "/dev/vhost-vdpa-0"
PACKED = 1 << Vhost.Feature.RING_PACKED


def wait_until(condition, what, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"did not {what} within {seconds} s")
        time.sleep(0.02)


def vdpa(*words):
    subprocess.run(["vdpa", *words], check=True, timeout=100)


class Expected:
    def __init__(self, test, domain, code, words):
        self.test, self.domain, self.code, self.words = test, domain, code, words

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        self.test.assertIs(kind, GLib.Error)
        self.test.assertTrue(error.matches(self.domain, self.code), repr(error))
        for word in self.words:
            self.test.assertIn(word, error.message)
        return True


class Served(unittest.TestCase):
    """A test with devices on the vDPA bus, which are gone at its end."""

    driver = "virtio_vdpa"

    def fails_io(self, code, *words):
        return Expected(self, Gio.io_error_quark(), code, words)

    def fails_vhost(self, code, *words):
        return Expected(self, Vhost.error_quark(), code, words)

    def setUp(self):
        self.servers = {}
        self.image = "/disk.img"
        self.make_image(bytes(32 * MIB))

    def make_image(self, content):
        with open(self.image, "wb") as file:
            file.write(content)

    def read_image(self, size):
        with open(self.image, "rb") as file:
            return file.read(size)

    def spawn(self, name, *command):
        """Starts a process that serves device `name`, and waits for it."""
        if name not in self.servers:
            self.addCleanup(self.finish, name)
        process = self.servers[name] = subprocess.Popen(command)
        wait_until(lambda: os.path.exists(f"/dev/vduse/{name}") or process.poll() is not None,
                   "serve")
        self.assertIsNone(process.poll())
        return process

    def finish(self, name):
        """Ends the server of a device, which is off the bus."""
        self.servers[name].terminate()
        self.servers[name].wait(30)

    def serve_storage_daemon(self, name):
        return self.spawn(
            name, "/usr/bin/qemu-storage-daemon", "--blockdev",
            f"file,node-name=file,filename={self.image}", "--export",
            f"vduse-blk,id=export,node-name=file,name={name},writable=on,num-queues=1")

    def put_on_bus(self, name):
        vdpa("dev", "add", "name", name, "mgmtdev", "vduse")
        self.addCleanup(self.take_off_bus, name)
        bound = os.path.basename(os.readlink(f"/sys/bus/vdpa/devices/{name}/driver"))
        if bound != self.driver:
            inside.write_file(f"/sys/bus/vdpa/drivers/{bound}/unbind", name)
            inside.write_file(f"/sys/bus/vdpa/drivers/{self.driver}/bind", name)

    def take_off_bus(self, name):
        if os.path.exists(f"/sys/bus/vdpa/devices/{name}"):
            vdpa("dev", "del", name)


class Driving(Served):
    """The same on vhost_vdpa, where this process is the driver."""

    driver = "vhost_vdpa"

    def open(self):
        wait_until(lambda: os.path.exists(NODE), "show a device")
        device = Vhost.KernelVdpa()
        device.open(NODE)
        self.addCleanup(device.close)
        return device

    def request(self, queue, kind, sector, data=b"", size=0):
        header = struct.pack("<IIQ", kind, 0, sector)
        answer = bytes(queue.request(header + data, size + 1, None))
        self.assertEqual(answer[-1], 0)
        return answer[:-1]

    def transfer(self, driver, n=50):
        """Writes blocks and reads them back."""
        queue = driver.get_queue(0)
        blocks = [os.urandom(BLOCK) for _ in range(n)]
        for i, block in enumerate(blocks):
            self.request(queue, OUT, 8 * i, block)
        for i, block in enumerate(blocks):
            self.assertEqual(self.request(queue, IN, 8 * i, size=BLOCK), block)
        self.assertEqual(self.read_image(n * BLOCK), b"".join(blocks))

    def drive(self, device, packed):
        driver = Vhost.Driver(device=device)
        if not packed:
            driver.props.wanted_features &= ~PACKED
        for _ in range(2):  # the second time with other memory
            driver.start(1, 64, None)
            self.assertEqual(driver.has_feature(Vhost.Feature.RING_PACKED), packed)
            self.transfer(driver)
            driver.stop(None)
        self.assertEqual(device.get_status(None), 0)


class Driven(Driving):
    def test_storage_daemon(self):
        self.serve_storage_daemon("disk0")
        self.put_on_bus("disk0")
        self.drive(self.open(), False)

    def test_what_it_is(self):
        self.serve_storage_daemon("disk0")
        self.put_on_bus("disk0")
        device = self.open()
        self.assertEqual(device.get_device_id(), Vhost.DeviceId.BLOCK)
        self.assertEqual(device.get_n_queues(), 1)
        self.assertEqual(device.get_max_queue_size(), 256)
        self.assertEqual(device.get_vring_size(0), 256)
        self.assertEqual(device.get_config_size(), 60)
        self.assertEqual((device.get_n_groups(), device.get_n_address_spaces()), (1, 1))
        self.assertEqual(tuple(device.get_iova_range())[-2:], (0, 2**64 - 1))
        self.assertEqual(struct.unpack("<Q", bytes(device.get_config(0, 8, None))),
                         (32 * MIB // 512,))
        device.set_config(0, b"12345678", None)  # taken, and ignored by VDUSE
        for bit in (Vhost.KernelFeature.IOTLB_MSG_V2, Vhost.KernelFeature.IOTLB_BATCH,
                    Vhost.KernelFeature.IOTLB_ASID):
            self.assertTrue(device.has_kernel_feature(bit))

    def test_mappings(self):
        self.serve_storage_daemon("disk0")
        self.put_on_bus("disk0")
        device = self.open()
        fd = os.memfd_create("mapped")
        self.addCleanup(os.close, fd)
        os.ftruncate(fd, MIB)
        region = Vhost.MemoryRegion.new(0, MIB, 0, fd, 0)
        device.map(0, 0x1000000, region, True)
        with self.fails_vhost(Vhost.Error.REFUSED, "WRITE_IOTLB", "0x1000000"):
            device.map(0, 0x1000000, region, True)
        with self.fails_vhost(Vhost.Error.REFUSED):
            device.map(7, 0x2000000, region, True)
        device.unmap(0, 0x1000000, MIB)
        device.begin_batch(0)
        device.map(0, 0x1000000, region, False)
        device.map(0, 0x3000000, region, True)
        device.end_batch(0)
        device.unmap(0, 0, 2**63)

    def test_what_it_refuses(self):
        self.serve_storage_daemon("disk0")
        self.put_on_bus("disk0")
        device = self.open()
        with self.fails_io(Gio.IOErrorEnum.BUSY, NODE):
            Vhost.KernelVdpa().open(NODE)
        with self.fails_io(Gio.IOErrorEnum.NOT_SUPPORTED, "VDPA_GET_VRING_GROUP"):
            device.get_vring_group(0)
        with self.fails_io(Gio.IOErrorEnum.NOT_SUPPORTED, "VDPA_GET_VRING_DESC_GROUP"):
            device.get_vring_desc_group(0)
        with self.fails_io(Gio.IOErrorEnum.INVALID_ARGUMENT, "VDPA_SET_GROUP_ASID"):
            device.set_group_asid(0, 5)
        with self.fails_vhost(Vhost.Error.INVALID_VALUE, "VDPA_GET_CONFIG", "60 bytes"):
            device.get_config(56, 8, None)
        with self.fails_vhost(Vhost.Error.BAD_STATE, "VDPA_SUSPEND"):
            device.suspend()
        with self.fails_io(Gio.IOErrorEnum.NOT_SUPPORTED, "set_log_base"):
            device.set_log_base(-1, 4096, 0, None)
        driver = Vhost.Driver(device=device)
        driver.start(1, 64, None)
        for call in (device.suspend, device.resume):
            with self.fails_io(Gio.IOErrorEnum.NOT_SUPPORTED, "VDPA_"):
                call()
        with self.fails_io(Gio.IOErrorEnum.INVALID_ARGUMENT, "VDPA_SET_STATUS"):
            device.set_status(1, None)
        driver.stop(None)


if __name__ == "__main__":
    inside.run_tests()
