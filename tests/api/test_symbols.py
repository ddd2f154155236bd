# SPDX-License-Identifier: BSD-3-Clause
"""What the library exports is what its headers declare and what the committed list names."""

import unittest
from pathlib import Path

import declarations
import library

LIST = Path(__file__).with_name("libvhost-1.symbols")
HOW = "if this is meant: tests/api/update_symbols.py BUILD"


class Symbols(unittest.TestCase):
    def setUp(self):
        self.exports = library.list_exports()

    def test_exports_are_the_committed_list(self):
        listed = LIST.read_text().splitlines()
        self.assertEqual(listed, sorted(set(listed)))
        self.assertEqual(set(self.exports) - set(listed), set(), f"new; {HOW}")
        self.assertEqual(set(listed) - set(self.exports), set(), f"gone; {HOW}")

    def test_every_export_is_ours_by_name(self):
        self.assertEqual([name for name in self.exports if not name.startswith("vhost_")], [])

    def test_headers_declare_exactly_the_exports(self):
        declared = {name for header in declarations.read_headers() for name in header.functions}
        self.assertEqual(declared - set(self.exports), set(), "declared, not exported")
        self.assertEqual(set(self.exports) - declared, set(), "exported, not declared")

    def test_every_declaration_says_since_when(self):
        for header in declarations.read_headers():
            with self.subTest(header.name):
                self.assertEqual(header.unmarked, [])


if __name__ == "__main__":
    unittest.main()
