#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the benchmarks and makes tables and plots of what they measured.

    bench.py BUILD [--quick] [NAME…]

A benchmark is a program BUILD/tests/bench/bench-NAME or a script tests/bench/bench_NAME.py. It
prints one JSON object per line, each a sample of one figure:

    {"figure": "split, 1", "unit": "ns", "peer": "burst loop", "ours": 6.2, "theirs": 5.9}

`ours` and `theirs` were measured one right after the other, so that what disturbs the machine
disturbs both: the ratio is the median of the ratios of these pairs. Optional: `at_most` or
`at_least`, what the ratio should be; `x` and `along`, when the figure is one point of a curve;
`figure`, `peer` and `missing` alone (or with `unit` and `ours`) when there is no such peer here,
and why. docs/benchmarks.md explains the tables.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
from pathlib import Path

import plot

HERE = Path(__file__).resolve().parent
SIDES = ("ours", "theirs")


def find_benchmarks(build):
    """{name: command} of all there are."""
    programs = {path.name.removeprefix("bench-"): [str(path)]
                for path in (build / "tests/bench").glob("bench-*") if path.is_file()}
    scripts = {path.stem.removeprefix("bench_"): [sys.executable, str(path)]
               for path in HERE.glob("bench_*.py")}
    return dict(sorted({**programs, **scripts}.items()))


def run(command, quick):
    """Yields the samples as they come."""
    with subprocess.Popen([*command, *(["--quick"] if quick else [])], text=True,
                          stdout=subprocess.PIPE) as program:
        for line in program.stdout:
            yield json.loads(line)
    if program.returncode != 0:
        raise SystemExit(f"{command[-1]} ended with {program.returncode}")


def describe_spread(values):
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return {"median": middle, "low": low, "high": high, "n": len(values)}


def gather(samples):
    """One row for each figure and peer, in the order in which they came."""
    rows = {}
    for sample in samples:
        key = sample["figure"], sample.get("x"), sample.get("peer")
        row = rows.setdefault(key, {"samples": []})
        row.update({name: value for name, value in sample.items() if name not in SIDES})
        row["samples"].append(sample)
    return [summarize(row) for row in rows.values()]


def summarize(row):
    samples = row.pop("samples")
    for side in SIDES:
        values = [sample[side] for sample in samples if side in sample]
        if values:
            row[side] = describe_spread(values)
    pairs = [sample["ours"] / sample["theirs"] for sample in samples if "theirs" in sample]
    if pairs:
        row["ratio"] = describe_spread(pairs)
    row["verdict"] = judge(row)
    return row


def judge(row):
    """Whether a ratio is what it should be; nothing where nothing was said."""
    if "missing" in row:
        return "missing"
    if "ratio" not in row or not {"at_most", "at_least"} & row.keys():
        return ""
    ratio = row["ratio"]["median"]
    good = row.get("at_least", 0) <= ratio <= row.get("at_most", float("inf"))
    return "reached" if good else "not reached"


def show_number(value):
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def show_spread(spread):
    if spread is None:
        return ""
    low, middle, high = (show_number(spread[key]) for key in ("low", "median", "high"))
    return f"{middle} ({low}–{high})"


def show_target(row):
    return " ".join(f"{sign} {row[key]}" for key, sign in (("at_most", "≤"), ("at_least", "≥"))
                    if key in row)


HEAD = ("figure", "unit", "ours", "peer", "theirs", "ratio", "target", "")


def show_row(row):
    name = row["figure"] + (f", {row['along']} {row['x']}" if "x" in row else "")
    if "missing" in row:
        return (name, row.get("unit", ""), show_spread(row.get("ours")), row["peer"], "missing", "",
                "", row["missing"])
    return (name, row["unit"], show_spread(row["ours"]), row.get("peer", ""),
            show_spread(row.get("theirs")), show_spread(row.get("ratio")), show_target(row),
            row["verdict"])


def draw_table(rows):
    lines = [HEAD, *map(show_row, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEAD))]
    lines.insert(1, ["-" * width for width in widths])
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() + "\n"
                   for line in lines)


def describe_machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {"cpu": models[0] if models else platform.machine(), "cores": os.cpu_count(),
            "kernel": platform.release(), "load": os.getloadavg()[0]}


def measure(name, command, folder, quick):
    machine = describe_machine()
    rows = gather(run(command, quick))
    table = draw_table(rows)
    folder.mkdir(parents=True, exist_ok=True)
    data = json.dumps({"machine": machine, "figures": rows}, indent=1)
    (folder / f"{name}.json").write_text(data + "\n")
    (folder / f"{name}.txt").write_text(table)
    (folder / f"{name}.svg").write_text(plot.draw(name, rows))
    print(f"{name} ({machine['cores']} × {machine['cpu']}, load {machine['load']:.1f})\n\n{table}",
          flush=True)


def main():
    parser = argparse.ArgumentParser(usage="bench.py BUILD [--quick] [NAME…]")
    parser.add_argument("build", type=Path)
    parser.add_argument("--quick", action="store_true", help="few samples: shows that it works")
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_intermixed_args()
    found = find_benchmarks(arguments.build)
    chosen = {name: command for name, command in found.items()
              if not arguments.names or any(word in name for word in arguments.names)}
    if not chosen:
        raise SystemExit(f"no benchmark is called anything like that: there are {', '.join(found)}")
    for name, command in chosen.items():
        measure(name, command, arguments.build / "bench", arguments.quick)


if __name__ == "__main__":
    main()
