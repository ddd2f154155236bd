# SPDX-License-Identifier: BSD-3-Clause
"""Each benchmark, with few samples."""

import os
import unittest
from pathlib import Path

import bench

BUILD = Path(os.environ["MESON_BUILD_ROOT"])


class Run(unittest.TestCase):
    def test_every_benchmark(self):
        found = bench.find_benchmarks(BUILD)
        self.assertIn("ring", found)
        for name, command in found.items():
            with self.subTest(name):
                rows = bench.gather(bench.run(command, True))
                self.assertTrue([row for row in rows if "ratio" in row], "nothing was compared")


if __name__ == "__main__":
    unittest.main()
