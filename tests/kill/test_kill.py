# SPDX-License-Identifier: BSD-3-Clause
"""Back-ends killed with SIGKILL, at numbered machine instructions and at random moments under load;
another process takes over, and a driver goes on. Nothing is lost, and nothing that the driver was
told to be done is done again.
"""

import collections
import os
import random
import signal
import struct
import threading
import time
import unittest
from pathlib import Path

from devices import Vhost
from helpers import TempDir, wait_for_socket
from wire import Proto, word

HERE = Path(os.environ["MESON_BUILD_ROOT"]) / "tests" / "kill"
DEVICE, STEPPER = HERE / "journal-device", HERE / "kill-at-step"
SEED = int(os.environ.get("VHOST_TEST_SEED", random.randrange(1 << 32)))
POINTS = int(os.environ.get("VHOST_TEST_KILL_POINTS", 150))
KILLS = int(os.environ.get("VHOST_TEST_KILLS", 60))
NUMBER = struct.Struct("=I")
KILLED = 128 + signal.SIGKILL
FORMATS = ("split", "packed", "split without a record")


class Life(TempDir):
    """A driver that sends numbers, through one back-end after the other.

    n_kills  how many have been killed; another one is spawned each time
    epoch    how often the rings have been resumed, as the journal tells it too
    """

    def begin(self, ring_format, batch, depth):
        self.batch, self.depth = batch, depth
        self.socket, self.journal = self.path("socket"), self.path("journal")
        self.n_kills = self.sent = self.epoch = 0
        self.waiting, self.told = {}, {}  # {token: number}, {number: in which epoch}
        self.in_use = threading.Event()
        self.child = self.next_child()
        wait_for_socket(self.socket, child=self.child)
        self.keeper = threading.Thread(target=self.keep, daemon=True)
        self.keeper.start()
        self.open_driver(ring_format)

    def open_driver(self, ring_format):
        self.frontend = Vhost.UserFrontend(reconnect_interval=2)
        if ring_format.endswith("without a record"):
            self.frontend.props.protocol_features &= ~word(Proto.INFLIGHT_SHMFD)
        self.frontend.connect("resuming", self.on_resuming)
        self.frontend.connect("reconnected", lambda _: self.in_use.set())
        self.frontend.open(self.socket, None)
        self.driver = Vhost.Driver(device=self.frontend)
        if ring_format != "packed":
            self.driver.props.wanted_features &= ~(1 << Vhost.Feature.RING_PACKED)
        self.driver.start(1, 4 * self.depth, None)
        self.assertEqual(self.driver.has_feature(Vhost.Feature.RING_PACKED),
                         ring_format == "packed")
        self.queue = self.driver.get_queue(0)
        self.queue.set_timeout(300000)  # many may be killed before one completes anything
        self.in_use.set()

    def keep(self):
        """Sees to it that there is always a back-end, until one ends by itself."""
        while self.kill() in (-signal.SIGKILL, KILLED):
            self.n_kills += 1
            self.child = self.next_child()

    def kill(self):
        """Waits for the end of the child; returns its exit status."""
        return self.child.wait(60)

    def on_resuming(self, frontend):
        """No back-end is there: what the last one has completed is taken, and not to be done again
        in any epoch from now on.
        """
        while (buffer := self.queue.collect()) is not None:
            self.take(buffer)
        self.epoch += 1
        with open(self.journal, "a", encoding="ascii") as file:
            file.write(f"epoch {self.epoch}\n")

    def take(self, buffer):
        number = self.waiting.pop(buffer.get_token())  # KeyError: it came twice
        self.assertEqual(NUMBER.unpack(buffer.get_data()), (number,))
        self.told[number] = self.epoch

    def send(self):
        while len(self.waiting) < self.depth:
            self.waiting[self.queue.add(NUMBER.pack(self.sent), 4)] = self.sent
            self.sent += 1
        self.queue.kick()

    def run_until(self, done):
        while not done():
            self.send()
            self.take(self.queue.wait(None))
        while self.waiting:
            self.take(self.queue.wait(None))
        self.driver.stop(None)

    def end(self):
        """The last child ends in order."""
        self.frontend.close()
        self.child.stop()
        self.keeper.join()
        self.driver = self.queue = self.frontend = None
        os.unlink(self.journal)

    def count(self):
        """(lost, doubled, done once more because nobody had been told)"""
        done, twice, epoch = collections.Counter(), set(), 0
        with open(self.journal, encoding="ascii") as file:
            for line in file:
                what, number = line.split()
                if what == "epoch":
                    epoch = int(number)
                elif self.told.get(int(number), epoch) < epoch:
                    twice.add(int(number))
                done[int(number)] += what == "do"
        lost = set(range(self.sent)) - (set(self.told) & set(+done))
        return len(lost), len(twice), sum(n - 1 for n in done.values() if n > 1)

    def report(self, what):
        lost, doubled, repeated = self.count()
        print(f"{what}: {self.n_kills} kills tried, {lost} lost, {doubled} doubled "
              f"({self.sent} requests, {repeated} begun again before anybody was told)")
        self.assertEqual((lost, doubled), (0, 0))
        # No more can have been under way at each kill than one batch.
        self.assertLessEqual(repeated, self.n_kills * self.batch)


class AtEachStep(Life):
    """Each back-end is killed at the next of the instructions that it executes from a kick on."""

    BATCH, DEPTH = 4, 8

    def next_child(self):
        step = next(self.steps, 0)
        return self.spawn(STEPPER, step, DEVICE, self.socket, self.journal, self.BATCH)

    def measure(self, ring_format):
        """How many instructions the first turns take."""
        self.steps = iter(())
        self.begin(ring_format, self.BATCH, self.DEPTH)
        self.run_until(lambda: self.sent >= self.DEPTH)
        self.end()
        return int(self.child.read_output())

    def test_each_step(self):
        for ring_format in FORMATS:
            with self.subTest(ring_format):
                total = self.measure(ring_format)
                steps = list({1 + i * (total - 1) // POINTS for i in range(POINTS)})
                random.Random(SEED).shuffle(steps)
                self.steps = iter(steps)
                self.begin(ring_format, self.BATCH, self.DEPTH)
                self.run_until(lambda steps=steps: self.n_kills >= len(steps))
                self.report(f"{ring_format}, {len(steps)} points of {total} instructions")
                self.end()


class AtAnyTime(Life):
    """Killed by the clock, under load."""

    def next_child(self):
        return self.spawn(DEVICE, self.socket, self.journal, self.batch)

    def kill(self):
        if self.n_kills < KILLS and self.in_use.wait(20):
            self.in_use.clear()
            time.sleep(self.rand.choice((0.001, 0.01, 0.05)) * self.rand.random())
            os.kill(self.child.pid, signal.SIGKILL)
        return super().kill()

    def test_under_load(self):
        self.rand = random.Random(SEED)
        for ring_format in FORMATS:
            for batch, depth in ((1, 32), (16, 64)):
                with self.subTest(f"{ring_format}, batches of {batch}"):
                    self.begin(ring_format, batch, depth)
                    self.run_until(lambda: self.n_kills >= KILLS)
                    self.report(f"{ring_format}, batches of {batch}, seed {SEED}")
                    self.end()


if __name__ == "__main__":
    unittest.main()
