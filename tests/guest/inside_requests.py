# SPDX-License-Identifier: BSD-3-Clause
"""Inside a guest: each request of vDPA and VDUSE once at least, for VHOST_DEBUG=ioctl to show.

Those that the library has no use for are made here, and shown in the same form.
"""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import struct

import inside
import inside_vdpa
from gi.repository import GLib, Vhost
from inside_vdpa import MIB, wait_until
from inside_vduse import Ours

BOUNCE = 64 * MIB  # the kernel's own part of the address space of a virtio_vdpa device
GET_API_VERSION = 0x80088100
IOTLB_REG_UMEM, IOTLB_DEREG_UMEM = 0x40308118, 0x40308119
IOTLB_GET_INFO, IOTLB_GET_FD2 = 0xC030811A, 0xC050811B
PIDFD_GETFD = 438


def request(fd, name, number, argument):
    """Makes a request and shows it as the library shows its own; returns what came back."""
    argument = bytearray(argument)
    try:
        result = fcntl.ioctl(fd, number, argument)
    except OSError as error:
        result = errno.errorcode[error.errno]
    print(f"device 0: {name} = {result}", flush=True)
    return bytes(argument) if isinstance(result, int) else None


def borrow(process, path):
    """A descriptor of another process, which has `path` open."""
    folder = f"/proc/{process.pid}/fd"
    number = next(int(fd) for fd in os.listdir(folder) if os.readlink(f"{folder}/{fd}") == path)
    pidfd = os.pidfd_open(process.pid)
    try:
        return ctypes.CDLL(None, use_errno=True).syscall(PIDFD_GETFD, pidfd, number, 0)
    finally:
        os.close(pidfd)


class Vdpa(Ours, inside_vdpa.Driving):
    def ask(self, call, *arguments):
        """What the device does not have is shown too."""
        with contextlib.suppress(GLib.Error):
            return call(*arguments)

    def test_all(self):
        server = self.serve("disk0")
        self.put_on_bus("disk0")
        device = self.open()
        for call in (device.get_device_id, device.get_max_queue_size, device.get_iova_range,
                     device.get_config_size, device.get_n_groups, device.get_n_address_spaces):
            call()
        device.get_config(0, 8, None)
        device.set_config(0, bytes(8), None)
        for call in (device.get_vring_size, device.get_vring_group,
                     device.get_vring_desc_group):
            self.ask(call, 0)
        self.ask(device.set_group_asid, 0, 0)
        driver = Vhost.Driver(device=device)
        driver.start(1, 64, None)
        self.transfer(driver, 2)
        self.ask(device.suspend)
        self.ask(device.resume)
        driver.stop(None)
        device.close()
        self.take_off_bus("disk0")
        self.end(server)


class Vduse(Ours, inside_vdpa.Served):
    def test_all(self):
        with open("/dev/vduse/control", "rb+", buffering=0) as control:
            version = request(control, "GET_API_VERSION", GET_API_VERSION, bytes(8))
        self.assertEqual(struct.unpack("=Q", version), (0,))
        server = self.serve("disk0")
        self.put_on_bus("disk0")
        wait_until(lambda: os.path.exists("/dev/vda"), "show a disk")
        os.truncate(self.image, 48 * MIB)
        wait_until(lambda: self.read_size() == 48 * MIB, "grow")
        node = borrow(server, "/dev/vduse/disk0")
        try:
            self.check_user_memory(node)
        finally:
            os.close(node)  # the server has to be the last, to destroy the device
        self.take_off_bus("disk0")
        self.end(server)

    def read_size(self):
        with open("/sys/block/vda/size", encoding="ascii") as file:
            return int(file.read()) * 512

    def check_user_memory(self, node):
        info = request(node, "IOTLB_GET_INFO", IOTLB_GET_INFO, struct.pack("=6Q", *6 * [0]))
        self.assertEqual(struct.unpack("=3Q", info[:24]), (0, BOUNCE - 1, 1))
        request(node, "IOTLB_GET_FD2", IOTLB_GET_FD2, bytes(80))
        with mmap.mmap(-1, BOUNCE) as memory:
            address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            umem = struct.pack("=6Q", address, 0, BOUNCE, 0, 0, 0)
            self.assertIsNotNone(request(node, "IOTLB_REG_UMEM", IOTLB_REG_UMEM, umem))
            self.assertIsNotNone(request(node, "IOTLB_DEREG_UMEM", IOTLB_DEREG_UMEM, umem))


if __name__ == "__main__":
    inside.run_tests()
