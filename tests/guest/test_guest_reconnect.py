# SPDX-License-Identifier: BSD-3-Clause
"""A Linux guest writes files with fsync while its disk's back-end is killed, twice."""

import signal
import time
import unittest

from guest import get_versions, run_tool
from peers import Row
from test_guest_disk import Disk

ROW = Row("back-end blk", "QEMU, Linux guest",
          "reconnect=1, in-flight area: killed twice while ext4 writes 60 files; e2fsck finds "
          "nothing and every file is whole; split and packed")


class Writing(Disk):
    FILES, NUMBERS = 60, 20_000  # each file holds that many numbers
    KILLS = (12, 35)  # after which file
    BODY = f"""
        mount -t ext4 /dev/vda /mnt
        for i in $(seq 0 {FILES - 1}); do
          seq $((i * {NUMBERS})) $((i * {NUMBERS} + {NUMBERS - 1})) |
            dd of=/mnt/file-$i bs=16k conv=fsync 2>/dev/null
          report file $i
          report file-$i written
        done
        echo 3 > /proc/sys/vm/drop_caches
        cat /mnt/file-* | sha256sum | while read sum _; do report sum $sum; done
        report errors $(dmesg | grep -c 'I/O error')x
        umount /mnt
        """

    def content(self, i):
        return b"".join(b"%d\n" % n for n in range(i * self.NUMBERS, (i + 1) * self.NUMBERS))

    def kill_while_writing(self, device):
        self.image = self.path("disk.img")
        run_tool("e2fsprogs", "mkfs.ext4", "-q", "-F", self.image, "64M")
        self.serve()
        guest = self.make_guest(self.BODY, device, reconnect=1)
        for after in self.KILLS:
            guest.wait_for(f"file-{after}")
            time.sleep(0.01)
            self.assertEqual(self.backend.stop(how=signal.SIGKILL), -signal.SIGKILL)
            self.assertNotIn(f"file-{self.FILES - 1}", guest.values)
            self.serve()
        guest.wait()
        self.assertEqual(guest.values["errors"], "0x")
        files = {f"file-{i}": self.content(i) for i in range(self.FILES)}
        self.assert_content(guest.values["sum"], b"".join(files[name] for name in sorted(files)))
        self.assert_nothing_refused()
        run_tool("e2fsprogs", "e2fsck", "-f", "-n", self.image)
        for name, content in files.items():
            dumped = self.path(name)
            run_tool("e2fsprogs", "debugfs", "-R", f"dump /{name} {dumped}", self.image)
            with open(dumped, "rb") as file:
                self.assertEqual(file.read(), content, name)

    def test_split_ring(self):
        self.kill_while_writing("")

    def test_packed_ring(self):
        self.kill_while_writing(",packed=on")
        ROW.seen(get_versions())


if __name__ == "__main__":
    unittest.main()
