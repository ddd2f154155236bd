# SPDX-License-Identifier: BSD-3-Clause
"""The conventions of vhost-user programs: options, capabilities, the way out."""

import json
import os
import signal
import socket
import subprocess
import sys
import unittest

from devices import Vhost, expect_error
from helpers import TempDir, root, wait_for_socket

RNG = {"type": "rng", "features": []}


class Parse(TempDir):
    def setUp(self):
        super().setUp()
        self.program = Vhost.UserProgram(device_type="rng", features=["one"])

    def assert_wrong(self, words, *arguments):
        error = expect_error(self, Vhost.Error.INVALID_VALUE, self.program.parse,
                             ["prog", *arguments])
        self.assertIn(words, error.message)
        self.assertNotIn("\n", error.message)

    def test_both_forms(self):
        for arguments in (["--socket-path", "/x y"], ["--socket-path=/x y"]):
            left = self.program.parse(["prog", "-a", *arguments, "image", "--other=1"])
            self.assertEqual(left, ["prog", "-a", "image", "--other=1"])
            self.assertTrue(self.program.has_socket())
            self.assertEqual(self.program.props.socket_path, "/x y")
        for arguments in (["--fd", "9"], ["--fd=9"]):
            self.assertEqual(self.program.parse(["prog", *arguments]), ["prog"])
            self.assertTrue(self.program.has_socket())
            self.assertIsNone(self.program.props.socket_path)

    def test_nothing_is_demanded(self):
        self.assertEqual(self.program.parse(["prog", "--help"]), ["prog", "--help"])
        self.assertFalse(self.program.has_socket())
        self.assertFalse(self.program.print_capabilities())
        self.assertEqual(self.program.parse([]), [])

    def test_stops_where_the_options_stop(self):
        arguments = ["prog", "--", "--fd=3", "--print-capabilities"]
        self.assertEqual(self.program.parse(arguments), arguments)
        self.assertFalse(self.program.has_socket())
        self.assertFalse(self.program.print_capabilities())

    def test_what_only_begins_like_an_option(self):
        arguments = ["prog", "--fds=3", "--socket-pathname", "--socket"]
        self.assertEqual(self.program.parse(arguments), arguments)

    def test_only_one_socket(self):
        for first in ("--fd=3", "--socket-path=x"):
            for second in ("--fd=3", "--socket-path=x"):
                self.assert_wrong("only one", first, second)

    def test_wrong_values(self):
        for value in ("", "x", "-1", "3x", " 3", "2147483648", "99999999999999999999"):
            self.assert_wrong("--fd", f"--fd={value}")
        self.assert_wrong("needs a value", "--fd")
        self.assert_wrong("needs a value", "--socket-path")
        self.assert_wrong("needs a path", "--socket-path=")

    def test_a_second_command_line_begins_anew(self):
        self.program.parse(["prog", "--fd=3"])
        self.program.parse(["prog", "--socket-path=x"])
        self.assertEqual(self.program.props.socket_path, "x")

    def test_front_ends_have_no_capabilities(self):
        program = Vhost.UserProgram()
        arguments = ["prog", "--print-capabilities"]
        self.assertEqual(program.parse(arguments), arguments)
        self.assertFalse(program.print_capabilities())

    def test_open_without_a_socket(self):
        self.program.parse(["prog"])
        expect_error(self, Vhost.Error.INVALID_VALUE, self.program.open, Vhost.UserFrontend(), None)


class Capabilities(unittest.TestCase):
    def run_program(self, *arguments):
        done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True,
                              timeout=20, text=True, stdin=subprocess.DEVNULL)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return json.loads(done.stdout)

    def test_whatever_else_there_is(self):
        path = root() / "python-examples" / "rng_backend.py"
        for more in ((), ("--fd=x", "--socket-path"), ("--nonsense", "and", "more")):
            self.assertEqual(self.run_program(path, *more, "--print-capabilities"), RNG)

    def test_any_text_is_json(self):
        text = 'a"b\\c\td\u00e9\x7f'
        script = ("import gi, sys; gi.require_version('Vhost', '1');"
                  "from gi.repository import Vhost;"
                  "p = Vhost.UserProgram(device_type=sys.argv[1], features=[sys.argv[1], '']);"
                  "p.parse(['x', '--print-capabilities']); assert p.print_capabilities()")
        self.assertEqual(self.run_program("-c", script, text),
                         {"type": text, "features": [text, ""]})


class Run(TempDir):
    def setUp(self):
        super().setUp()
        self.socket = self.path("device.sock")

    def test_terminated_while_a_front_end_is_there(self):
        child = self.spawn_python("python-examples/rng_backend.py", f"--socket-path={self.socket}")
        wait_for_socket(self.socket, child=child)
        frontend = Vhost.UserFrontend()
        frontend.open(self.socket, None)
        self.assertEqual((child.stop(how=signal.SIGTERM), child.read_output()), (0, ""))
        self.assertFalse(os.path.lexists(self.socket))
        frontend.close()

    def test_connected_and_listening_descriptors_are_told_apart(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.socket)
            listener.listen(1)
            fd = listener.fileno()
            child = self.spawn_python("python-examples/rng_backend.py", f"--fd={fd}", pass_fds=[fd])
        for _ in range(2):
            frontend = Vhost.UserFrontend()
            frontend.open(self.socket, None)
            frontend.close()
        self.assertEqual(child.stop(), 0)
        mine, its = socket.socketpair()
        with its:
            child = self.spawn_python("python-examples/rng_backend.py", f"--fd={its.fileno()}",
                                      pass_fds=[its.fileno()])
        with mine:
            frontend = Vhost.UserFrontend()
            frontend.open_fd(mine.fileno(), None)
        frontend.close()
        self.assertEqual((child.wait(), child.read_output()), (0, ""))

    def test_wrong_descriptor(self):
        with open("/dev/null", "rb") as null:
            child = self.spawn_python("python-examples/rng_backend.py", f"--fd={null.fileno()}",
                                      pass_fds=[null.fileno()])
            self.assertEqual(child.wait(), 1)
        self.assertEqual(child.read_output().count("\n"), 1)


if __name__ == "__main__":
    unittest.main()
