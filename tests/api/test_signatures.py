# SPDX-License-Identifier: BSD-3-Clause
"""The introspected API is the committed one, to the last parameter."""

import difflib
import unittest
from pathlib import Path

import gir
import library

LIST = Path(__file__).with_name("Vhost-1.api")


class Signatures(unittest.TestCase):
    def test_api_is_the_committed_one(self):
        built = gir.describe(gir.read_namespace(library.GIR)).splitlines()
        listed = LIST.read_text().splitlines()
        lines = list(difflib.unified_diff(listed, built, "Vhost-1.api", "the build", lineterm=""))
        self.assertFalse(lines, "if this is meant, tests/api/update_symbols.py BUILD:\n"
                         + "\n".join(lines))


if __name__ == "__main__":
    unittest.main()
