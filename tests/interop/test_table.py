# SPDX-License-Identifier: BSD-3-Clause
"""docs/interop.md has a line for each peers.Row in the tests, and no other."""

import unittest

from helpers import root
from peers import list_rows, read_table


class Table(unittest.TestCase):
    def test_lines_are_the_rows_of_the_tests(self):
        rows = [row for path in (root() / "tests").rglob("test_*.py") for row in list_rows(path)]
        self.assertGreater(len(rows), 3)
        self.assertEqual(sorted(read_table(root() / "docs" / "interop.md")), sorted(rows))


if __name__ == "__main__":
    unittest.main()
