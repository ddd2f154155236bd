# SPDX-License-Identifier: BSD-3-Clause
"""Which peers the tests have met. A test says what it proves with whom, and that it did:

    ROW = Row("back-end", "QEMU", "two guests joined by a switch")
    ROW.seen("7.2.18")                       # at the end of the test that proves it

docs/interop.md has one line for each Row in the tests; test_interop.py compares them. `./dev test`
writes build/interop.md, which says in addition what was seen in that run:

    peers.py BUILD [--all]                   # --all: fail if a Row was not seen
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

HEAD = "| Ours | Peer | What the tests exercise |"
CELLS = re.compile(r"\| (.+?) \| (.+?) \| (.+?) \|")


class Row:
    """One line of the table."""

    def __init__(self, ours, peer, exercised):
        self.cells = (ours, peer, exercised)

    def seen(self, version):
        """The test has passed up to here, with this version of the peer."""
        folder = get_folder(os.environ["MESON_BUILD_ROOT"])
        folder.mkdir(exist_ok=True)
        name = hashlib.sha256(repr(self.cells).encode()).hexdigest()[:16]
        (folder / f"{name}.json").write_text(json.dumps([*self.cells, version]))


def get_package_version(package):
    """Of a Debian package, as in “7.2+dfsg-7+deb12u18+b3”."""
    return subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], check=True,
                          stdout=subprocess.PIPE, text=True).stdout.partition(":")[2]


def get_folder(build):
    return Path(build) / "interop"


def read_table(path):
    """The cells of each line of docs/interop.md."""
    _, _, table = path.read_text(encoding="utf-8").partition(HEAD)
    return [match.groups() for match in map(CELLS.fullmatch, table.splitlines()) if match]


def read_seen(build):
    """{cells: version} of what was seen since the directory was emptied."""
    found = {}
    for path in get_folder(build).glob("*.json"):
        *cells, version = json.loads(path.read_text(encoding="utf-8"))
        found[tuple(cells)] = version
    return found


def main(arguments):
    build = Path(arguments[0])
    seen = read_seen(build)
    rows = read_table(Path(__file__).resolve().parents[1] / "docs" / "interop.md")
    lines = [f"{HEAD} Version seen |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cells)} | {seen.get(cells, 'not in this run')} |" for cells in rows]
    (build / "interop.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    missing = [cells for cells in rows if cells not in seen] if "--all" in arguments else []
    for cells in missing:
        print(f"failed: no test has seen this line of docs/interop.md: {' | '.join(cells)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
