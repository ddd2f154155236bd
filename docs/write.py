#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the reference as HTML: write.py GIR OUTPUT. Every docs/*.md becomes one of its pages."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
VERSION = re.compile(r'<constant name="(\w+)_VERSION"\s+value="(\d+)"')


def find_version(gir):
    numbers = dict(VERSION.findall(gir.read_text(encoding="utf-8")))
    return ".".join(numbers[part] for part in ("MAJOR", "MINOR", "MICRO"))


def convert_page(text):
    """Tells gi-docgen the title, and sends links between pages to what the pages become."""
    title = re.search("^# (.+)$", text, re.MULTILINE).group(1)
    return f"Title: {title}\n\n" + re.sub(r"\]\((\w+)\.md(#[\w-]+)?\)", r"](\1.html\2)", text)


def stage(folder, gir):
    """Writes what gi-docgen reads, and returns its configuration file."""
    pages = sorted(path.name for path in HERE.glob("*.md"))
    for name in pages:
        (folder / name).write_text(convert_page((HERE / name).read_text()))
    shutil.copy(HERE / "urlmap.js", folder)
    config = (HERE / "Vhost.toml.in").read_text()
    config = config.replace("@VERSION@", find_version(gir)).replace("@PAGES@", json.dumps(pages))
    (folder / "Vhost.toml").write_text(config)
    return folder / "Vhost.toml"


def main(gir, output):
    with tempfile.TemporaryDirectory(prefix="vhost-") as folder:
        config = stage(Path(folder), Path(gir))
        return subprocess.run(["gi-docgen", "generate", "--quiet", "--fatal-warnings",
                               "--no-namespace-dir", f"--config={config}",
                               f"--content-dir={folder}", f"--output-dir={output}", gir]).returncode


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
