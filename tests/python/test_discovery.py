# SPDX-License-Identifier: BSD-3-Clause
"""The back-ends as a management layer meets them: found by their descriptor files, asked what they
can do, started on a descriptor, ended by SIGTERM.
"""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import unittest
from pathlib import Path

from devices import Vhost
from helpers import TempDir, root, wait_until

EXAMPLES = root() / "python-examples"
PAGE = root() / "docs" / "programs.md"
PREFIX = re.compile(r"\d\d-.+\.json")
# Types of the specification's schema; “gpio” and “i2c” are not among them.
TYPES = {"9p", "balloon", "block", "caif", "console", "crypto", "gpu", "input", "net", "rng",
         "rpmsg", "rproc-serial", "scsi", "vsock", "fs"}
EXPECTED = {
    "blk": {"type": "block", "features": ["read-only", "blk-file"]},
    "console": {"type": "console", "features": []},
    "fs": {"type": "fs", "features": []},
    "gpio": {"type": "gpio", "features": []},
    "gpu": {"type": "gpu", "features": []},
    "i2c": {"type": "i2c", "features": []},
    "input": {"type": "input", "features": []},
    "net": {"type": "net", "features": []},
    "rng": {"type": "rng", "features": []},
    "scsi": {"type": "scsi", "features": []},
    "vsock": {"type": "vsock", "features": []},
}
NEEDS_A_TAP = {"net"}  # which only root can open


def check_descriptor(descriptor):
    """What the specification says of such a file."""
    if set(descriptor) - {"tags"} != {"description", "type", "binary"}:
        raise AssertionError(f"members are {set(descriptor)}")
    for name in ("description", "type", "binary"):
        if not isinstance(descriptor[name], str):
            raise AssertionError(f"{name} is no string")
    if not os.path.isabs(descriptor["binary"]):
        raise AssertionError(f"{descriptor['binary']} is no absolute path")
    if not all(isinstance(tag, str) for tag in descriptor.get("tags", [])):
        raise AssertionError("tags are no strings")


def list_descriptors(*directories):
    """From the least important directory to the most; a file of the same name takes the place of
    one further down, and an empty one hides it.
    """
    found = {}
    for directory in directories:
        found.update({path.name: path for path in Path(directory).glob("*.json")})
    return [json.loads(found[name].read_text()) for name in sorted(found)
            if found[name].stat().st_size > 0]


def ask(binary):
    done = subprocess.run([binary, "--print-capabilities"], capture_output=True, text=True,
                          timeout=20, stdin=subprocess.DEVNULL)
    if (done.returncode, done.stderr) != (0, ""):
        raise AssertionError(f"{binary}: {done.returncode}, {done.stderr}")
    return json.loads(done.stdout)


def find(kind, features, *directories):
    for descriptor in list_descriptors(*directories):
        if descriptor["type"] == kind and features <= set(ask(descriptor["binary"])["features"]):
            return descriptor
    return None


class Discovery(TempDir):
    def setUp(self):
        super().setUp()
        self.places = [self.directory / name for name in ("usr", "etc", "home")]
        for place in self.places:
            place.mkdir()
        page = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
        self.printed = [json.loads(block) for block in page]

    def install(self, place, name, script, **more):
        descriptor = dict(self.printed[0], binary=str(EXAMPLES / script), **more)
        (self.places[place] / name).write_text(json.dumps(descriptor))
        return descriptor

    def test_page(self):
        descriptor, capabilities = self.printed
        check_descriptor(descriptor)
        self.assertTrue(PREFIX.fullmatch("50-libvhost-blk.json"))
        self.assertIn("50-libvhost-blk.json", PAGE.read_text())
        script = EXAMPLES / Path(descriptor["binary"]).name
        self.assertEqual(ask(script), capabilities)
        self.assertEqual(descriptor["type"], capabilities["type"])

    def test_first_match_in_sorted_order(self):
        self.install(0, "60-b.json", "blk_backend.py", description="second")
        self.install(2, "50-a.json", "rng_backend.py", description="other", type="rng")
        self.install(1, "55-c.json", "blk_backend.py", description="first")
        self.assertEqual(find("block", {"read-only"}, *self.places)["description"], "first")
        self.assertIsNone(find("block", {"nonsense"}, *self.places))
        self.install(2, "55-c.json", "blk_backend.py", description="mine")
        self.assertEqual(find("block", set(), *self.places)["description"], "mine")
        (self.places[2] / "55-c.json").write_bytes(b"")
        self.assertEqual(find("block", set(), *self.places)["description"], "second")

    def test_found_started_and_used(self):
        self.install(0, "50-libvhost-blk.json", "blk_backend.py")
        (self.directory / "image").write_bytes(b"x" * 4096)
        binary = find("block", {"read-only", "blk-file"}, *self.places)["binary"]
        mine, its = socket.socketpair()
        with mine, its:
            child = self.spawn(binary, f"--fd={its.fileno()}", "--read-only",
                               f"--blk-file={self.directory}/image", pass_fds=[its.fileno()])
            its.close()
            frontend = Vhost.UserFrontend()
            frontend.open_fd(mine.fileno(), None)
        self.assertEqual(bytes(frontend.get_config(0, 8, None)), (8).to_bytes(8, "little"))
        frontend.close()
        self.assertEqual((child.wait(), child.read_output()), (0, ""))


class Examples(TempDir):
    """Each back-end among the examples keeps to the conventions."""

    def make_arguments(self, name):
        (self.directory / "file").write_bytes(bytes(1 << 16))
        more = {"blk": [self.path("file")], "scsi": [self.path("file")], "fs": [self.directory],
                "gpu": [self.path("picture.png")]}
        return [EXAMPLES / f"{name}_backend.py", *more.get(name, [])]

    def test_all_are_here(self):
        self.assertEqual({path.name.removesuffix("_backend.py")
                          for path in EXAMPLES.glob("*_backend.py")}, set(EXPECTED))

    def test_can_be_run_as_a_binary(self):
        for name in EXPECTED:
            path = EXAMPLES / f"{name}_backend.py"
            self.assertTrue(path.stat().st_mode & stat.S_IXUSR, name)
            self.assertTrue(path.read_bytes().startswith(b"#!/usr/bin/env python3\n"), name)

    def test_capabilities_with_nothing_else_on_the_command_line(self):
        for name, expected in EXPECTED.items():
            with self.subTest(name):
                self.assertEqual(ask(EXAMPLES / f"{name}_backend.py"), expected)
                self.assertEqual(expected["type"] in TYPES, name not in ("gpio", "i2c"))

    def test_connected_descriptor(self):
        for name in set(EXPECTED) - NEEDS_A_TAP:
            with self.subTest(name):
                mine, its = socket.socketpair()
                with mine, its:
                    child = self.spawn(*self.make_arguments(name), f"--fd={its.fileno()}",
                                       pass_fds=[its.fileno()])
                    its.close()
                    frontend = Vhost.UserFrontend()
                    frontend.open_fd(mine.fileno(), None)
                frontend.close()
                self.assertEqual((child.wait(), child.read_output()), (0, ""))

    def test_listening_descriptor_and_sigterm(self):
        for name in set(EXPECTED) - NEEDS_A_TAP:
            with self.subTest(name), socket.socket(socket.AF_UNIX) as listener:
                path = self.path(f"{name}.sock")
                listener.bind(path)
                listener.listen(1)
                fd = listener.fileno()
                child = self.spawn(*self.make_arguments(name), f"--fd={fd}", pass_fds=[fd])
                for _ in range(2):
                    frontend = Vhost.UserFrontend()
                    frontend.open(path, None)
                    frontend.close()
                self.assertEqual((child.stop(how=signal.SIGTERM), child.read_output()), (0, ""))

    def test_both_ways_at_once_is_an_error_before_anything_is_served(self):
        for name in EXPECTED:
            with self.subTest(name):
                path = self.path(f"{name}.sock")
                child = self.spawn(*self.make_arguments(name), "--fd=3", f"--socket-path={path}")
                wait_until(lambda child=child: not child.is_running(), "end")
                self.assertNotEqual(child.wait(), 0)
                self.assertIn("only one of them", child.read_output())
                self.assertFalse(os.path.lexists(path))


if __name__ == "__main__":
    unittest.main()
