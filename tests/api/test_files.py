# SPDX-License-Identifier: BSD-3-Clause
"""How a source file begins, how long it may be, and what is not in it."""

import re
import sys
import unittest

import library

LICENCE = "SPDX-License-Identifier: BSD-3-Clause"
LONG, TOO_LONG = 600, 650  # lines
LEFT_OVER = re.compile(r"\b(TO[D]O|FIX[M]E)\b")
FOLDERS = ("libvhost", "introspection", "tests", "python-examples")


def read_files(*endings):
    """(path, text) of every source file that ends so; there are always many."""
    paths = sorted(path for folder in FOLDERS for path in (library.SOURCE / folder).rglob("*")
                   if path.name.endswith(endings))
    if len(paths) < 10:
        raise AssertionError(f"only {len(paths)} files end in {endings}")
    return [(path, path.read_text()) for path in paths]


def begins_with_licence(text):
    lines = text.splitlines()
    first = lines[1] if lines[0].startswith("#!") else lines[0]
    return re.fullmatch(rf"(/\*|//|#) {LICENCE}( \*/)?", first)


class Files(unittest.TestCase):
    def check_none(self, paths, what):
        names = [library.name_source(path) for path in paths]
        self.assertFalse(names, f"{what}: {', '.join(names)}")

    def test_licence_comes_first(self):
        self.check_none((path for path, text in read_files(".c", ".h", ".py", ".js", ".vala")
                         if not begins_with_licence(text)), "the licence line is missing")

    def test_c_file_begins_with_what_it_owns(self):
        self.check_none((path for path, text in read_files(".c")
                         if path.is_relative_to(library.SOURCE / "libvhost")
                         and not re.match(r"/\*.*\*/\n/\* [^*]{20}", text)), "no head comment")

    def test_no_file_is_long(self):
        lengths = {path: text.count("\n") for path, text in read_files(".c", ".h", ".py")}
        for path, length in lengths.items():
            if length > LONG:
                print(f"{library.name_source(path)} has {length} lines", file=sys.stderr)
        self.check_none((path for path, length in lengths.items() if length > TOO_LONG), "too long")

    def test_no_goto(self):
        self.check_none((path for path, text in read_files(".c", ".h")
                         if re.search(r"\bgoto\b", library.strip_noise(text))), "goto")

    def test_nothing_is_left_for_later(self):
        self.check_none((path for path, text in read_files(".c", ".h", ".in", ".py", ".build")
                         if LEFT_OVER.search(text)), "something is left for later")


if __name__ == "__main__":
    unittest.main()
