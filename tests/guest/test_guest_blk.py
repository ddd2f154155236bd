# SPDX-License-Identifier: BSD-3-Clause
"""What docs/examples/blk.c serves is used by a guest as python-examples/blk_backend.py is."""

import os
import signal
import unittest

import test_guest_disk as disk
from peers import Row

WHOLE = Row("back-end blk (C)", "QEMU, Linux guest",
            "mkfs, mount, write, sync, trim, discard, write-zeroes, serial number, 4 queues, "
            "notice of a new size; split and packed")
REBOOT = Row("back-end blk (C)", "QEMU, Linux guest",
             "three reboots in one QEMU; split and packed; O_DIRECT")
KILLED = Row("back-end blk (C)", "QEMU, Linux guest",
             "reconnect=1, in-flight area: killed four times while four processes write; split "
             "with io_uring, packed with threads")
PROGRAM = os.path.join(os.environ["MESON_BUILD_ROOT"], "tests/examples/blk")


class Native:
    """Instead of the disk in Python."""

    OPTIONS = ()

    def spawn_backend(self, *arguments):
        return self.spawn(PROGRAM, *self.OPTIONS, *arguments)

    def resize_image(self, size):
        os.truncate(self.image, size)
        os.kill(self.backend.pid, signal.SIGHUP)


class Whole(Native, disk.Whole):
    ROW = WHOLE


class Queues(Native, disk.Queues):
    pass


class SmallQueue(Native, disk.SmallQueue):
    pass


class Reboot(Native, disk.Reboot):
    ROW = REBOOT
    OPTIONS = ("--direct",)


class Killed(Native, disk.Killed):
    ROW = KILLED

    def test_packed_ring(self):
        self.OPTIONS = ("--threads",)
        super().test_packed_ring()


if __name__ == "__main__":
    unittest.main()
