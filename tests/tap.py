# SPDX-License-Identifier: BSD-3-Clause
"""Runs one unittest file and prints TAP 13: tap.py FILE [PATTERN].

PATTERN picks tests whose Class.name contains it (or matches it, with * and ?). A test that passes
but leaves a file descriptor open fails. Standard output is for TAP alone: whatever tests or their
children print there goes to standard error. So do diagnostics once more, if that is another file:
Meson shows only standard error of a TAP program that failed.
"""

import faulthandler
import fnmatch
import gc
import importlib.util
import os
import signal
import sys
import time
import traceback
import unittest
from pathlib import Path

SETTLE = 0.5  # seconds that threads get to close what they hold


class Tap:
    """The stream of result lines."""

    def __init__(self):
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="backslashreplace")
        self._echo = not os.path.sameopenfile(1, 2)
        os.dup2(2, 1)
        self._count = 0
        self.failed = False

    def write(self, line):
        self._out.write(line + "\n")
        self._out.flush()

    def comment(self, text):
        for line in text.rstrip().splitlines():
            self.write(f"# {line}")
            if self._echo:
                print(line, file=sys.stderr, flush=True)

    def result(self, name, passed, detail="", skip=None):
        self._count += 1
        self.failed |= not passed
        self.comment(f"{name}:\n{detail}" if detail else "")
        directive = "" if skip is None else f" # SKIP {' '.join(skip.split())}"
        self.write(f"{'ok' if passed else 'not ok'} {self._count} - {name}{directive}")

    def bail_out(self, reason):
        self.comment(reason)
        self.write(f"Bail out! {reason.strip().splitlines()[-1]}")
        self.failed = True


def name_test(test):
    return ".".join(test.id().replace("#", "").split(".")[-2:])


def list_descriptors():
    """{fd: what it is} of this process."""
    found = {}
    for fd in os.listdir("/proc/self/fd"):
        try:
            found[int(fd)] = os.readlink(f"/proc/self/fd/{fd}")
        except FileNotFoundError:
            pass  # the one that listdir itself used
    return found


def find_glib():
    return sys.modules["gi.repository"].GLib if "gi.repository" in sys.modules else None


def settle():
    """Lets go of what is only waiting for the collector or for the main loop."""
    gc.collect()
    glib = find_glib()
    for _ in range(1000):
        if glib is None or not glib.MainContext.default().iteration(False):
            break
    gc.collect()


def warm_up():
    """Makes GLib open now what it keeps for good, so that no test is blamed for it."""
    glib = find_glib()
    if glib:
        source = glib.unix_signal_add(glib.PRIORITY_DEFAULT, signal.SIGUSR2, lambda: False)
        glib.source_remove(source)
    settle()


def find_left_open(before):
    """Descriptors that were not there before, once everybody had time to close theirs."""
    end = time.monotonic() + SETTLE
    while True:
        settle()
        left = dict(list_descriptors().items() - before.items())
        if not left or time.monotonic() > end:
            return left
        time.sleep(0.01)


class Result(unittest.TestResult):
    """Tells each test to Tap when it is quite over, cleanups and all."""

    def __init__(self, tap):
        super().__init__()
        self._tap = tap
        self._reported = set()
        self._fixtures = {}
        self._begin(None)

    def _begin(self, test):
        self._details = []
        self._skip = None
        self._test = test

    def startTest(self, test):
        super().startTest(test)
        self._begin(test)
        settle()
        self._before = list_descriptors()

    def stopTest(self, test):
        if not self._details and (left := find_left_open(self._before)):
            self._details += [f"left open: fd {fd}, {what}" for fd, what in sorted(left.items())]
        self._report(test, self._details, self._skip)
        self._begin(None)

    def _report(self, test, details, skip):
        self._reported.add(test.id())
        passed = not details
        self._tap.result(name_test(test), passed, "\n".join(details), skip if passed else None)

    def _fail(self, test, error):
        text = "".join(traceback.format_exception(*error))
        if self._test is not None:
            self._details.append(text)
        else:
            self._note_fixture(test, text, None)

    def _note_fixture(self, test, text, skip):
        """A class or module fixture failed or asked for a skip; its tests will not start."""
        self._fixtures[test.id().partition("(")[2].rstrip(")")] = ([f"{test.id()} failed"], skip)
        if skip is None:
            self._tap.comment(f"{test.id()}:\n{text}")
            self._tap.failed = True

    def addError(self, test, err):
        self._fail(test, err)

    def addFailure(self, test, err):
        self._fail(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._details.append(f"in {subtest.id()}:")
            self._fail(subtest, err)

    def addSkip(self, test, reason):
        if self._test is not None:
            self._skip = reason
        else:
            self._note_fixture(test, "", reason)

    def addExpectedFailure(self, test, err):
        pass

    def addUnexpectedSuccess(self, test):
        self._details.append("passed, but was expected to fail")

    def finish(self, tests):
        """Accounts for the tests that never started."""
        for test in tests:
            if test.id() not in self._reported:
                owner = unittest.util.strclass(type(test))
                details, skip = self._fixtures.get(owner) or self._fixtures.get(
                    type(test).__module__, (["it was never started"], None))
                self._report(test, [] if skip else details, skip)


def load_module(path):
    """Imports a test file; its directory and that of the helpers are on the path."""
    sys.path[:0] = [str(path.parent), str(Path(__file__).resolve().parent)]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def list_tests(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from list_tests(item)
        else:
            yield item


def is_chosen(test, pattern):
    return pattern in name_test(test) or fnmatch.fnmatch(name_test(test), pattern)


def run(tap, path, pattern):
    try:
        module = load_module(path)
    except unittest.SkipTest as skip:
        tap.write(f"1..0 # SKIP {skip}")
        return
    except Exception:
        tap.bail_out(traceback.format_exc())
        return
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    tests = [test for test in list_tests(suite) if is_chosen(test, pattern)]
    if not tests:
        tap.bail_out(f"{path.name} has no test {pattern}".rstrip())
        return
    tap.write(f"1..{len(tests)}")
    warm_up()
    result = Result(tap)
    unittest.TestSuite(tests).run(result)
    result.finish(tests)


def main(arguments):
    if len(arguments) not in (1, 2):
        sys.exit("usage: tap.py FILE [PATTERN]")
    faulthandler.enable()
    faulthandler.register(signal.SIGTERM, chain=True)  # a deadline from outside: say where we are
    tap = Tap()
    tap.write("TAP version 13")
    run(tap, Path(arguments[0]).resolve(), arguments[1] if len(arguments) == 2 else "")
    return 1 if tap.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
