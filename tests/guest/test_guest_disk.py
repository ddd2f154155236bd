# SPDX-License-Identifier: BSD-3-Clause
"""Debian's kernel drives python-examples/blk_backend.py through QEMU's vhost-user-blk."""

import hashlib
import os
import signal
import time
import unittest

from guest import Guest, get_versions, run_tool, vhost_user
from helpers import TempDir, wait_for_socket, wait_until
from peers import Row

WHOLE = Row("back-end blk", "QEMU, Linux guest",
            "mkfs, mount, write, sync, trim, discard, write-zeroes, serial number, 4 queues, "
            "notice of a new size; split and packed")
REBOOT = Row("back-end blk", "QEMU, Linux guest", "three reboots in one QEMU; split and packed")
KILLED = Row("back-end blk", "QEMU, Linux guest",
             "reconnect=1, in-flight area: killed four times while four processes write; split and "
             "packed")

MIB = 1 << 20
SECTOR = 512


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Disk(TempDir):
    """A test with an image, a back-end that serves it, and a guest on it."""

    def serve(self, *arguments):
        self.socket = self.path("blk.sock")
        self.backend = self.spawn_backend("--socket-path", self.socket, *arguments, self.image)
        wait_for_socket(self.socket, child=self.backend)

    def spawn_backend(self, *arguments):
        return self.spawn_python("python-examples/blk_backend.py", *arguments)

    def resize_image(self, size):
        """The back-end notices it by itself."""
        os.truncate(self.image, size)

    def make_image(self, content):
        self.image = self.path("disk.img")
        with open(self.image, "wb") as file:
            file.write(content)

    def read_image(self):
        with open(self.image, "rb") as file:
            return file.read()

    def make_guest(self, body, device="", reconnect=0, **options):
        """A guest with the disk at /dev/vda, that ends with the test."""
        device = "vhost-user-blk-pci" + device
        guest = Guest(body, modules=["virtio_blk"],
                      arguments=vhost_user(self.socket, device, reconnect=reconnect), **options)
        self.addCleanup(guest.stop)
        return guest.start()

    def assert_content(self, found, wanted):
        self.assertEqual(found, sha256(wanted), self.backend.read_output())

    def assert_nothing_refused(self):
        self.assertEqual(self.backend.read_output(), "")
        self.assertEqual(self.backend.stop(), 0)


class Whole(Disk):
    """All that a disk can be asked for. The file system is in the first part of the disk; behind
    it, one MiB each is discarded, zeroed and punched, with one between that must stay.
    """

    ROW = WHOLE
    FS, SIZE, GROWN = 24, 32, 40  # MiB
    HOLES = [True, False, False, False, True, False]  # which MiB behind FS is one
    LAST = 200_000  # the guest's file is the numbers up to this one
    TOOLS = ("/sbin/mkfs.ext4", "/sbin/blkdiscard", "/usr/bin/fallocate")
    BODY = f"""
        report serial $(cat /sys/block/vda/serial)
        report queues $(ls /sys/block/vda/mq | wc -l)
        report packed $(cut -c35 /sys/bus/virtio/devices/virtio0/features)
        /sbin/mkfs.ext4 -q /dev/vda {FS}M
        mount -t ext4 /dev/vda /mnt
        seq 1 {LAST} > /mnt/numbers
        cp /random /mnt/random
        cp /random /mnt/unwanted
        sync
        rm /mnt/unwanted
        report trimmed $(fstrim -v /mnt)
        echo 3 > /proc/sys/vm/drop_caches
        report numbers $(sha256sum < /mnt/numbers)
        report random $(sha256sum < /mnt/random)
        umount /mnt

        /sbin/blkdiscard -f -o {FS}M -l 1M /dev/vda
        /sbin/blkdiscard -f -z -o {FS + 2}M -l 1M /dev/vda
        /usr/bin/fallocate -p -o {FS + 4}M -l 1M /dev/vda
        report tail $(dd if=/dev/vda bs=1M skip={FS} iflag=direct 2>/dev/null | sha256sum)

        report ready to grow
        until [ $(cat /sys/block/vda/size) -gt {SIZE * 2048} ]; do sleep 0.1; done
        report sectors $(cat /sys/block/vda/size)
        echo end | dd of=/dev/vda bs=512 seek={GROWN * 2048 - 1} conv=sync,fsync 2>/dev/null
        report errors $(dmesg | grep -c 'I/O error')
        """

    def use(self, device, packed):
        content = os.urandom(4 * MIB)
        disk = bytearray(os.urandom(self.SIZE * MIB))
        self.make_image(disk)
        self.serve("--num-queues", "4")
        guest = self.make_guest(self.BODY, f",num-queues=4{device}", cpus=4, programs=self.TOOLS,
                                files={"/random": content})
        guest.wait_for("ready")
        self.resize_image(self.GROWN * MIB)
        guest.wait()
        for place in (self.FS, self.FS + 2, self.FS + 4):
            disk[place * MIB:(place + 1) * MIB] = bytes(MIB)
        numbers = b"".join(b"%d\n" % number for number in range(1, self.LAST + 1))
        found = [guest.values[name] for name in ("serial", "queues", "packed")]
        self.assertEqual(found, ["disk.img", "4", packed])
        self.assert_content(guest.values["numbers"].split()[0], numbers)
        self.assert_content(guest.values["random"].split()[0], content)
        self.assert_content(guest.values["tail"].split()[0], disk[self.FS * MIB:])
        self.assertEqual(guest.values["sectors"], str(self.GROWN * MIB // SECTOR))
        self.assertEqual(guest.values["errors"], "0")
        self.assert_nothing_refused()
        self.check_image(disk, numbers, content)

    def check_image(self, disk, numbers, content):
        image = self.read_image()
        grown = bytes((self.GROWN - self.SIZE) * MIB - SECTOR) + b"end\n".ljust(SECTOR, b"\0")
        self.assertEqual(image[self.FS * MIB:], disk[self.FS * MIB:] + grown)
        run_tool("e2fsprogs", "e2fsck", "-f", "-n", self.image)
        for name, wanted in (("numbers", numbers), ("random", content)):
            run_tool("e2fsprogs", "debugfs", "-R", f"dump /{name} {self.path(name)}", self.image)
            self.assertEqual((self.directory / name).read_bytes(), wanted, name)
        holes = [self.has_hole(self.FS + place) for place in range(6)]
        self.assertEqual(holes, self.HOLES)

    def has_hole(self, place):
        """Whether there is nothing behind this MiB of the image."""
        with open(self.image, "rb") as file:
            return os.lseek(file.fileno(), place * MIB, os.SEEK_HOLE) == place * MIB

    def test_split_ring(self):
        self.use("", packed="0")

    def test_packed_ring(self):
        self.use(",packed=on", packed="1")
        self.ROW.seen(get_versions())


class Queues(Disk):
    """Both processors of a guest write at the same time, each through a queue of its own."""

    HALF = 4  # MiB
    BODY = f"""
        report queues $(ls /sys/block/vda/mq | wc -l)
        for cpu in 0 1; do
          taskset $((1 << cpu)) sh -c \\
            "yes processor-$cpu | dd of=/dev/vda bs=1M iflag=fullblock oflag=direct \\
             count={HALF} seek=$((cpu * {HALF})) 2>/dev/null" &
        done
        wait
        for n in 0 1; do
          report interrupts-$n $(awk "/virtio.-req.$n\\$/ {{ print \\$2 + \\$3 }}" /proc/interrupts)
        done
        report read $(dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | sha256sum)
        echo virtio0 > /sys/bus/virtio/drivers/virtio_blk/unbind
        [ ! -e /dev/vda ]
        echo virtio0 > /sys/bus/virtio/drivers/virtio_blk/bind
        report again $(dd if=/dev/vda bs=1M iflag=direct 2>/dev/null | sha256sum)
        """

    def test_four_queues_and_two_processors(self):
        self.make_image(bytes(2 * self.HALF * MIB))
        self.serve("--num-queues", "4")
        guest = self.make_guest(self.BODY, ",num-queues=4", cpus=2).wait()
        line = b"processor-%d\n"
        content = b"".join((line % cpu * self.HALF * MIB)[:self.HALF * MIB] for cpu in (0, 1))
        self.assertEqual(self.read_image(), content)
        self.assertEqual(guest.values["queues"], "2")
        for queue in (0, 1):
            self.assertGreater(int(guest.values[f"interrupts-{queue}"]), 0)
        self.assert_content(guest.values["read"].split()[0], content)
        self.assert_content(guest.values["again"].split()[0], content)
        self.assert_nothing_refused()


class SmallQueue(Disk):
    """Linux puts more into an indirect table than a small queue has entries."""

    BODY = """
        yes small | dd of=/dev/vda bs=4k count=1024 iflag=fullblock conv=fsync 2>/dev/null
        echo 3 > /proc/sys/vm/drop_caches
        report read $(sha256sum < /dev/vda)
        """

    def test_requests_longer_than_their_queue(self):
        self.make_image(bytes(4 * MIB))
        self.serve()
        guest = self.make_guest(self.BODY, ",num-queues=1,queue-size=16").wait()
        content = (b"small\n" * MIB)[:4 * MIB]
        self.assert_content(guest.values["read"].split()[0], content)
        self.assertEqual(self.read_image(), content)
        self.assert_nothing_refused()


class Reboot(Disk):
    """The number of the boot is in the last sector; the guest powers off in the fourth."""

    ROW = REBOOT
    SIZE = 4  # MiB
    BODY = f"""
        last=$(({SIZE} * 2048 - 1))
        boot=$(dd if=/dev/vda bs=512 skip=$last count=1 2>/dev/null | tr -d '\\0')
        report boot-$boot $(dd if=/dev/vda bs=512 count=$last iflag=direct 2>/dev/null | sha256sum)
        echo $((boot + 1)) | dd of=/dev/vda bs=512 seek=$last conv=sync,fsync 2>/dev/null
        if [ $boot -lt 4 ]; then
          reboot -f
          sleep 60
        fi
        """

    def reboot(self, device):
        content = os.urandom(self.SIZE * MIB - SECTOR)
        self.make_image(content + b"1".ljust(SECTOR, b"\0"))
        self.serve()
        guest = self.make_guest(self.BODY, device, reboots=True).wait()
        for boot in (1, 2, 3, 4):
            self.assert_content(guest.values[f"boot-{boot}"].split()[0], content)
        self.assertEqual(self.read_image(), content + b"5\n".ljust(SECTOR, b"\0"))
        self.assert_nothing_refused()

    def test_split_ring(self):
        self.reboot("")

    def test_packed_ring(self):
        self.reboot(",packed=on")
        self.ROW.seen(get_versions())


class Reconnect(Disk):
    """The back-end is killed and comes back; the guest sees nothing but a delay."""

    BODY = """
        read_disk() { dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | sha256sum; }
        report before $(read_disk)
        report between $(read_disk)
        report after $(read_disk)
        """

    def test_back_end_comes_back(self):
        content = os.urandom(16 * MIB)
        self.make_image(content)
        self.serve()
        guest = self.make_guest(self.BODY, reconnect=1)
        guest.wait_for("before")
        self.backend.stop(how=signal.SIGKILL)
        time.sleep(0.2)
        self.assertNotIn("after", guest.values)
        self.serve()
        guest.wait()
        for moment in ("before", "between", "after"):
            self.assert_content(guest.values[moment].split()[0], content)
        self.assert_nothing_refused()


class Killed(Disk):
    """The back-end is killed over and over while the guest writes; what the guest wrote is there,
    and what it overwrote has not come back.
    """

    ROW = KILLED
    WRITERS, COUNT = 4, 256  # blocks of 4 KiB of each
    KILLS = 4
    BODY = f"""
        report begin now
        for n in 0 1 2 3; do
          (for round in first second; do
             yes $round-$n | dd of=/dev/vda bs=4k iflag=fullblock oflag=direct count={COUNT} \\
               seek=$((n * {COUNT})) 2>/dev/null
           done) &
        done
        wait
        report read $(dd if=/dev/vda bs=64k iflag=direct 2>/dev/null | sha256sum)
        """

    def kill_while_writing(self, device):
        size = self.COUNT * 4096
        self.make_image(bytes(self.WRITERS * size))
        self.serve("--num-queues", "2")
        guest = self.make_guest(self.BODY, f",num-queues=2{device}", reconnect=1, cpus=2)
        guest.wait_for("begin")
        for _ in range(self.KILLS):
            before = self.read_image()
            wait_until(lambda before=before: self.read_image() != before, "write", 60)
            self.assertNotIn("read", guest.values)
            self.backend.stop(how=signal.SIGKILL)
            self.serve("--num-queues", "2")
        guest.wait()
        content = b"".join((b"second-%d\n" % n * size)[:size] for n in range(self.WRITERS))
        self.assert_content(guest.values["read"].split()[0], content)
        self.assertEqual(self.read_image(), content)
        self.assert_nothing_refused()

    def test_split_ring(self):
        self.kill_while_writing("")

    def test_packed_ring(self):
        self.kill_while_writing(",packed=on")
        self.ROW.seen(get_versions())


if __name__ == "__main__":
    unittest.main()
