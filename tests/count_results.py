# SPDX-License-Identifier: BSD-3-Clause
"""Counts what `meson test` ran: count_results.py LOG-DIRECTORY [STATUS-OF-MESON].

Subtests come from testlog.junit.xml, the verdict on each program from testlog.json: a program that
ran out of time, or died without a failed subtest, is one failure more. Prints each skip and each
failure, then `N passed, N failed, N skipped`. Exits with 1 when something failed.
"""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

GOOD = ("OK", "EXPECTEDFAIL")
SKIP_PLAN = re.compile(r"^1\.\.0(?:\s*#\s*skip\S*\s*(.*))?", re.IGNORECASE | re.MULTILINE)


def read_programs(path):
    """What the log says of each program."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_subtests(path):
    """{program: [(subtest, "passed" | "failed" | "skipped", reason)]}"""
    if not path.exists():
        return {}
    found = {}
    for suite in ElementTree.parse(path).getroot().iter("testsuite"):
        name = suite.get("name")
        found[name.partition(".")[2]] = [judge_subtest(case) for case in suite.iter("testcase")]
    return found


def judge_subtest(case):
    reason = (case.findtext("system-out") or "").strip()
    if case.find("skipped") is not None:
        return case.get("name"), "skipped", reason or "no reason given"
    bad = case.find("failure") is not None or case.find("error") is not None
    return case.get("name"), "failed" if bad else "passed", reason


def count_program(program, subtests):
    """The subtests of a program, or one line for the program as a whole."""
    verdict = program["result"]
    told = verdict != "TIMEOUT" and any(outcome == "failed" for _, outcome, _ in subtests)
    if verdict == "SKIP" and not subtests:
        return [judge_skip(program)]
    if verdict in (*GOOD, "SKIP"):
        return subtests or [("", "passed", "")]
    return subtests if told else [*subtests, ("", "failed", explain(program))]


def judge_skip(program):
    """Meson calls a program that printed nothing skipped too; that one did not test anything."""
    output = (program.get("stdout") or "") + (program.get("stderr") or "")
    plan = SKIP_PLAN.search(output)
    if plan:
        return "", "skipped", plan.group(1) or "no reason given"
    if program["returncode"] == 77:
        return "", "skipped", (output.strip().splitlines() or ["no reason given"])[-1]
    return "", "failed", "it ran no test"


def explain(program):
    if program["result"] == "TIMEOUT":
        return f"ran out of time after {program['duration']:.0f} s"
    return f"{program['result']}, exit status {program['returncode']}"


def count(directory, status):
    subtests = read_subtests(directory / "testlog.junit.xml")
    programs = read_programs(directory / "testlog.json")
    results = [(program["name"].rpartition(" / ")[2], *result) for program in programs
               for result in count_program(program, subtests.get(program["name"], []))]
    if not programs:
        results.append(("meson", "", "failed", "it ran no test"))
    elif status != 0 and not any(outcome == "failed" for _, _, outcome, _ in results):
        results.append(("meson", "", "failed", f"exit status {status}"))
    return results


def main(arguments):
    results = count(Path(arguments[0]), int(arguments[1]) if len(arguments) > 1 else 0)
    totals = {"passed": 0, "failed": 0, "skipped": 0}
    for program, subtest, outcome, reason in results:
        totals[outcome] += 1
        if outcome != "passed":
            where = f"{program}: {subtest}" if subtest else program
            print(f"{outcome}: {where}" + (f" ({reason})" if reason else ""))
    print(", ".join(f"{number} {outcome}" for outcome, number in totals.items()))
    return 1 if totals["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
