# SPDX-License-Identifier: BSD-3-Clause
"""What QEMU 7.2 does not do with any back-end, so that nobody looks for the fault in ours. With
KVM it does: tests/guest/test_kvm.py.
"""

import subprocess
import unittest

from helpers import TempDir, wait_for_socket


class WithoutKvm(TempDir):
    def check(self, name, *arguments):
        """QEMU refuses the device under TCG, before it has asked the back-end anything."""
        socket = self.path(f"{name}.sock")
        backend = self.spawn_python(f"python-examples/{name}_backend.py", "--socket-path", socket,
                                    *arguments)
        wait_for_socket(socket, child=backend)
        done = subprocess.run(
            ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-accel", "tcg",
             "-M", "q35,memory-backend=ram", "-object", "memory-backend-memfd,id=ram,size=128M",
             "-chardev", f"socket,id=c,path={socket}",
             "-device", f"vhost-user-{name}-pci,chardev=c"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertIn("requires kvm", done.stdout)
        self.assertEqual((backend.stop(), backend.read_output()), (0, ""))

    def test_input(self):
        self.check("input")

    def test_gpu(self):
        self.check("gpu", self.path("out.png"))


if __name__ == "__main__":
    unittest.main()
