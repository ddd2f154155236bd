# SPDX-License-Identifier: BSD-3-Clause
"""A guest migrates from one QEMU to the next while it reads and writes its disk. Each QEMU has a
python-examples/blk_backend.py of its own, all on one image.

After each move both QEMUs stand still, and all of their memories are compared, page by page. Those
that the device wrote last must be equal, as the back-end's log alone says that they changed: pages
that hold a block which the image has had from the beginning, and which nobody but the device has
ever put into this guest's memory; and, though the processor writes there too, the pages of the ring
that say what is used. (What else the device writes is the status of requests, 0 each time.)

Any other page that differs was written last by the processor, whose writes are QEMU's to log, and
QEMU 7.2 loses some of an emulated one. They are counted and put right, and the guest goes on. That
it is so is seen from the control: the same guest on QEMU's own virtio-blk, where none of this
library runs.

MIGRATIONS=10 in the environment moves each guest ten times.
"""

import os
import re
import unittest
from pathlib import Path

from guest import Guest, get_versions, run_tool, vhost_user
from helpers import TempDir, wait_for_socket
from peers import Row
from test_guest_disk import MIB, SECTOR, sha256

ROW = Row("back-end blk", "QEMU to QEMU, Linux guest", "live migration while the guest reads and "
          "writes: all pages that the device wrote, ring and disk compared; split and packed")
MIGRATIONS = int(os.environ.get("MIGRATIONS", "2"))
PAGE = 4096
BANDWIDTH = 64 * MIB  # a second: the copy takes as long as some rounds of the guest
SIZE = 48  # MiB of the file system; one sector behind it says when to stop
FILES = ("random-0", "random-1")
COPIES, PART, PARTS = 4, 256 << 10, 4  # files that the guest writes: 4 parts of its /tmp/ram each
STARTS = 40  # parts of /tmp/ram that a copy may begin with
# Pages as the allocator finds them: the processor writes nothing into those that are read into.
APPEND = "init_on_alloc=0 transparent_hugepage=never"
# Blocks of dd are small, so that no page of its own ever holds a whole block of the files.
BODY = f"""
    mount -t tmpfs -o size=64m none /tmp
    mount -t ext4 /dev/vda /mnt
    dd if=/dev/urandom of=/tmp/ram bs=1M count=12 2>/dev/null
    ram=$(sha256sum < /tmp/ram)
    round=0
    copy() {{
      dd if=/tmp/ram bs={PART} skip=$1 count={PARTS} $2 2>/dev/null
    }}
    must_stop () {{
      [ "$(dd if=/dev/vda bs=512 skip={SIZE * 2048} count=1 iflag=direct 2>/dev/null |
          tr -d '\\0')" = stop ]
    }}
    while ! must_stop; do
      copy $((round % {STARTS})) of=/mnt/copy-$((round % {COPIES}))
      echo $round >> /mnt/rounds
      sync
      echo 3 > /proc/sys/vm/drop_caches
      dd if=/mnt/random-$((round % 2)) of=/dev/null bs=1000 2>/dev/null
      [ "$(sha256sum < /tmp/ram)" = "$ram" ] || report wrong memory in round $round
      round=$((round + 1))
      report round $round
    done
    for n in $(seq $((round - {COPIES})) $((round - 1))); do
      report copy-$((n % {COPIES})) $(copy $((n % {STARTS})) | sha256sum)
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


class Disk(TempDir):
    """A guest on an image that this test has made, and knows."""

    def setUp(self):
        super().setUp()
        self.image = self.path("disk.img")
        self.content = {name: os.urandom(12 * MIB) for name in FILES}
        tree = self.directory / "tree"
        tree.mkdir()
        for name, content in self.content.items():
            (tree / name).write_bytes(content)
        run_tool("e2fsprogs", "mkfs.ext4", "-q", "-F", "-b", PAGE, "-d", tree, self.image,
                 f"{SIZE}M")
        os.truncate(self.image, SIZE * MIB + SECTOR)
        self.blocks = set(list_pages(Path(self.image).read_bytes())) - {bytes(PAGE)}

    def migrate(self, *arguments):
        """Moves a guest; QEMU's arguments for its disk come from serve()."""
        moved = lost = 0
        guest = Guest(BODY, modules=["virtio_blk"], arguments=self.serve(*arguments), memory=192,
                      append=APPEND, monitor=True, deadline=120.0 + 20 * MIGRATIONS)
        self.addCleanup(guest.stop)
        guest.start()
        for _ in range(MIGRATIONS):
            guest.wait_for("round")
            target = guest.make_target(self.serve(*arguments))
            self.addCleanup(target.stop)
            info = guest.migrate(target.start(), BANDWIDTH)
            lost += self.compare(guest, target, info["ram"]["dirty-sync-count"])
            self.assertNotIn("wrong", guest.values)
            guest.stop()
            target.monitor.call("cont")
            guest, moved = target, moved + 1
        guest.wait_for("round")
        self.write_stop()
        guest.wait()
        self.check_end(guest)
        print(f"# {moved} migrations; of pages that the device wrote last none lost, "
              f"of those that the processor did {lost}")

    def compare(self, source, target, passes):
        """The device's pages must be equal, others are made so; returns how many of those."""
        before, after = list_pages(source.read_memory()), list_pages(target.read_memory())
        self.assertEqual(len(before), len(after))
        ours = {i for i, page in enumerate(before) if page in self.blocks}
        self.assertGreater(len(ours), 3000)
        ours |= self.find_ring_pages()
        differ = {i for i, page in enumerate(before) if page != after[i]}
        self.assertEqual(differ & ours, set(), "written by the device, and not in the log")
        target.write_memory({i * PAGE: before[i] for i in differ})
        print(f"# {passes} passes; {len(ours)} pages that the device wrote last are equal; "
              f"{len(differ)} of all others differ")
        return len(differ)

    def write_stop(self):
        with open(self.image, "r+b") as file:
            file.seek(SIZE * MIB)
            file.write(b"stop")

    def check_end(self, guest):
        self.assertNotIn("wrong", guest.values)
        now, _, before, _ = guest.values["memory"].split()
        self.assertEqual(now, before)
        for number, name in enumerate(FILES):
            for kind in ("cached", "disk"):
                found = guest.values[f"{kind}-{number}"].split()[0]
                self.assertEqual(found, sha256(self.content[name]), kind)
        run_tool("e2fsprogs", "e2fsck", "-f", "-n", self.image)
        for number in range(COPIES):
            name = f"copy-{number}"
            run_tool("e2fsprogs", "debugfs", "-R", f"dump /{name} {self.path(name)}", self.image)
            found = Path(self.path(name)).read_bytes()
            self.assertEqual((len(found), sha256(found)),
                             (PART * PARTS, guest.values[name].split()[0]))
        rounds = run_tool("e2fsprogs", "debugfs", "-R", "cat /rounds", self.image).split()
        self.assertEqual(rounds, [str(i) for i in range(int(guest.values["round"]))])


class OurDisk(Disk):
    def setUp(self):
        super().setUp()
        self.backends = []

    def serve(self, device):
        """A back-end more, and QEMU's arguments for it."""
        path = self.path(f"blk-{len(self.backends)}.sock")
        environment = {**os.environ, "VHOST_DEBUG": "message"}
        self.backends.append(self.spawn_python("python-examples/blk_backend.py", "--socket-path",
                                               path, self.image, env=environment))
        wait_for_socket(path, child=self.backends[-1])
        return vhost_user(path, f"vhost-user-blk-pci,num-queues=1{device}")

    def find_ring_pages(self):
        """Those that the source's device writes: below 2 GiB, addresses are offsets."""
        messages = self.backends[-2].read_messages()
        self.assertIn("LOG_ALL", messages)
        found = re.findall(r"SET_VRING_ADDR .*flags=0x1 desc=(\w+) used=(\w+) .*log=(\w+)",
                           messages)
        descriptors, used, log = (int(word, 16) for word in found[-1])
        pages = {log // PAGE}
        if "RING_PACKED" in re.findall(r"← SET_FEATURES .*", messages)[-1]:
            pages.add((log + descriptors - used) // PAGE)
        return pages

    def check_end(self, guest):
        super().check_end(guest)
        for backend in self.backends:
            self.assertEqual(backend.stop(), 0)
            self.assertEqual(backend.read_output(), "")

    def test_split_ring(self):
        self.migrate("")

    def test_packed_ring(self):
        self.migrate(",packed=on")
        ROW.seen(get_versions())


class Control(Disk):
    """The same on QEMU's own disk."""

    def serve(self):
        return ["-drive", f"file={self.image},format=raw,if=none,id=disk",
                "-device", "virtio-blk-pci,drive=disk,num-queues=1"]

    def find_ring_pages(self):
        return set()

    def test_disk_of_qemu(self):
        self.migrate()


if __name__ == "__main__":
    unittest.main()
