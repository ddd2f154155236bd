#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio file system: a directory of the host, read-only. What is said on it is FUSE."""

import errno
import os
import resource
import stat
import struct

import serve
from gi.repository import GLib, Vhost

IN = struct.Struct("<IIQQIII4x")  # size, opcode, unique, node, uid, gid, pid
OUT = struct.Struct("<IiQ")  # size, -errno, unique
READ = struct.Struct("<QQI20x")  # handle, offset, size
(LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ_FILE, STATFS, RELEASE, FLUSH, INIT, OPENDIR, READDIR,
 RELEASEDIR, ACCESS, DESTROY, BATCH_FORGET) = (
     1, 2, 3, 5, 14, 15, 17, 18, 25, 26, 27, 28, 29, 34, 38, 42)
CHANGING = {4, 6, 8, 9, 10, 11, 12, 13, 16, 21, 24, 35, 43, 45}  # SETATTR, SYMLINK, MKNOD, …
VERSION = (7, 31)
ROOT = 1
MAX_NODES, MAX_HANDLES, MAX_NAME, MAX_READ = 10000, 1000, 255, 1 << 20
VALID = 1  # seconds that the guest may believe an attribute


def fail(number):
    raise OSError(number, os.strerror(number))


def parse(struct_, data):
    """The arguments of a request; a driver may have sent less."""
    if len(data) < struct_.size:
        fail(errno.EINVAL)
    return struct_.unpack_from(data)


def split_time(nanoseconds):
    return nanoseconds // 10**9 & 0xFFFFFFFFFFFFFFFF, nanoseconds % 10**9


def pack_attributes(node):
    seen = os.fstat(node.fd)
    times = [split_time(time) for time in (seen.st_atime_ns, seen.st_mtime_ns, seen.st_ctime_ns)]
    return struct.pack("<6Q10I", seen.st_ino, seen.st_size, seen.st_blocks,
                       *(time[0] for time in times), *(time[1] for time in times), seen.st_mode,
                       seen.st_nlink, seen.st_uid, seen.st_gid, 0, seen.st_blksize, 0)


class Node:
    """A place in the tree, held without being opened: its name may change meanwhile."""

    def __init__(self, fd):
        seen = os.fstat(fd)
        self.fd, self.mode, self.lookups = fd, seen.st_mode, 0
        self.key = (seen.st_dev, seen.st_ino)

    def open(self, flags):
        """Opens what may be opened: no device, and no pipe that would wait."""
        if not (stat.S_ISREG(self.mode) or stat.S_ISDIR(self.mode)):
            fail(errno.EACCES)
        return os.open(f"/proc/self/fd/{self.fd}", flags | os.O_RDONLY | os.O_CLOEXEC)


class Tree:
    def __init__(self, path):
        self.nodes = {ROOT: Node(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))}
        self.numbers = {}  # of the nodes, by Node.key
        self.handles = {}  # open files, and listings of open directories
        self.last = ROOT  # number given out
        self.calls = {INIT: self.init, LOOKUP: self.look_up, GETATTR: self.get_attributes,
                      READLINK: self.read_link, OPEN: self.open_file, OPENDIR: self.open_directory,
                      READDIR: self.read_directory, STATFS: self.get_statistics,
                      RELEASE: self.release, RELEASEDIR: self.release,
                      FLUSH: self.do_nothing, ACCESS: self.do_nothing, DESTROY: self.forget_all}

    def find(self, number):
        return self.nodes.get(number) or fail(errno.ESTALE)

    def keep(self, table, what, limit):
        if len(table) >= limit:
            fail(errno.ENFILE)
        self.last += 1
        table[self.last] = what
        return self.last

    # --- names

    def look_up(self, number, data):
        name = data.partition(b"\0")[0]
        if name in (b"", b".", b"..") or b"/" in name or len(name) > MAX_NAME:
            fail(errno.EINVAL)
        node = Node(os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC,
                            dir_fd=self.find(number).fd))
        found = self.find_same(node)
        self.nodes[found].lookups += 1
        return struct.pack("<4Q2I", found, 0, VALID, VALID, 0, 0) + pack_attributes(
            self.nodes[found])

    def find_same(self, node):
        """The number of what may have several names."""
        found = self.numbers.get(node.key)
        try:
            if found is None:
                found = self.numbers[node.key] = self.keep(self.nodes, node, MAX_NODES)
        finally:
            if self.nodes.get(found) is not node:
                os.close(node.fd)
        return found

    def forget(self, number, count):
        node = self.nodes.get(number)
        if node is None or number == ROOT:
            return
        node.lookups -= count
        if node.lookups <= 0:
            del self.nodes[number], self.numbers[node.key]
            os.close(node.fd)

    def forget_all(self, *_):
        for number in list(self.nodes):
            self.forget(number, 1 << 64)
        for handle in list(self.handles):
            self.drop(handle)
        return b""

    # --- contents

    def init(self, number, data):
        major, minor, readahead, _ = parse(struct.Struct("<4I"), data)
        if (major, minor) < VERSION:
            fail(errno.EPROTO)
        return struct.pack("<4IHHIIHHI28x", *VERSION, readahead, 0, 12, 10, 4096, 1, 0, 0, 0)

    def get_attributes(self, number, data):
        return struct.pack("<QII", VALID, 0, 0) + pack_attributes(self.find(number))

    def read_link(self, number, data):
        return os.readlink(b"", dir_fd=self.find(number).fd)

    def open_file(self, number, data):
        flags, = parse(struct.Struct("<I4x"), data)
        if flags & (os.O_ACCMODE | os.O_TRUNC):
            fail(errno.EROFS)
        return self.hand_out(self.find(number).open(0))

    def open_directory(self, number, data):
        fd = self.find(number).open(os.O_DIRECTORY)
        try:
            with os.scandir(fd) as entries:
                return self.hand_out([(os.fsencode(each.name), each.inode()) for each in entries])
        finally:
            os.close(fd)

    def hand_out(self, what):
        try:
            return struct.pack("<QII", self.keep(self.handles, what, MAX_HANDLES), 0, 0)
        except OSError:
            if isinstance(what, int):
                os.close(what)
            raise

    def drop(self, handle):
        what = self.handles.pop(handle, None)
        if isinstance(what, int):
            os.close(what)

    def release(self, number, data):
        self.drop(parse(struct.Struct("<Q16x"), data)[0])
        return b""

    def read_directory(self, number, data):
        handle, offset, size = parse(READ, data)
        names = self.handles.get(handle)
        if not isinstance(names, list):
            fail(errno.EBADF)
        found = b""
        for place, (name, inode) in enumerate(names[offset:offset + size // 24], offset + 1):
            entry = struct.pack("<QQII", inode, place, len(name), 0) + name
            entry += bytes(-len(entry) % 8)
            if len(found) + len(entry) > min(size, MAX_READ):
                break
            found += entry
        return found

    def get_statistics(self, number, data):
        seen = os.statvfs(self.find(number).fd)
        return struct.pack("<5Q4I24x", seen.f_blocks, seen.f_bfree, seen.f_bavail, seen.f_files,
                           seen.f_ffree, seen.f_bsize, seen.f_namemax, seen.f_frsize, 0)

    def do_nothing(self, number, data):
        return b""

    # --- requests

    def read_file(self, chain, data):
        """From the file to the guest; no byte passes through Python."""
        handle, offset, size = parse(READ, data)
        fd = self.handles.get(handle)
        if not isinstance(fd, int):
            fail(errno.EBADF)
        size, done = min(size, MAX_READ, chain.get_writable_size() - OUT.size), 0
        if offset > (1 << 63) - 1 - size:
            fail(errno.EINVAL)
        while done < size and (n := chain.write_from_fd(OUT.size + done, size - done, fd,
                                                        offset + done)):
            done += n
        return done

    def answer(self, chain, opcode, number, data):
        """Writes what follows the header; returns its size."""
        if opcode == READ_FILE:
            return self.read_file(chain, data)
        if opcode not in self.calls:
            fail(errno.EROFS if opcode in CHANGING else errno.ENOSYS)
        result = self.calls[opcode](number, data)
        if len(result) > chain.get_writable_size() - OUT.size:
            fail(errno.ERANGE)
        return chain.write(OUT.size, result)

    def complete(self, chain):
        """Serves one request; returns the length of the answer."""
        request = chain.read(0, IN.size + 8192)
        if len(request) < IN.size:
            return 0
        _, opcode, unique, number, *_ = IN.unpack_from(request)
        data = request[IN.size:]
        if opcode in (FORGET, BATCH_FORGET):
            self.serve_forget(opcode, number, data)
            return 0
        if chain.get_writable_size() < OUT.size:
            return 0
        chain.fill(0, 0, OUT.size)
        try:
            size, error = self.answer(chain, opcode, number, data), 0
        except (OSError, GLib.Error) as failed:
            size, error = 0, getattr(failed, "errno", None) or errno.EIO
        chain.write(0, OUT.pack(OUT.size + size, -error, unique))
        return OUT.size + size

    def serve_forget(self, opcode, number, data):
        if opcode == FORGET:
            self.forget(number, int.from_bytes(data[:8], "little"))
            return
        count = int.from_bytes(data[:4], "little")
        pairs = data[8:8 + 16 * min(count, len(data) // 16)]
        for pair in struct.iter_unpack("<QQ", pairs[:len(pairs) // 16 * 16]):
            self.forget(*pair)

    def on_kick(self, backend, queue):
        while (chain := queue.pop()) is not None:
            queue.push(chain, self.complete(chain))
        queue.notify()


def main():
    parser = serve.parser(__doc__, "fs")
    parser.add_argument("--tag", default="libvhost", help="name to mount it by (%(default)s)")
    parser.add_argument("directory", help="what to show")
    options = parser.parse_args()
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))  # each node has a descriptor
    try:
        tree = Tree(options.directory)
    except OSError as error:
        serve.fail(f"{options.directory}: {error.strerror}")
    fs = Vhost.UserBackend(device_id=Vhost.DeviceId.FS, n_queues=2)
    fs.set_config(struct.pack("<36sI", options.tag.encode(), 1))
    fs.connect("kick", tree.on_kick)
    fs.connect("disconnected", tree.forget_all)
    serve.run(fs, options)


if __name__ == "__main__":
    main()
