# SPDX-License-Identifier: BSD-3-Clause
"""The layout is what .clang-format and .editorconfig say."""

import fnmatch
import re
import subprocess
import unittest

import library

NOT_OURS = {".git", ".cache", "__pycache__"}
TABLE = re.compile(r"^ */\* clang-format off \*/.*?clang-format on \*/$", re.DOTALL | re.MULTILINE)


def is_build(folder):
    return (folder / "meson-private").is_dir()


def list_files(folder):
    """Every file of the source tree, in the order of the alphabet."""
    for path in sorted(folder.iterdir()):
        if path.is_symlink() or path.name in NOT_OURS:
            continue
        if path.is_file():
            yield path
        elif path.is_dir() and not is_build(path):
            yield from list_files(path)


def list_texts():
    """(path, bytes) of every file that is text, which all but a few are."""
    for path in list_files(library.SOURCE):
        data = path.read_bytes()
        if b"\0" not in data:
            yield path, data


def read_rules():
    """[(patterns, {rule: value})] of .editorconfig; a later one wins."""
    rules = []
    for line in (library.SOURCE / ".editorconfig").read_text().splitlines():
        if line.startswith("["):
            rules.append((line.strip("[]{}").split(","), {}))
        elif "=" in line and rules:
            name, _, value = line.partition("=")
            rules[-1][1][name.strip()] = value.strip()
    return rules


def find_rules(rules, name):
    found = {}
    for patterns, values in rules:
        if any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
            found.update(values)
    return found


def judge_file(data, rules):
    """What is wrong with a file as a whole."""
    if b"\r" in data and rules.get("end_of_line") == "lf":
        yield "a carriage return"
    if data and not data.endswith(b"\n") and rules.get("insert_final_newline") == "true":
        yield "no newline at its end"
    if data.endswith(b"\n\n"):
        yield "empty lines at its end"


def judge_line(line, rules):
    """What is wrong with a line."""
    if line != line.rstrip() and rules.get("trim_trailing_whitespace") == "true":
        yield "ends with blanks"
    if line[:1] == "\t" and rules.get("indent_style") == "space":
        yield "begins with a tab"
    if len(line) > int(rules.get("max_line_length", len(line))):
        yield f"has {len(line)} columns"


def judge(path, data, rules):
    name = library.name_source(path)
    text = data.decode(rules.get("charset", "utf-8"))
    yield from (f"{name}: {wrong}" for wrong in judge_file(data, rules))
    for number, line in enumerate(TABLE.sub(shorten_lines, text).split("\n"), 1):
        yield from (f"{name}:{number}: {wrong}" for wrong in judge_line(line, rules))


def shorten_lines(match):
    return re.sub("[^\n]+$", "", match.group(0), flags=re.MULTILINE)


class Style(unittest.TestCase):
    def test_editorconfig(self):
        rules = read_rules()
        texts = list(list_texts())
        self.assertGreater(len(texts), 100)
        wrong = [line for path, data in texts
                 for line in judge(path, data, find_rules(rules, path.name))]
        self.assertFalse(wrong, "\n".join(wrong))

    def test_clang_format(self):
        files = [str(path) for path in list_files(library.SOURCE) if path.suffix in (".c", ".h")]
        self.assertGreater(len(files), 50)
        result = subprocess.run(["clang-format", "--dry-run", "-Werror", *files], text=True,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        wrong = sorted({line.partition(":")[0] for line in result.stdout.splitlines()
                        if ": error: " in line})
        self.assertEqual(result.returncode, 0, "./dev format changes " + " ".join(wrong))


if __name__ == "__main__":
    unittest.main()
