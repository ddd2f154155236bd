# SPDX-License-Identifier: BSD-3-Clause
"""What the scripts share that tests run inside a guest: telling the test outside what they saw."""

import gc
import os
import sys
import unittest

import gi

gi.require_version("Vhost", "1")


def report(name, *values):
    """Arrives outside in `guest.values`, and waits there in `guest.wait_for()`."""
    sys.stdout.flush()
    print("@@", name, *values, flush=True)


def write_file(path, text):
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def is_old():
    """Whether this is Linux 6.1."""
    return tuple(map(int, os.uname().release.split(".")[:2])) < (6, 5)


def run_tests():
    """Runs the tests of the script, or those that the command line names, and reports how many."""
    program = unittest.main("__main__", verbosity=2, exit=False)
    gc.collect()
    result = program.result
    report("passed", result.testsRun - sum(map(len, (result.failures, result.errors,
                                                     result.skipped))))
    sys.exit(0 if result.wasSuccessful() else 1)
