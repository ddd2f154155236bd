# SPDX-License-Identifier: BSD-3-Clause
"""Public headers compile alone, twice, and beside the kernel's, as C and as C++."""

import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor

import library

COMPILERS = {
    "C": ["gcc", "-x", "c", "-std=c11", "-Wstrict-prototypes"],
    # what the macro leaves out of the kernel's <linux/virtio_ring.h> is no C++
    "C++": ["g++", "-x", "c++", "-std=c++17", "-DVIRTIO_RING_NO_LEGACY"],
}
FLAGS = ["-fsyntax-only", "-Wall", "-Wextra", "-Wpedantic", "-Wundef", "-Werror"]
KERNEL = ["linux/vhost.h", "linux/vhost_types.h", "linux/vduse.h", "linux/virtio_ids.h",
          "linux/virtio_config.h", "linux/virtio_ring.h"]


def list_flags():
    """How a user compiles: GLib as pkg-config says it, and no macro of ours."""
    glib = subprocess.run(["pkg-config", "--cflags", "gio-2.0", "gio-unix-2.0"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.split()
    return [*FLAGS, f"-I{library.SOURCE}", f"-I{library.BUILD}", *glib]


def compile_text(language, flags, names):
    """What the compiler says against a file that includes these headers."""
    text = "".join(f"#include <{name}>\n" for name in names)
    result = subprocess.run([*COMPILERS[language], *flags, "-"], input=text, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return result.stdout or ("" if result.returncode == 0 else f"status {result.returncode}")


class Headers(unittest.TestCase):
    def check_all(self, includes):
        """Each list of names must compile in each language."""
        flags = list_flags()
        jobs = [(language, flags, names) for language in COMPILERS for names in includes]
        with ThreadPoolExecutor() as pool:
            for (language, _, names), output in zip(jobs, pool.map(compile_text, *zip(*jobs))):
                with self.subTest(language=language, header=names[0]):
                    self.assertEqual(output, "")

    def test_each_compiles_alone_and_twice(self):
        headers = library.list_public_headers()
        self.assertIn("libvhost/vhost-enum-types.h", headers)
        self.check_all([[name, name] for name in headers])

    def test_all_compile_beside_the_kernel_headers(self):
        headers = [*library.list_public_headers()]
        self.check_all([KERNEL + headers, headers + KERNEL])


if __name__ == "__main__":
    unittest.main()
