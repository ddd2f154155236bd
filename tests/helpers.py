# SPDX-License-Identifier: BSD-3-Clause
"""What the Python tests share: private directories, children, waiting."""

import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from peers import take_messages

LISTENING = 0x10000  # __SO_ACCEPTCON, as /proc/net/unix shows it


def root():
    """The top of the source tree."""
    return Path(__file__).resolve().parents[1]


class Child:
    """A program that runs beside the test; its output goes to a file and is there to read."""

    def __init__(self, arguments, output, **options):
        self.name = Path(str(arguments[arguments[0] == sys.executable])).name
        self._path = Path(output)
        self._shown = False
        options.setdefault("stdin", subprocess.DEVNULL)
        with open(output, "wb") as file:
            self._process = subprocess.Popen(list(map(str, arguments)), stdout=file,
                                             stderr=subprocess.STDOUT, **options)

    @property
    def pid(self):
        return self._process.pid

    def read_output(self):
        """What it printed, without the messages that VHOST_DEBUG shows."""
        return take_messages(self._path.read_text(errors="replace"))[1]

    def read_messages(self):
        """Those that VHOST_DEBUG shows."""
        return take_messages(self._path.read_text(errors="replace"))[0]

    def is_running(self):
        return self._process.poll() is None

    def wait(self, deadline=10.0):
        """Waits for its end and returns the exit status (negative: the signal)."""
        try:
            return self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} still runs after {deadline:g} s") from None

    def stop(self, deadline=5.0, how=signal.SIGTERM):
        """Asks it to end, insists after the deadline, and returns the exit status."""
        if self.is_running():
            self._process.send_signal(how)
        try:
            self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._show_messages()
        return self._process.returncode

    def _show_messages(self):
        """In the log of the test, once."""
        if not self._shown:
            self._shown = True
            sys.stderr.write(take_messages(self._path.read_text(errors="replace"))[0])


class TempDir(unittest.TestCase):
    """A test with a directory of its own, `self.directory`, and children that end with it."""

    def setUp(self):
        super().setUp()
        temp = tempfile.TemporaryDirectory(prefix="vhost-")
        self.addCleanup(temp.cleanup)
        self.directory = Path(temp.name)
        self._children = 0

    def path(self, name):
        return str(self.directory / name)

    def spawn(self, *arguments, **options):
        self._children += 1
        child = Child(arguments, self.path(f"child-{self._children}.log"), **options)
        self.addCleanup(child.stop)
        return child

    def spawn_python(self, script, *arguments, **options):
        """A Python program of the source tree."""
        return self.spawn(sys.executable, root() / script, *arguments, **options)


def is_listening(path, process="self"):
    """Whether a Unix socket listens at this path; looks, and does not connect.

    process  one in the network namespace to look at
    """
    with open(f"/proc/{process}/net/unix", encoding="utf-8", errors="replace") as table:
        for line in table:
            fields = line.rstrip("\n").split(None, 7)
            if fields[7:] == [str(path)] and int(fields[3], 16) & LISTENING:
                return True
    return False


def wait_until(condition, what, deadline=10.0):
    """Looks every few milliseconds, for what has no descriptor to wait on."""
    end = time.monotonic() + deadline
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"no {what} within {deadline:g} s")
        time.sleep(0.005)


def wait_for_socket(path, deadline=10.0, child=None):
    """Waits until somebody listens at `path`; fails at once if `child` ends instead."""
    def is_settled():
        return is_listening(path) or (child and not child.is_running())
    wait_until(is_settled, f"listener at {path}", deadline)
    if not is_listening(path):
        raise AssertionError(f"{child.name} ended before it listened:\n{child.read_output()}")


def run_loop(until, deadline=5.0, context=None):
    """Iterates a main context until `until()` is true."""
    from gi.repository import GLib
    context = context or GLib.MainContext.default()
    late = []
    timer = GLib.timeout_source_new(int(deadline * 1000))
    timer.set_callback(lambda *_: late.append(True) or GLib.SOURCE_REMOVE)
    timer.attach(context)
    try:
        while not until() and not late:
            context.iteration(True)
    finally:
        timer.destroy()
    if not until():
        raise AssertionError(f"it did not happen within {deadline:g} s of the main loop")


def run_idle(context=None):
    """Iterates a main context until it has nothing more to do."""
    from gi.repository import GLib
    context = context or GLib.MainContext.default()
    while context.iteration(False):
        pass
