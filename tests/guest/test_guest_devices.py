# SPDX-License-Identifier: BSD-3-Clause
"""Debian's kernel uses three of the examples at once: a SCSI disk, a file system and sockets. For
I2C and GPIO none of its flavours has a driver, but it finds the devices. One guest for all; each
test looks at what it said of its device.
"""

import hashlib
import os
import sys
import tempfile
import unittest
from pathlib import Path

from guest import (CLOUD, WHOLE, Guest, GuestError, compile_program, get_kernel, get_versions,
                   vhost_user)
from helpers import Child, root, wait_for_socket
from peers import Row

SCSI = Row("back-end scsi", "QEMU, Linux guest",
           "inquiry, reads and writes; the sha256 of the disk on both sides")
FS = Row("back-end fs", "QEMU, Linux guest",
         "a tree of 300 files, read-only: contents, links, attributes; refused: changes, escapes")
VSOCK = Row("back-end vsock", "QEMU, Linux guest",
            "3 MiB echoed, four streams at once, a port that refuses")
NO_DRIVER = Row("back-end i2c, gpio", "QEMU, Linux guest",
                "the guest finds both devices; of Debian's kernels for amd64 none has a driver")

MIB = 1 << 20
ECHO_SIZE = 3 * MIB

BODY = f"""
    report devices $(cat /sys/bus/virtio/devices/*/device)
    while ! [ -b /dev/sda ]; do sleep 0.1; done
    report vendor $(cat /sys/block/sda/device/vendor)
    report model $(cat /sys/block/sda/device/model)
    report disks $(ls /sys/class/scsi_device)
    report sectors $(cat /sys/block/sda/size)
    report disk-sum $(sha256sum < /dev/sda)
    dd if=/pattern of=/dev/sda bs=64k seek=5 conv=fsync 2>/dev/null
    echo 3 > /proc/sys/vm/drop_caches
    report disk-sum-then $(sha256sum < /dev/sda)

    mount -t virtiofs tree /mnt
    cd /mnt
    report files $(find . -type f | wc -l)
    report files-sum $(find . -type f | sort | xargs sha256sum | sha256sum)
    report link $(readlink link)
    report mode $(stat -c '%a %s %h' small)
    report missing $(cat nothing 2>&1)
    report changing $(touch small 2>&1 > /dev/null; echo x 2>&1 > small; mkdir new 2>&1)
    report escape $(cat outside 2>&1)
    report room $(stat -f -c '%l %S' .)
    report again $(find . -type f | sort | xargs sha256sum | sha256sum)
    cd /
    umount /mnt

    report echoed $(/bin/vsock 7 {ECHO_SIZE})
    for n in 1 2 3 4; do /bin/vsock 7 100000 > /tmp/echo-$n & done
    wait
    report echoed-at-once $(cat /tmp/echo-*)
    report refused $(/bin/vsock 8 1)
"""


def make_tree(tree):
    """What the guest finds in its file system."""
    (tree / "deep" / "er").mkdir(parents=True)
    for number in range(300):
        (tree / "deep" / f"file-{number:03}").write_text(f"{number}\n" * number)
    (tree / "deep" / "er" / "grüße").write_bytes(os.urandom(5 * MIB + 17))
    (tree / "small").write_bytes(b"small")
    (tree / "small").chmod(0o640)
    os.link(tree / "small", tree / "same")
    (tree / "empty").touch()
    (tree / "link").symlink_to("deep/er")
    (tree / "outside").symlink_to("/etc/hostname")


def sum_tree(tree):
    files = sorted(b"./" + os.fsencode(path.relative_to(tree)) for path in tree.rglob("*")
                   if path.is_file() and not path.is_symlink())
    lines = [b"%s  %s\n" % (hashlib.sha256(Path(os.fsdecode(bytes(tree) + b"/" + name))
                                           .read_bytes()).hexdigest().encode(), name)
             for name in files]
    return len(files), f"{hashlib.sha256(b''.join(lines)).hexdigest()} -"


class Devices(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temp = tempfile.TemporaryDirectory(prefix="vhost-")
        cls.addClassCleanup(temp.cleanup)
        cls.directory = Path(temp.name)
        cls.children = {}
        tree, image = cls.directory / "tree", cls.directory / "disk.img"
        make_tree(tree)
        cls.disk, cls.pattern = os.urandom(8 * MIB), os.urandom(MIB)
        image.write_bytes(cls.disk)
        arguments = (cls.serve("scsi", "vhost-user-scsi-pci", image)
                     + cls.serve("fs", "vhost-user-fs-pci,tag=tree", tree)
                     + cls.serve("vsock", "vhost-user-vsock-pci")
                     + cls.serve("i2c", "vhost-user-i2c-pci")
                     + cls.serve("gpio", "vhost-user-gpio-pci"))
        files = {"/pattern": cls.pattern, "/bin/vsock": compile_program("vsock", temp.name)}
        cls.guest = Guest(BODY, modules=["virtio_scsi", "sd_mod", "virtiofs",
                                         "vmw_vsock_virtio_transport"],
                          files=files, arguments=arguments)
        with cls.guest:
            cls.guest.wait()

    @classmethod
    def serve(cls, name, device, *arguments):
        """Starts an example; returns the arguments of QEMU that use it."""
        socket = cls.directory / f"{name}.sock"
        child = Child([sys.executable, root() / f"python-examples/{name}_backend.py",
                       "--socket-path", socket, *arguments], cls.directory / f"{name}.log")
        cls.addClassCleanup(child.stop)
        wait_for_socket(socket, child=child)
        cls.children[name] = child
        return vhost_user(socket, device, name)

    def expect(self, **values):
        found = {name: self.guest.values.get(name.replace("_", "-")) for name in values}
        self.assertEqual(found, values)

    def end(self, name):
        """The back-end is alive, has nothing to complain about, and ends when told to."""
        child = self.children[name]
        self.assertTrue(child.is_running())
        self.assertEqual(child.stop(), 0)
        self.assertEqual(child.read_output(), "")

    def test_scsi(self):
        def sum_disk():
            return f"{hashlib.sha256(self.disk).hexdigest()} -"
        before = sum_disk()
        self.disk = self.disk[:5 << 16] + self.pattern + self.disk[(5 << 16) + MIB:]
        self.expect(vendor="LIBVHOST", model="EXAMPLE DISK", disks="0:0:0:0", sectors="16384",
                    disk_sum=before, disk_sum_then=sum_disk())
        self.assertEqual((self.directory / "disk.img").read_bytes(), self.disk)
        self.end("scsi")
        SCSI.seen(get_versions())

    def test_file_system(self):
        count, total = sum_tree(self.directory / "tree")
        room = os.statvfs(self.directory)
        self.expect(files=str(count), files_sum=total, again=total, link="deep/er",
                    mode="640 5 2", room=f"{room.f_namemax} {room.f_frsize}",
                    missing="cat: can't open 'nothing': No such file or directory",
                    escape="cat: can't open 'outside': No such file or directory")
        self.assertEqual(self.guest.values["changing"].count("Read-only file system"), 3)
        self.assertEqual((self.directory / "tree" / "small").read_bytes(), b"small")
        self.end("fs")
        FS.seen(get_versions())

    def test_sockets(self):
        self.expect(echoed=str(ECHO_SIZE), echoed_at_once=" ".join(["100000"] * 4),
                    refused="Connection reset by peer")
        self.end("vsock")
        VSOCK.seen(get_versions())

    def test_without_a_driver(self):
        """QEMU takes the back-end, and the guest sees the device."""
        for name, number in (("i2c", 34), ("gpio", 41)):
            self.assertIn(f"0x{number:04x}", self.guest.values["devices"].split(), name)
            self.end(name)
            for flavour in (CLOUD, WHOLE):
                with self.assertRaisesRegex(GuestError, "not found"):
                    get_kernel(flavour).resolve_modules([f"{name}-virtio"])
        NO_DRIVER.seen(f"{get_versions()} and {get_kernel(WHOLE).version}")


if __name__ == "__main__":
    unittest.main()
