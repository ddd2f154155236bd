# SPDX-License-Identifier: BSD-3-Clause
"""docs/interop.md has a line for each peers.Row in the tests, and no other."""

import ast
import unittest

from helpers import root
from peers import read_table


def list_rows():
    """The arguments of every Row(…) in the tests; they are literals."""
    for path in sorted((root() / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Row":
                yield tuple(ast.literal_eval(argument) for argument in node.args)


class Table(unittest.TestCase):
    def test_lines_are_the_rows_of_the_tests(self):
        rows = list(list_rows())
        self.assertGreater(len(rows), 3)
        self.assertEqual(sorted(read_table(root() / "docs" / "interop.md")), sorted(rows))


if __name__ == "__main__":
    unittest.main()
