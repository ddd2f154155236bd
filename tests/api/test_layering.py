# SPDX-License-Identifier: BSD-3-Clause
"""A room of the library uses only the rooms below it, and the kernel's headers stay inside."""

import re
import unittest
from collections import defaultdict

import library

LOW = {"core", "memory", "ring", "endpoint"}
MAY_USE = {
    "core": set(),
    "memory": {"core"},
    "ring": {"core", "memory"},
    "endpoint": {"core", "memory", "ring"},
    "user": LOW,
    "kernel": LOW,
    "vduse": LOW,
    "driver": LOW,
    "virtio": LOW,
}
KNOWS_NO_TRANSPORT = {"memory", "ring", "endpoint", "driver"}
TRANSPORT = re.compile(r"sys/(socket|un|ioctl)\.h|linux/(vhost.*|vduse)\.h")
VHOST_UAPI = re.compile(r"linux/(vhost|virtio|vduse)[^/]*\.h")
FOR_ALL = "libvhost/vhost-enum-types.h"  # generated; needs nothing but GLib


def get_room(path):
    """The folder that a file is in; "" for the top of the library."""
    folder = path.relative_to(library.SOURCE / "libvhost").parent
    return folder.parts[0] if folder.parts else ""


def get_target(style, name):
    """The room that an include goes to; None for a header of the system."""
    if style == '"':
        return name.rpartition("/")[0]
    if name.startswith("libvhost/"):
        return name.removeprefix("libvhost/").rpartition("/")[0]
    return None


class Includes(unittest.TestCase):
    def setUp(self):
        self.includes = [(path, style, name) for path in library.list_sources()
                         for style, name in library.list_includes(path.read_text())]

    def check_none(self, wrong):
        lines = [f"{library.name_source(path)} includes {name}" for path, name in wrong]
        self.assertFalse(lines, "\n".join(lines))

    def test_every_room_is_known(self):
        rooms = {get_room(path) for path in library.list_sources()}
        self.assertLessEqual(rooms - {""}, MAY_USE.keys() | {"tool"})
        self.assertGreater(len(self.includes), 100)

    def test_no_arrow_runs_up(self):
        def is_wrong(room, target):
            return target is not None and target not in MAY_USE[room] | {room}
        self.check_none((path, name) for path, style, name in self.includes
                        if name != FOR_ALL and get_room(path) in MAY_USE
                        and not path.name.endswith(".in")  # the enum types see every header
                        and is_wrong(get_room(path), get_target(style, name)))

    def test_no_room_below_the_transports_knows_one(self):
        self.check_none((path, name) for path, _, name in self.includes
                        if get_room(path) in KNOWS_NO_TRANSPORT and TRANSPORT.fullmatch(name))

    def test_an_included_file_exists(self):
        for path, style, name in self.includes:
            if style == '"' and not name.endswith("vhost-version.h"):
                with self.subTest(f"{path.name} includes {name}"):
                    self.assertTrue((library.SOURCE / "libvhost" / name).is_file())

    def test_public_headers_include_public_headers(self):
        def is_wrong(style, name):
            return (style == '"' or "-private" in name
                    or re.match(r"linux/|asm/|sys/(?!uio\.h)", name))  # struct iovec is POSIX
        self.check_none((path, name) for path, style, name in self.includes
                        if path.name.endswith((".h", ".h.in")) and not library.is_private(path)
                        and is_wrong(style, name))

    def test_one_private_file_of_a_room_has_the_kernel_headers(self):
        users = defaultdict(set)
        for path, _, name in self.includes:
            if VHOST_UAPI.fullmatch(name):
                users[get_room(path)].add(path.name)
        for room, names in users.items():
            with self.subTest(room):
                self.assertEqual(len(names), 1, sorted(names))
                self.assertTrue(all(name.endswith(("-private.h", ".c")) for name in names), names)


class Umbrella(unittest.TestCase):
    def test_vhost_h_includes_every_public_header_once(self):
        text = (library.SOURCE / "libvhost" / "vhost.h").read_text()
        included = [name for _, name in library.list_includes(text)]
        self.assertEqual(sorted(included), sorted(library.list_public_headers().keys()
                                                  - {"libvhost/vhost.h"}))


if __name__ == "__main__":
    unittest.main()
