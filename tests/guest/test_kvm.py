# SPDX-License-Identifier: BSD-3-Clause
"""python-examples/input_backend.py and gpu_backend.py in guests: QEMU 7.2 wants KVM for them."""

import sys
import unittest

from guest import WHOLE, get_kernel, get_versions
from helpers import TempDir
from nested import locate, run_with_kvm
from peers import Row

INPUT = Row("back-end input", "QEMU with KVM, Linux guest",
            "keys are typed on an event device, its lamps are switched")
GPU = Row("back-end gpu", "QEMU with KVM, Linux guest",
          "2D scanout: a picture on the frame buffer comes through QEMU's GPU socket into its PNG")


class Devices(TempDir):
    def run_tests(self, name):
        lines = run_with_kvm(self, locate("kvm_devices.py"), name)
        print("\n".join(lines), file=sys.stderr)  # for the log

    def test_input(self):
        self.run_tests("Keyboard")
        INPUT.seen(get_versions())

    def test_gpu(self):
        get_kernel(WHOLE)  # the other machine has no network to fetch it from
        self.run_tests("Graphics")
        GPU.seen(get_versions(WHOLE))


if __name__ == "__main__":
    unittest.main()
