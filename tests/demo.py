# SPDX-License-Identifier: BSD-3-Clause
"""What ./dev demo shows: one disk served over vhost-user to a script, then to a Linux guest.

The back-end is python-examples/blk_backend.py. The script, blk_frontend.py, is a driver without a
VM; the guest is Debian's kernel under QEMU, which mounts the disk, checks it, and writes to it.
"""

import argparse
import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "guest")]

from guest import Guest, GuestError, vhost_user  # noqa: E402
from helpers import Child, root, wait_for_socket  # noqa: E402

PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
MIB = 1 << 20
SECTOR = 512
FILL = 0.6  # share of the disk taken by files
FRONTEND = re.compile(r"(\d+) bytes in ([\d.]+) s")

# The guest's new file is the numbers 1, 2, 3, …: no two of its blocks are the same.
LAST_NUMBER = 600_000
BODY = f"""
mount -t ext4 /dev/vda /mnt
sha256sum /mnt/random-0 | while read sum _; do report read $sum; done
seq 1 {LAST_NUMBER} > /mnt/from-guest
sync
echo 3 > /proc/sys/vm/drop_caches
sha256sum /mnt/from-guest | while read sum _; do report written $sum; done
umount /mnt
read _ _ got _ _ _ put _ < /sys/block/vda/stat
report sectors $got $put
"""


class DemoError(Exception):
    """A piece is missing, or a step failed: one line for the reader."""


@contextlib.contextmanager
def step(what):
    """Prints one line for a step: what, its result, its time."""
    notes = []
    started = time.monotonic()
    yield notes.append
    detail = f": {', '.join(notes)}" if notes else ""
    print(f"  {time.monotonic() - started:6.2f} s  {what}{detail}", flush=True)


def run_tool(name, *args):
    path = shutil.which(name, path=PATH)
    if path is None:
        raise DemoError(f"{name} is missing")
    done = subprocess.run([path, *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True,
                          check=False)
    if done.returncode != 0:
        output = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
        raise DemoError(f"{name} failed with status {done.returncode}: {(output or [''])[-1]}")
    return done.stdout


def find_example(name):
    path = root() / "python-examples" / name
    if not path.exists():
        raise DemoError(f"{path.relative_to(root())} is missing")
    return path


def expect_sum(what, found, wanted):
    if found != wanted:
        raise DemoError(f"{what}: sha256 {found}, not {wanted}")


def make_image(directory, mebibytes):
    """An ext4 disk full of files of random bytes; returns it and the sha256 of random-0."""
    image, tree = directory / "disk.ext4", directory / "tree"
    tree.mkdir()
    size = int(mebibytes * MIB * FILL / 4)
    contents = [os.urandom(size) for _ in range(4)]
    for number, content in enumerate(contents):
        (tree / f"random-{number}").write_bytes(content)
    run_tool("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", "-d", tree,
             image, f"{mebibytes}M")
    return image, hashlib.sha256(contents[0]).hexdigest()


@contextlib.contextmanager
def serve(directory, image, socket):
    """The back-end, from listening to a clean end."""
    command = [sys.executable, find_example("blk_backend.py"), "--socket-path", socket, image]
    backend = Child(command, directory / "backend.log")
    try:
        with step(f"blk_backend.py, process {backend.pid}, listens"):
            wait_for_socket(socket, 10, backend)
        yield backend
        with step("blk_backend.py ends on SIGTERM"):
            status = backend.stop(5)
    except (GuestError, DemoError) as error:
        backend.stop()
        said = backend.read_output().strip()
        raise DemoError(f"{error}\nthe back-end said:\n{said}" if said else str(error)) from error
    finally:
        backend.stop()
    if status != 0:
        raise DemoError(f"blk_backend.py ended with status {status}: {backend.read_output()}")


def read_with_script(image, socket):
    """Reads the whole disk as a driver without a VM; returns bytes and seconds."""
    command = [sys.executable, find_example("blk_frontend.py"), "--socket-path", socket,
               "--compare", image]
    with step("blk_frontend.py reads the disk, without a VM") as note:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                              timeout=60, check=False)
        lines = done.stdout.strip().splitlines() or [""]
        if done.returncode != 0:
            raise DemoError(f"blk_frontend.py failed with status {done.returncode}: {lines[-1]}")
        match = FRONTEND.match(lines[-1])
        if not match:
            raise DemoError(f"blk_frontend.py said: {lines[-1]}")
        note("same sha256")
    return int(match.group(1)), float(match.group(2))


def use_from_guest(socket, first_sum, new_sum):
    """Boots the guest on the same disk; returns bytes read, bytes written and seconds."""
    guest = Guest(BODY, modules=["virtio_blk"], deadline=45,
                  arguments=vhost_user(socket, "vhost-user-blk-pci,num-queues=1"))
    with step("a Linux guest mounts the disk, reads and writes it") as note:
        with guest:
            guest.wait()
        expect_sum("what the guest read", guest.values["read"], first_sum)
        expect_sum("what the guest wrote and read again", guest.values["written"], new_sum)
        note("same sha256")
    got, put = (int(sectors) * SECTOR for sectors in guest.values["sectors"].split())
    return got, put, guest.seconds


def check_disk(image, new_sum):
    """What the guest left is a sound file system with the new file in it."""
    with step("e2fsck and debugfs check the disk on the host") as note:
        run_tool("e2fsck", "-f", "-n", image)
        content = run_tool("debugfs", "-R", "cat /from-guest", image)
        expect_sum("the guest's file", hashlib.sha256(content).hexdigest(), new_sum)
        note("clean, same sha256")


def show(directory, size, with_guest):
    started = time.monotonic()
    find_example("blk_backend.py"), find_example("blk_frontend.py")
    socket = str(directory / "blk.sock")
    new_sum = hashlib.sha256(b"".join(b"%d\n" % n for n in range(1, LAST_NUMBER + 1))).hexdigest()
    with step(f"mkfs.ext4 makes a disk of {size} MiB"):
        image, first_sum = make_image(directory, size)
    with serve(directory, image, socket):
        count, seconds = read_with_script(image, socket)
        summary = [f"script read {count / MIB:.0f} MiB at {count / MIB / seconds:.0f} MiB/s"]
        if with_guest:
            got, put, boot = use_from_guest(socket, first_sum, new_sum)
            summary.append(f"guest read {got / MIB:.1f} MiB and wrote {put / MIB:.1f} MiB "
                           f"in {boot:.1f} s from power-on to power-off")
    if with_guest:
        check_disk(image, new_sum)
    print(f"demo: {'; '.join(summary)}; {time.monotonic() - started:.1f} s in all")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--no-guest", action="store_true", help="leave the Linux guest out")
    parser.add_argument("--size", type=int, default=64, metavar="MIB", help="size of the disk")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="vhost-demo-") as directory:
            show(Path(directory), options.size, not options.no_guest)
    except (DemoError, GuestError, AssertionError, OSError, subprocess.TimeoutExpired) as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
