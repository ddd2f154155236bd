# SPDX-License-Identifier: BSD-3-Clause
"""A disk whose back-end is killed at any moment, and a driver that checks each byte of it.

Every request must come back exactly once, with what an in-memory copy of the disk says. Requests
in flight never touch the same sectors, so that the copy is exact.
"""

import os
import random
import signal
import struct
import threading
import time
import unittest

import gi

gi.require_version("Vhost", "1")
from gi.repository import Vhost  # noqa: E402
from helpers import TempDir, is_listening, wait_for_socket  # noqa: E402

HEADER = struct.Struct("<IIQ")  # type, reserved, sector
SECTOR = 512
IN, OUT = 0, 1
SECTORS = 2048
DEPTH = 24
SEED = int(os.environ.get("VHOST_TEST_SEED", random.randrange(1 << 32)))


class Killer(threading.Thread):
    """Starts the back-end and kills it, so many times; the last one is left alive.

    One in four dies around its first moments, the others while they serve (`in_use` is set).
    """

    def __init__(self, start, socket, kills, rng):
        super().__init__(daemon=True)
        self.in_use = threading.Event()
        self._start_one, self._socket, self._rng = start, socket, rng
        self._left = kills
        self.kills = 0
        self.error = None
        self.child = start()

    def run(self):
        try:
            while self._left > self.kills:
                wait_for_socket(self._socket, child=self.child)
                if self._rng.randrange(4):
                    assert self.in_use.wait(10), "the back-end was not reconnected to"
                    time.sleep(self._rng.choice((0.002, 0.02, 0.1)) * self._rng.random())
                else:
                    time.sleep(0.02 * self._rng.random())
                self.in_use.clear()
                status = self.child.stop(how=signal.SIGKILL)
                assert status == -signal.SIGKILL, f"it ended with {status} before it was killed"
                self.kills += 1
                self.child = self._start_one()
        except AssertionError as error:
            self.error = error


class Workload:
    """Random reads and writes, several at a time, each checked against `copy`."""

    def __init__(self, queue, rng):
        self._queue, self._rng = queue, rng
        self.copy = bytearray(SECTORS * SECTOR)
        self._busy = set()
        self._waiting = {}  # token: (kind, first sector, number)
        self.done = self.moved = 0

    def _choose(self):
        count = self._rng.randrange(1, 17)
        first = self._rng.randrange(SECTORS - count + 1)
        taken = set(range(first, first + count))
        return (first, count, taken) if not taken & self._busy else None

    def submit(self):
        while len(self._waiting) < DEPTH:
            choice = self._choose()
            if choice is None:
                continue
            first, count, taken = choice
            kind = self._rng.choice((IN, OUT))
            header = HEADER.pack(kind, 0, first)
            if kind == OUT:
                data = self._rng.randbytes(count * SECTOR)
                self.copy[first * SECTOR:(first + count) * SECTOR] = data
                token = self._queue.add(header + data, 1)
            else:
                token = self._queue.add(header, count * SECTOR + 1)
            self._busy |= taken
            self._waiting[token] = kind, first, count
        self._queue.kick()

    def collect(self):
        buffer = self._queue.wait(None)
        kind, first, count = self._waiting.pop(buffer.get_token())  # KeyError: came twice
        self._busy -= set(range(first, first + count))
        data = bytes(buffer.get_data())
        expected = b"" if kind == OUT else self.copy[first * SECTOR:(first + count) * SECTOR]
        if data != expected + b"\0":
            raise AssertionError(f"request {self.done}, kind {kind}, sectors {first}+{count}: "
                                 "not what the disk holds")
        self.done += 1
        self.moved += count * SECTOR

    def drain(self):
        while self._waiting:
            self.collect()


class Kill(TempDir):
    def run_kills(self, script, kills):
        rng = random.Random(SEED)
        socket, image = self.path("disk.sock"), self.path("disk")
        with open(image, "wb") as file:
            file.truncate(SECTORS * SECTOR)
        killer = Killer(lambda: self.spawn_python(script, "--socket-path", socket, image), socket,
                        kills, random.Random(SEED + 1))
        wait_for_socket(socket, child=killer.child)
        frontend = Vhost.UserFrontend(reconnect_interval=5)
        self.addCleanup(frontend.close)
        pauses = []
        frontend.connect("reconnected", lambda _: pauses.append(1) or killer.in_use.set())
        frontend.open(socket, None)
        killer.in_use.set()
        driver = Vhost.Driver(device=frontend, memory_size=4 << 20)
        driver.start(1, 64, None)
        work = Workload(driver.get_queue(0), rng)
        killer.start()
        while killer.is_alive():
            work.submit()
            work.collect()
        work.drain()
        killer.join()
        self.assertIsNone(killer.error)
        driver.stop(None)
        with open(image, "rb") as file:
            self.assertEqual(file.read(), bytes(work.copy), "the image")
        self.assertEqual(killer.kills, kills)
        self.assertGreaterEqual(len(pauses), kills // 2)
        print(f"seed {SEED}: {killer.kills} kills, {len(pauses)} reconnections, "
              f"{work.done} requests, {work.moved >> 20} MiB, 0 lost, 0 wrong")

    def test_in_order(self):
        self.run_kills("python-examples/blk_backend.py", 60)

    def test_out_of_order(self):
        self.run_kills("tests/python/shuffled_disk.py", 40)

    def test_stays_listening(self):
        """The path is free again for the next back-end however the last one ended."""
        socket, image = self.path("disk.sock"), self.path("disk")
        with open(image, "wb") as file:
            file.truncate(SECTOR)
        for _ in range(2):
            child = self.spawn_python("python-examples/blk_backend.py", "--socket-path", socket,
                                      image)
            wait_for_socket(socket, child=child)
            child.stop(how=signal.SIGKILL)
            self.assertFalse(is_listening(socket))


if __name__ == "__main__":
    unittest.main()
