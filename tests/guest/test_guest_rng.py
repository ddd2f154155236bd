# SPDX-License-Identifier: BSD-3-Clause
"""Debian's kernel takes its entropy from python-examples/rng_backend.py through vhost-user-rng."""

import unittest

from guest import Guest, get_versions, vhost_user
from helpers import TempDir, wait_for_socket
from peers import Row

ROW = Row("back-end rng", "QEMU, Linux guest", "the guest's source of entropy: 16 KiB, twice")

BODY = """
    report source $(cat /sys/class/misc/hw_random/rng_current)
    for n in 1 2; do
      report bytes-$n $(dd if=/dev/hwrng bs=4096 count=4 iflag=fullblock 2>/dev/null |
                        od -An -v -tx1 | tr -d ' \\n')
    done
    """


class Entropy(TempDir):
    def test_guest_reads_random_bytes(self):
        socket = self.path("rng.sock")
        backend = self.spawn_python("python-examples/rng_backend.py", "--socket-path", socket)
        wait_for_socket(socket, child=backend)
        with Guest(BODY, modules=["virtio-rng"],
                   arguments=vhost_user(socket, "vhost-user-rng-pci")) as guest:
            guest.wait()
        self.assertEqual(guest.values["source"], "virtio_rng.0")
        found = [bytes.fromhex(guest.values[f"bytes-{n}"]) for n in (1, 2)]
        for data in found:
            self.assertEqual(len(data), 4 * 4096)
            self.assertEqual(len(set(data)), 256)  # that one is missing: 1 in 10^25
        self.assertNotEqual(*found)
        self.assertEqual((backend.stop(), backend.read_output()), (0, ""))
        ROW.seen(get_versions())


if __name__ == "__main__":
    unittest.main()
