# SPDX-License-Identifier: BSD-3-Clause
"""The reference can be written: everything public is documented, every link leads somewhere."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import library

WRITE = library.SOURCE / "docs" / "write.py"


class Docs(unittest.TestCase):
    def run_program(self, *command):
        result = subprocess.run(command, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(result.returncode, 0, result.stdout)

    def test_everything_is_documented(self):
        self.run_program("gi-docgen", "check", "--quiet", str(library.GIR))

    def test_pages_are_written(self):
        with tempfile.TemporaryDirectory(prefix="vhost-") as output:
            self.run_program(sys.executable, str(WRITE), str(library.GIR), output)
            written = {path.name for path in Path(output).iterdir()}
            pages = {f"{path.stem}.html" for path in (library.SOURCE / "docs").glob("*.md")}
            self.assertGreaterEqual(written, pages | {"index.html", "class.Driver.html"})
            self.assertIn("architecture.html", (Path(output) / "index.html").read_text())


if __name__ == "__main__":
    unittest.main()
