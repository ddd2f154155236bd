# SPDX-License-Identifier: BSD-3-Clause
"""Inside a guest: a disk of this library, served to its kernel through VDUSE, on virtio_vdpa and on
vhost_vdpa.
"""

import contextlib
import hashlib
import os
import signal
import struct
import subprocess
import sys
import time

import blk_backend
import inside
import inside_vdpa
from gi.repository import Gio, GLib, Vhost
from inside_vdpa import BLOCK, MIB, PACKED, vdpa, wait_until


class Ours:
    """A test whose devices are served by this library as well."""

    def serve(self, name, *options):
        return self.spawn(name, sys.executable, "/python/vduse_disk.py", *options, name,
                          self.image)

    def finish(self, name):
        """Ends the last server of a device, which is off the bus, and the device."""
        self.servers[name].kill()
        self.servers[name].wait()
        if os.path.exists(f"/dev/vduse/{name}"):
            backend = self.make_disk()
            backend.open(name)
            backend.destroy()

    def make_disk(self):
        backend = Vhost.VduseBackend(device_id=Vhost.DeviceId.BLOCK, n_queues=1)
        blk_backend.Disk(self.image, False, 1).attach(backend)
        return backend

    def end(self, process, status=0):
        """The server takes its device with it."""
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(30), status)


class Mounted(Ours, inside_vdpa.Served):
    """The disk of python-examples, used by the guest's own virtio_blk."""

    def start(self, *options):
        server = self.serve("disk0", *options)
        self.put_on_bus("disk0")
        wait_until(lambda: os.path.exists("/dev/vda"), "show a disk")
        return server

    def run_tool(self, *command):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=200)
        self.assertEqual(done.returncode, 0, done.stdout)

    def test_file_system(self):
        server = self.start()
        content = os.urandom(4 * MIB)
        self.run_tool("mkfs.ext4", "-q", "/dev/vda")
        self.run_tool("mount", "-t", "ext4", "/dev/vda", "/mnt")
        with open("/mnt/file", "wb") as file:
            file.write(content)
        self.run_tool("umount", "/mnt")
        self.run_tool("mount", "-t", "ext4", "/dev/vda", "/mnt")
        inside.write_file("/proc/sys/vm/drop_caches", "3")
        with open("/mnt/file", "rb") as file:
            found = hashlib.sha256(file.read()).hexdigest()
        self.run_tool("umount", "/mnt")
        self.assertEqual(found, hashlib.sha256(content).hexdigest())
        self.take_off_bus("disk0")
        self.end(server)
        self.assertEqual(os.listdir("/dev/vduse"), ["control"])

    def test_growing(self):
        """A change of the configuration space reaches the guest."""
        server = self.start()
        os.truncate(self.image, 48 * MIB)
        wait_until(lambda: self.read_size() == 48 * MIB, "grow")
        self.take_off_bus("disk0")
        self.end(server)

    def read_size(self):
        with open("/sys/block/vda/size", encoding="ascii") as file:
            return int(file.read()) * 512

    def test_killed_and_served_again(self):
        """The guest writes on, and nothing is lost."""
        size = 6 * MIB
        record = "/tmp/recovery"
        server = self.start("--recovery-file", record)
        writer = subprocess.Popen(
            ["sh", "-c", f"yes written | dd of=/dev/vda bs=4k iflag=fullblock oflag=direct "
             f"count={size // BLOCK} 2>/dev/null"])
        for count in (1, 2):
            before = self.read_image(size)
            wait_until(lambda before=before: self.read_image(size) != before, "write")
            server.kill()
            server.wait()
            self.assertIsNone(writer.poll())
            inside.report(f"killed-{count}")
            server = self.serve("disk0", "--recovery-file", record)
        self.assertEqual(writer.wait(200), 0)
        content = (b"written\n" * size)[:size]
        self.assertEqual(self.read_image(size), content)
        with open("/dev/vda", "rb") as file:
            self.assertEqual(file.read(size), content)
        self.take_off_bus("disk0")
        self.end(server)

    def test_queues(self):
        server = self.start("--num-queues", "2")
        self.assertEqual(len(os.listdir("/sys/block/vda/mq")), len(os.sched_getaffinity(0)))
        self.take_off_bus("disk0")
        self.end(server)


class Figures(Ours, inside_vdpa.Served):
    """Each disk read and written in turn, in the same guest."""

    def measure(self, name):
        self.put_on_bus(name)
        wait_until(lambda: os.path.exists("/dev/vda"), "show a disk")
        for way, ends in (("write", ("if=/dev/zero", "of=/dev/vda", "oflag=direct")),
                          ("read", ("if=/dev/vda", "of=/dev/null", "iflag=direct"))):
            for size, count in (("4k", 1000), ("512k", 64)):
                begin = time.monotonic()
                subprocess.run(["dd", *ends, f"bs={size}", f"count={count}"], check=True,
                               stderr=subprocess.DEVNULL)
                seconds = time.monotonic() - begin
                amount = count * (BLOCK if size == "4k" else 512 << 10)
                inside.report(f"{name}-{way}-{size}", f"{amount / MIB / seconds:.1f} MiB/s,",
                              f"{count / seconds:.0f} requests/s")
        self.take_off_bus(name)
        wait_until(lambda: not os.path.exists("/dev/vda"), "take the disk away")

    def test_throughput(self):
        ours = self.serve("ours")
        self.measure("ours")
        self.end(ours)
        theirs = self.serve_storage_daemon("theirs")
        self.measure("theirs")
        theirs.terminate()
        theirs.wait(30)


class Driven(Ours, inside_vdpa.Driving):
    """Both ends ours."""

    def test_both_ends_ours(self):
        server = self.serve("disk0", "--recovery-file", "/tmp/recovery")
        self.put_on_bus("disk0")
        device = self.open()
        for packed in (False, True):
            self.drive(device, packed)
        device.close()
        self.take_off_bus("disk0")
        self.end(server)

    def test_killed_and_served_again(self):
        server = self.serve("disk0")
        self.put_on_bus("disk0")
        driver = Vhost.Driver(device=self.open())
        driver.props.wanted_features &= ~PACKED
        driver.start(1, 64, None)
        for _ in range(3):
            self.transfer(driver, 10)
            server.kill()
            server.wait()
            server = self.serve("disk0")
        self.transfer(driver, 10)
        driver.stop(None)

    def test_config_changed(self):
        self.serve("disk0")
        self.put_on_bus("disk0")
        device = self.open()
        driver = Vhost.Driver(device=device)
        driver.start(1, 64, None)
        loop = GLib.MainLoop()
        device.connect("config-changed", lambda _: loop.quit())
        GLib.timeout_add_seconds(60, loop.quit)
        os.truncate(self.image, 48 * MIB)
        loop.run()
        self.assertEqual(struct.unpack("<Q", bytes(device.get_config(0, 8, None))),
                         (48 * MIB // 512,))
        driver.stop(None)


class Serving(Ours, inside_vdpa.Served):
    """What the kernel says to a process that serves."""

    def make(self, **options):
        backend = Vhost.VduseBackend(device_id=Vhost.DeviceId.BLOCK, n_queues=1, **options)
        backend.set_config(bytes(96))
        return backend

    def test_open_and_destroy(self):
        backend = self.make()
        backend.open("first")
        self.assertTrue(backend.is_open())
        self.assertEqual(backend.props.name, "first")
        with self.fails_vhost(Vhost.Error.BAD_STATE, "open already"):
            backend.open("first")
        with self.fails_io(Gio.IOErrorEnum.BUSY, "another process"):
            self.make().open("first")
        backend.close()
        again = self.make()
        again.open("first")
        again.destroy()
        self.assertFalse(again.is_open())
        with self.fails_io(Gio.IOErrorEnum.NOT_FOUND, "first"):
            again.destroy()

    def test_kinds_that_the_kernel_does_not_serve(self):
        with self.fails_io(Gio.IOErrorEnum.INVALID_ARGUMENT, "VDUSE_CREATE_DEV", "kinds"):
            Vhost.VduseBackend(device_id=Vhost.DeviceId.ENTROPY, n_queues=1).open("rng")
        backend = self.make()
        backend.add_feature(Vhost.BlkFeature.CONFIG_WCE)
        with self.fails_io(Gio.IOErrorEnum.INVALID_ARGUMENT, "VDUSE_CREATE_DEV"):
            backend.open("disk")
        net = Vhost.VduseBackend(device_id=Vhost.DeviceId.NETWORK, n_queues=2)
        net.open("net")
        net.destroy()

    def test_no_permission(self):
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            try:
                self.make().open("forbidden")
            except GLib.Error as error:
                denied = error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.PERMISSION_DENIED)
                os._exit(0 if denied and "/dev/vduse/control" in error.message else 1)
            os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)

    def test_on_the_bus(self):
        server = self.serve("disk0")
        self.put_on_bus("disk0")
        self.end(server, status=1)  # it cannot be destroyed
        with self.fails_vhost(Vhost.Error.INVALID_VALUE, "not offered", "FLUSH"):
            self.make().open("disk0")  # not the device that its driver knows
        disk = self.make_disk()
        disk.open("disk0")
        with self.fails_io(Gio.IOErrorEnum.BUSY, "vDPA bus"):
            disk.destroy()
        server = self.serve("disk0")
        self.take_off_bus("disk0")
        self.end(server)

    def test_kernel_gives_up(self):
        backend = self.make()
        failures = []
        backend.connect("device-failed", lambda _, error: failures.append(error.message))
        backend.open("late")
        inside.write_file("/sys/class/vduse/late/msg_timeout", "1")
        with contextlib.suppress(subprocess.CalledProcessError):
            vdpa("dev", "add", "name", "late", "mgmtdev", "vduse")  # nobody answers here
        self.addCleanup(self.take_off_bus, "late")
        while backend.is_open():
            GLib.MainContext.default().iteration(True)
        self.assertEqual(len(failures), 1)
        self.assertIn("given “late” up", failures[0])


if __name__ == "__main__":
    inside.run_tests()
