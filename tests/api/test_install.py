# SPDX-License-Identifier: BSD-3-Clause
"""What `meson install` puts into a prefix is all that a program in C or in Python needs."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import library

C_PROGRAM = r"""
#include <libvhost/vhost.h>

int
main (void)
{
  g_autoptr (VhostUserBackend) rng = vhost_user_backend_new (VHOST_DEVICE_ID_ENTROPY, 1);

  g_print ("%s %u\n", vhost_get_version (), vhost_backend_get_n_queues (VHOST_BACKEND (rng)));
  return 0;
}
"""
PYTHON_PROGRAM = """
import gi
gi.require_version("Vhost", "1")
from gi.repository import Vhost
rng = Vhost.UserBackend(device_id=Vhost.DeviceId.ENTROPY, n_queues=1)
print(Vhost.get_version(), rng.get_n_queues())
print(*{line.split()[-1] for line in open("/proc/self/maps") if "libvhost" in line})
"""


def clean_environment():
    """This test's environment without what leads to the build tree."""
    ours = ("GI_TYPELIB_PATH", "LD_LIBRARY_PATH", "PKG_CONFIG_PATH", "PYTHONPATH", "MESON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        temp = tempfile.TemporaryDirectory(prefix="vhost-")
        cls.addClassCleanup(temp.cleanup)
        cls.directory = Path(temp.name)
        cls.prefix = cls.directory / "prefix"
        cls.environment = clean_environment()
        build = cls.directory / "build"
        cls.run_program("meson", "setup", f"--prefix={cls.prefix}", "--libdir=lib",
                        "--buildtype=plain", "-Dtests=false", str(build), str(library.SOURCE))
        cls.run_program("meson", "install", "-C", str(build))

    @classmethod
    def run_program(cls, *command, **environment):
        result = subprocess.run(command, env={**cls.environment, **environment}, text=True,
                                cwd=cls.directory, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if result.returncode != 0:
            raise AssertionError(f"{' '.join(command)}:\n{result.stdout}")
        return result.stdout.strip()

    def test_files(self):
        headers = {f"include/libvhost-1/{name}" for name in library.list_public_headers()}
        found = {str(path.relative_to(self.prefix)) for path in self.prefix.rglob("*")
                 if not path.is_dir()}
        self.assertEqual(found, headers | {
            "lib/girepository-1.0/Vhost-1.typelib",
            "lib/libvhost-1.so",
            "lib/libvhost-1.so.0",
            "lib/libvhost-1.so.0.0.0",
            "lib/pkgconfig/libvhost-1.pc",
            "share/gir-1.0/Vhost-1.gir",
            "share/vala/vapi/libvhost-1.deps",
            "share/vala/vapi/libvhost-1.vapi",
        })

    def test_nothing_names_another_folder(self):
        """No installed file knows where it was built."""
        for path in self.prefix.rglob("*"):
            if path.is_file():
                with self.subTest(path.name):
                    self.assertNotIn(bytes(self.directory / "build"), path.read_bytes())

    def test_c_program(self):
        pkg_config = {"PKG_CONFIG_PATH": str(self.prefix / "lib/pkgconfig")}
        flags = self.run_program("pkg-config", "--cflags", "--libs", "libvhost-1", **pkg_config)
        self.assertIn(f"-I{self.prefix}/include/libvhost-1 ", flags)
        self.assertNotIn(str(library.SOURCE), flags)
        (self.directory / "program.c").write_text(C_PROGRAM)
        self.run_program("gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", "program",
                         "program.c", *flags.split())
        libraries = {"LD_LIBRARY_PATH": str(self.prefix / "lib")}
        version = self.run_program("pkg-config", "--modversion", "libvhost-1", **pkg_config)
        self.assertEqual(self.run_program("./program", **libraries), f"{version} 1")
        self.assertIn(f"libvhost-1.so.0 => {self.prefix}/lib/libvhost-1.so.0",
                      self.run_program("ldd", "program", **libraries))

    def test_python_program(self):
        output = self.run_program(sys.executable, "-c", PYTHON_PROGRAM,
                                  GI_TYPELIB_PATH=str(self.prefix / "lib/girepository-1.0"),
                                  LD_LIBRARY_PATH=str(self.prefix / "lib"))
        self.assertRegex(output, r"\A\d+\.\d+\.\d+ 1\n")
        self.assertEqual(output.splitlines()[1:], [f"{self.prefix}/lib/libvhost-1.so.0.0.0"])


if __name__ == "__main__":
    unittest.main()
