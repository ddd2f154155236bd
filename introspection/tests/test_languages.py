# SPDX-License-Identifier: BSD-3-Clause
"""Other languages than Python and C: each is one side, and a Python example the other."""

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

import helpers

HERE = Path(__file__).resolve().parent
BUILD = Path(os.environ.get("MESON_BUILD_ROOT", helpers.root() / "build"))
SIZE = 64


class Languages(helpers.TempDir):
    def run_frontend(self, *command):
        """Runs a front-end, and expects of it the hex digits of random bytes."""
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                stdin=subprocess.DEVNULL, timeout=20)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout.strip(), rf"\A[0-9a-f]{{{2 * SIZE}}}\Z")
        self.assertGreater(len(set(re.findall("..", result.stdout))), SIZE // 4)

    def compile_vala(self, source):
        """Compiles against the vapi and the header of this build, and returns the program."""
        program = self.path("program")
        flags = [f"-I{helpers.root()}", f"-I{BUILD}", f"-L{BUILD / 'libvhost'}", "-lvhost-1"]
        subprocess.run(["valac", "--fatal-warnings", "--pkg=gio-2.0", "--pkg=libvhost-1",
                        f"--vapidir={BUILD / 'introspection'}", f"--directory={self.directory}",
                        *(f"--Xcc={flag}" for flag in flags), f"--output={program}", source],
                       check=True, timeout=60)
        return program

    def test_javascript_serves_a_device(self):
        socket = self.path("rng.sock")
        backend = self.spawn("gjs", "-m", HERE / "rng_backend.js", socket)
        helpers.wait_for_socket(socket, child=backend)
        self.run_frontend(sys.executable,
                          str(helpers.root() / "python-examples" / "rng_frontend.py"),
                          "--socket-path", socket, "--bytes", str(SIZE))
        self.assertTrue(backend.is_running())
        self.assertEqual(backend.read_output(), "")

    def test_vala_drives_a_device(self):
        program = self.compile_vala(HERE / "rng_frontend.vala")
        socket = self.path("rng.sock")
        backend = self.spawn_python("python-examples/rng_backend.py", "--socket-path", socket)
        helpers.wait_for_socket(socket, child=backend)
        self.run_frontend(program, socket)
        self.assertEqual(backend.read_output(), "")


if __name__ == "__main__":
    unittest.main()
