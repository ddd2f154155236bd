# SPDX-License-Identifier: BSD-3-Clause
"""What the tests of the interface look at: the library's files, in the source and in the build."""

import os
import re
import subprocess
from pathlib import Path

from helpers import root

SOURCE = root()
BUILD = Path(os.environ.get("MESON_BUILD_ROOT", SOURCE / "build"))
LIBRARY = BUILD / "libvhost" / "libvhost-1.so"
GIR = BUILD / "introspection" / "Vhost-1.gir"

NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"', re.DOTALL)
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)


def is_private(path):
    return path.name.endswith("-private.h")


def list_sources():
    """Every C file and header of the library, templates and all."""
    return sorted(path for path in (SOURCE / "libvhost").rglob("*")
                  if path.name.endswith((".c", ".h", ".c.in", ".h.in")))


def list_public_headers():
    """{name to include: path}, the generated ones taken from the build."""
    found = {}
    for top in (SOURCE, BUILD):
        for path in sorted((top / "libvhost").rglob("*.h")):
            if not is_private(path):
                found[str(path.relative_to(top))] = path
    return found


def strip_noise(text):
    """C without comments and without what is between quotes; lines keep their numbers."""
    def blank(match):
        lines = "\n" * match.group(0).count("\n")
        return '""' if match.group(0).startswith('"') else lines or " "
    return NOISE.sub(blank, text)


def list_includes(text):
    """[(quote or bracket, name)]"""
    return INCLUDE.findall(text)


def name_source(path):
    """How to call a file in a message."""
    for top in (SOURCE, BUILD):
        if path.is_relative_to(top):
            return str(path.relative_to(top))
    return str(path)


def list_exports():
    """The names that the built library defines for others, in the order of the alphabet."""
    table = subprocess.run(["nm", "-D", "--defined-only", "--format=posix", str(LIBRARY)],
                           check=True, stdout=subprocess.PIPE, text=True).stdout
    return sorted(line.split()[0] for line in table.splitlines())
