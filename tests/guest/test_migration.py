# SPDX-License-Identifier: BSD-3-Clause
"""A guest migrates from one QEMU to the next while it reads and writes its disk. Each QEMU has a
python-examples/blk_backend.py of its own, all on one image.

After each move both QEMUs stand still, and all of their memories are compared. A page that holds a
block of the guest's two big files was written by the device and by nobody else: the back-end's log
alone says that it changed, and it must be equal. So must the used ring.

QEMU 7.2 itself loses a page or two of what an emulated processor writes when that is busy, and
guests with QEMU's own disk suffer from it as well. These pages are few; they are counted and put
right, and the guest goes on.

MIGRATIONS=10 in the environment moves it ten times.
"""

import os
import re
import unittest

from guest import Guest, get_versions, run_tool, vhost_user
from helpers import TempDir, wait_for_socket
from peers import Row
from test_guest_disk import MIB, SECTOR, sha256

ROW = Row("back-end blk", "QEMU to QEMU, Linux guest", "live migration while the guest reads and "
          "writes: all pages that the device wrote, ring and disk compared; split and packed")
PAGE = 4096
BANDWIDTH = 64 * MIB  # a second: the copy takes as long as some rounds of the guest
SIZE = 48  # MiB of the file system; one sector behind it says when to stop
FILES = ("random-0", "random-1")
MOST_LOST = 500  # pages of a move, of those that the processor wrote: a few, on an idle machine
# Pages as the allocator finds them: the processor writes nothing into those that are read into.
APPEND = "init_on_alloc=0 transparent_hugepage=never"
# Blocks of dd are small, so that no page of its own ever holds a whole block of the files.
BODY = f"""
    mount -t tmpfs -o size=64m none /tmp
    mount -t ext4 /dev/vda /mnt
    dd if=/dev/urandom of=/tmp/ram bs=1M count=12 2>/dev/null
    ram=$(sha256sum < /tmp/ram)
    round=0
    must_stop () {{
      [ "$(dd if=/dev/vda bs=512 skip={SIZE * 2048} count=1 iflag=direct 2>/dev/null |
          tr -d '\\0')" = stop ]
    }}
    while ! must_stop; do
      dd if=/tmp/ram of=/mnt/copy-$((round % 4)) bs=256k skip=$((round % 40)) count=4 2>/dev/null
      echo $round >> /mnt/rounds
      sync
      echo 3 > /proc/sys/vm/drop_caches
      dd if=/mnt/random-$((round % 2)) of=/dev/null bs=1000 2>/dev/null
      [ "$(sha256sum < /tmp/ram)" = "$ram" ] || report wrong memory in round $round
      round=$((round + 1))
      report round $round
    done
    report memory $(sha256sum < /tmp/ram) $ram
    for n in 0 1; do
      report cached-$n $(sha256sum < /mnt/random-$n)
      echo 3 > /proc/sys/vm/drop_caches
      report disk-$n $(sha256sum < /mnt/random-$n)
    done
    umount /mnt
    """


def list_pages(memory):
    return [memory[start:start + PAGE] for start in range(0, len(memory), PAGE)]


class Migration(TempDir):
    def make_image(self):
        self.image = self.path(f"disk{self.device}.img")
        self.content = {name: os.urandom(12 * MIB) for name in FILES}
        self.blocks = {block for content in self.content.values() for block in list_pages(content)}
        os.makedirs(self.path("tree"), exist_ok=True)
        for name, content in self.content.items():
            (self.directory / "tree" / name).write_bytes(content)
        run_tool("e2fsprogs", "mkfs.ext4", "-q", "-F", "-d", self.path("tree"), self.image,
                 f"{SIZE}M")
        os.truncate(self.image, SIZE * MIB + SECTOR)

    def write_stop(self):
        with open(self.image, "r+b") as file:
            file.seek(SIZE * MIB)
            file.write(b"stop")

    def serve(self):
        """A back-end more, and QEMU's arguments for it."""
        path = self.path(f"blk{self.device}-{len(self.backends)}.sock")
        environment = {**os.environ, "VHOST_DEBUG": "message"}
        self.backends.append(self.spawn_python("python-examples/blk_backend.py", "--socket-path",
                                               path, self.image, env=environment))
        wait_for_socket(path, child=self.backends[-1])
        return vhost_user(path, f"vhost-user-blk-pci,num-queues=1{self.device}")

    def find_ring_page(self, backend):
        """Where the device writes about its use of the ring: below 2 GiB, addresses are offsets."""
        output = backend.read_output()
        self.assertIn("LOG_ALL", output)
        return int(re.findall(r"SET_VRING_ADDR .*flags=0x1 .*log=(0x[0-9a-f]+)", output)[-1],
                   16) // PAGE

    def move(self, source):
        source.wait_for("round")
        target = source.make_target(self.serve())
        self.addCleanup(target.stop)
        info = source.migrate(target.start(), BANDWIDTH)
        n_read, n_lost = self.compare(source, target)
        print(f"# {info['ram']['dirty-sync-count']} passes; pages: {n_read} written by the device, "
              f"none lost; {n_lost} lost of all others")
        self.assertNotIn("wrong", source.values)
        source.stop()
        target.monitor.call("cont")
        return target

    def compare(self, source, target):
        """The device's pages are equal, the others are made so; how many there were of each."""
        before, after = list_pages(source.read_memory()), list_pages(target.read_memory())
        self.assertEqual(len(before), len(after))
        read = {i for i, page in enumerate(before) if page in self.blocks}
        read.add(self.find_ring_page(self.backends[-2]))
        lost = {i for i, page in enumerate(before) if page != after[i]}
        self.assertGreater(len(read), 3000)
        self.assertEqual(lost & read, set(), "written by the device, and not in the log")
        self.assertLess(len(lost), MOST_LOST)
        target.write_memory({i * PAGE: before[i] for i in lost})
        return len(read), len(lost)

    def migrate(self, times, device=""):
        self.device, self.backends = device, []
        self.make_image()
        guest = Guest(BODY, modules=["virtio_blk"], arguments=self.serve(), memory=192,
                      append=APPEND, monitor=True)
        self.addCleanup(guest.stop)
        guest.start()
        for _ in range(times):
            guest = self.move(guest)
        guest.wait_for("round")
        self.write_stop()
        guest.wait()
        self.check_end(guest)

    def check_end(self, guest):
        self.assertNotIn("wrong", guest.values)
        now, _, before, _ = guest.values["memory"].split()
        self.assertEqual(now, before)
        for number, name in enumerate(FILES):
            for kind in ("cached", "disk"):
                found = guest.values[f"{kind}-{number}"].split()[0]
                self.assertEqual(found, sha256(self.content[name]), kind)
        for backend in self.backends:
            self.assertEqual(backend.stop(), 0)
            for line in backend.read_output().splitlines():
                self.assertTrue(line.startswith("vhost-user ") or not line, line)
        run_tool("e2fsprogs", "e2fsck", "-f", "-n", self.image)
        rounds = run_tool("e2fsprogs", "debugfs", "-R", "cat /rounds", self.image).split()
        self.assertEqual(rounds, [str(i) for i in range(int(guest.values["round"]))])

    def test_split_and_packed_ring(self):
        for device in ("", ",packed=on"):
            with self.subTest(device):
                self.migrate(int(os.environ.get("MIGRATIONS", "2")), device)
        ROW.seen(get_versions())


if __name__ == "__main__":
    unittest.main()
