# SPDX-License-Identifier: BSD-3-Clause
"""What `./dev bench` makes of samples."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from xml.etree import ElementTree

import bench
import plot


def pair(ours, theirs, **more):
    return {"figure": "walk", "unit": "ns", "peer": "road", "ours": ours, "theirs": theirs, **more}


class Table(unittest.TestCase):
    def test_the_ratio_is_that_of_neighbours(self):
        row, = bench.gather([pair(1, 1), pair(10, 10), pair(300, 100)])
        self.assertEqual(row["ours"]["median"], 10)
        self.assertEqual(row["ratio"]["median"], 1)
        self.assertEqual(row["ratio"]["n"], 3)

    def test_targets(self):
        for bounds, verdict in (({"at_most": 2}, "reached"), ({"at_most": 1.9}, "not reached"),
                                ({"at_least": 2}, "reached"), ({"at_least": 2.1}, "not reached"),
                                ({}, "")):
            row, = bench.gather([pair(4, 2, **bounds)])
            self.assertEqual(row["verdict"], verdict, bounds)

    def test_a_missing_peer_has_a_line(self):
        table = bench.draw_table(bench.gather([
            pair(1, 2), {"figure": "walk", "peer": "train", "missing": "no rails"}]))
        self.assertRegex(table, r"\nwalk +train +missing +no rails\n$")

    def test_points_of_a_curve_are_rows_of_their_own(self):
        rows = bench.gather([pair(1, 1, along="steps", x=1), pair(2, 1, along="steps", x=8)])
        self.assertEqual([row["ours"]["median"] for row in rows], [1, 2])
        self.assertIn("walk, steps 8", bench.draw_table(rows))


class Plot(unittest.TestCase):
    def test_a_bar_for_each_side_and_a_point_for_each_x(self):
        rows = bench.gather([pair(1, 2), pair(3, 3, along="steps", x=1),
                             pair(4, 3, along="steps", x=9),
                             {"figure": "walk", "peer": "train", "missing": "<no> & rails"}])
        root = ElementTree.fromstring(plot.draw("a & b", rows))
        count = {tag: len(root.findall(f"{{http://www.w3.org/2000/svg}}{tag}"))
                 for tag in ("rect", "circle", "polyline")}
        self.assertEqual(count, {"rect": 3 + 2, "circle": 4, "polyline": 2})


class Command(unittest.TestCase):
    def test_command(self):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder, "tests/bench/bench-walk")
            program.parent.mkdir(parents=True)
            program.write_text(f"#!{sys.executable}\nprint({json.dumps(json.dumps(pair(2, 1)))})\n")
            program.chmod(0o755)
            told = subprocess.run([sys.executable, bench.__file__, folder, "walk"], text=True,
                                  check=True, stdout=subprocess.PIPE).stdout
            self.assertRegex(told, r"(?s)^walk \(.*\nwalk +ns +2 .*road +1 ")
            data = json.loads(Path(folder, "bench/walk.json").read_text())
            self.assertEqual(data["figures"][0]["ratio"]["median"], 2)


if __name__ == "__main__":
    unittest.main()
