# SPDX-License-Identifier: BSD-3-Clause
"""The committed golden frames are those that the generator makes, on a little-endian machine."""

import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import make_vectors


@unittest.skipUnless(sys.byteorder == "little", "the frames are committed in little-endian order")
class Vectors(unittest.TestCase):
    def test_committed_file_is_what_the_generator_makes(self):
        committed = Path(__file__).with_name("vectors.txt").read_text(encoding="utf-8")
        self.assertEqual(committed, make_vectors.make())

    def test_every_request_has_a_frame(self):
        names = {(line[0], line[1]) for line in make_vectors.lines if line[2] == "request"}
        self.assertEqual(len(names), 54)
