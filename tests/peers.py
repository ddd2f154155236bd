# SPDX-License-Identifier: BSD-3-Clause
"""Which peers the tests have met. A test says what it proves with whom, and that it did:

    ROW = Row("back-end", "QEMU", "two guests joined by a switch")
    ROW.seen("7.2.18")                       # at the end of the test that proves it

docs/interop.md has one line for each Row in the tests; test_interop.py compares them. `./dev test`
writes build/interop.md, which says in addition what was seen in that run:

    peers.py BUILD [--all]                   # --all: fail if a Row was not seen

There it also says which requests and protocol features passed between us and each peer: tests that
are registered with 'record' run with VHOST_DEBUG=message, and Meson keeps what they print.
"""

import ast
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

BOTH = "front-end, back-end"
HEAD = "| Ours | Peer | What the tests exercise |"
CELLS = re.compile(r"\| (.+?) \| (.+?) \| (.+?) \|")


class Row:
    """One line of the table."""

    def __init__(self, ours, peer, exercised):
        self.cells = (ours, peer, exercised)

    def seen(self, version="the same"):
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


def list_rows(path):
    """The arguments of each Row(…) in a test; they are literals."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Row":
            yield tuple(ast.literal_eval(argument) for argument in node.args)


# --- what passed

MESSAGE = re.compile(r"vhost-user(-backend)? ([←→]) (\w+)( reply)?"
                     r"(?:.*features=0x[0-9a-f]+ \((.*?)\))?")


def take_messages(text):
    """(the lines that show a message, the text without them)"""
    messages, rest = [], []
    for line in text.splitlines(keepends=True):
        (messages if MESSAGE.match(line) else rest).append(line)
    return "".join(messages), "".join(rest)


class Exchange:
    """The requests and the protocol features that one of our ends and one peer have used."""

    def __init__(self):
        self.requests, self.features = set(), set()

    def note(self, name, features):
        self.requests.add(name)
        if name == "SET_PROTOCOL_FEATURES" and features:
            self.features.update(features.split(", "))


def read_exchanges(build):
    """{(our end, peer): Exchange}, from the log of the tests."""
    found = {}
    for line in (build / "meson-logs" / "testlog.json").read_text(encoding="utf-8").splitlines():
        program = json.loads(line)
        if program["env"].get("VHOST_DEBUG") != "message":
            continue
        script = next(Path(word) for word in program["command"][2:] if word.endswith(".py"))
        peers = {(cells[0], cells[1].partition(",")[0]) for cells in list_rows(script)}
        for text in (program.get("stderr") or "").splitlines():
            if (match := MESSAGE.match(text)) and not match[4]:
                note_message(found, peers, match)
    return found


def note_message(found, peers, match):
    """Who receives a request of the front-end, or sends one on the channel, is the back-end."""
    channel, arrow, name, _, features = match.groups()
    end = "back-end" if (arrow == "←") != bool(channel) else "front-end"
    for ours, peer in peers:
        if ours == BOTH or ours.startswith(end):
            found.setdefault((BOTH if ours == BOTH else end, peer), Exchange()).note(name, features)


def format_exchanges(exchanges):
    yield "| Ours | Peer | Requests | Protocol features |"
    yield "|---|---|---|---|"
    for (end, peer), exchange in sorted(exchanges.items()):
        requests, features = sorted(exchange.requests), sorted(exchange.features)
        yield (f"| {end} | {peer} | {len(requests)}: {', '.join(requests)} "
               f"| {len(features)}: {', '.join(features)} |")


def main(arguments):
    build = Path(arguments[0])
    seen = read_seen(build)
    rows = read_table(Path(__file__).resolve().parents[1] / "docs" / "interop.md")
    lines = [f"{HEAD} Version seen |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cells)} | {seen.get(cells, 'not in this run')} |" for cells in rows]
    lines += ["", *format_exchanges(read_exchanges(build))]
    (build / "interop.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    missing = [cells for cells in rows if cells not in seen] if "--all" in arguments else []
    for cells in missing:
        print(f"failed: no test has seen this line of docs/interop.md: {' | '.join(cells)}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
