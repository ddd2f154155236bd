# SPDX-License-Identifier: BSD-3-Clause
"""Requests in flight when their back-end is killed: none is lost, none is served after it was
completed. And the messages that hand the record over.
"""

import collections
import mmap
import os
import random
import signal
import struct
import time
import unittest

from devices import Driving, Session, Vhost, expect_error
from gi.repository import GLib
from helpers import wait_for_socket
from peers import Row
from wire import INFLIGHT, STATE, Feature, Proto, Req, word

ROW = Row("front-end, back-end", "this library",
          "in-flight areas: a back-end killed at each step under a driver")

ERROR = Vhost.Error
FORMATS = ("split", "packed")


class Killed(Driving):
    """Requests are numbers; the back-end is another process, and another one after each kill."""

    DEPTH = 8
    SIZE = 16

    def begin(self, ring_format):
        packed = ring_format == "packed"
        self.journal = self.path(f"{ring_format}.journal")
        self.socket = self.path(f"{ring_format}.sock")
        self.n_kills = 0
        self.spawn_device(0)
        self.frontend = Vhost.UserFrontend()
        self.frontend.open(self.socket, None)
        self.addCleanup(self.frontend.close)
        self.driver = Vhost.Driver(device=self.frontend)
        if not packed:
            self.driver.props.wanted_features &= ~(1 << Vhost.Feature.RING_PACKED)
        self.driver.start(1, self.SIZE, None)
        self.assertEqual(self.driver.has_feature(Vhost.Feature.RING_PACKED), packed)
        self.queue = self.driver.get_queue(0)
        self.waiting = {}  # token: number
        self.completed = collections.Counter()

    def spawn_device(self, last_step):
        self.child = self.spawn_python("tests/python/dying_backend.py", self.socket, self.journal,
                                       last_step)
        wait_for_socket(self.socket, child=self.child)

    def come_back(self, last_step):
        """The back-end was killed: what it completed is taken, then another one goes on."""
        self.assertEqual(self.child.wait(), -signal.SIGKILL, self.child.read_output())
        self.n_kills += 1
        self.collect()
        with open(self.journal, "a", encoding="ascii") as file:
            file.writelines(f"seen {number}\n" for number in self.completed)
        self.spawn_device(last_step)
        try:
            self.frontend.open(self.socket, None)
            self.driver.resume(None)
        except GLib.Error as error:  # killed again before it had even said that it is there
            if not error.matches(Vhost.error_quark(), ERROR.DISCONNECTED):
                raise

    def add(self, number):
        token = self.queue.add(struct.pack("<I", number), 4)
        self.waiting[token] = number

    def collect(self):
        while (buffer := self.queue.collect()) is not None:
            number = self.waiting.pop(buffer.get_token())
            self.assertEqual(struct.unpack("<I", buffer.get_data()), (number,))
            self.completed[number] += 1

    def work(self, count, next_step):
        """Sends that many numbers; `next_step` is asked for each new process."""
        number, end = 0, time.monotonic() + 60
        while len(self.completed) < count:
            self.assertLess(time.monotonic(), end, f"{self.waiting} never came back")
            while number < count and len(self.waiting) < self.DEPTH and self.driver.is_started():
                self.add(number)
                number += 1
            self.queue.kick()
            self.collect()
            if not GLib.MainContext.default().iteration(False):
                time.sleep(0.0005)
            if not self.driver.is_started():
                self.come_back(next_step())
        return number

    def check(self, count):
        self.assertEqual(self.completed, collections.Counter(range(count)))
        done, finished = collections.Counter(), set()
        with open(self.journal, encoding="ascii") as file:
            for line in file:
                what, number = line.split()
                if what == "seen":
                    finished.add(int(number))
                else:
                    self.assertNotIn(int(number), finished, f"{what}: a second time")
                done[int(number)] += what == "do"
        self.assertEqual(set(done), set(range(count)))
        # What was done and not completed is done again: at most a batch for each kill.
        self.assertLessEqual(done.total() - count, 4 * self.n_kills)
        self.driver.stop(None)
        self.driver = self.queue = self.frontend = None

    def test_killed_at_each_step(self):
        for ring_format in FORMATS:
            with self.subTest(ring_format):
                steps = iter([*range(1, 26), 0])
                self.begin(ring_format)
                self.child.stop(how=signal.SIGKILL)
                self.work(400, lambda steps=steps: next(steps, 0))
                self.assertEqual(self.n_kills, 26)
                self.check(400)

    def test_killed_at_random_steps(self):
        rand = random.Random(1)
        for ring_format in FORMATS:
            with self.subTest(ring_format):
                self.begin(ring_format)
                self.child.stop(how=signal.SIGKILL)
                self.work(600, lambda: rand.randrange(1, 150) if self.n_kills < 15 else 0)
                self.check(600)


class Resume(Driving):
    def test_nothing_to_resume(self):
        self.serve()
        driver = self.start_driver()
        expect_error(self, ERROR.BAD_STATE, driver.resume, None)
        self.assertTrue(driver.is_started())
        self.assertEqual(driver.get_queue(0).request(b"still", 5, None), b"still")

    def test_suspended_and_started_anew(self):
        self.serve()
        driver = self.start_driver()
        frontend = driver.get_device()
        queue = driver.get_queue(0)
        self.served.stop()
        while driver.is_started():
            GLib.MainContext.default().iteration(True)
        expect_error(self, ERROR.DISCONNECTED, queue.request, b"gone", 4, None)
        self.serve()
        frontend.open(self.socket, None)
        driver.resume(None)
        self.assertEqual(driver.get_queue(0), queue)
        self.assertEqual(queue.request(b"again", 5, None), b"again")
        driver.stop(None)
        driver.start(1, 16, None)
        self.assertEqual(driver.get_queue(0).request(b"anew", 4, None), b"anew")
        ROW.seen()


class Messages(Session):
    n_queues = 2

    def ask_area(self, n_queues=2, size=8):
        self.peer.send(Req.GET_INFLIGHT_FD, INFLIGHT.pack(0, 0, n_queues, size))
        message = self.peer.receive()
        for fd in message.fds:
            self.addCleanup(os.close, fd)
        return INFLIGHT.unpack(message.body), message.fds

    def give_area(self, size, offset, n_queues, queue_size, length=1 << 16):
        fd = os.memfd_create("area")
        self.addCleanup(os.close, fd)
        os.ftruncate(fd, length)
        return self.peer.ack(Req.SET_INFLIGHT_FD,
                             INFLIGHT.pack(size, offset, n_queues, queue_size), [fd])

    def test_area_is_new_and_sealed(self):
        for features, stride in ((0, 192), (word(Feature.RING_PACKED), 320)):
            self.peer.negotiate(features)
            area, (fd,) = self.ask_area()
            self.assertEqual(area, (2 * stride, 0, 2, 8))
            with self.assertRaises(PermissionError):
                os.ftruncate(fd, 0)
            with mmap.mmap(fd, 2 * stride) as content:
                self.assertEqual(content[:], bytes(2 * stride))
            self.peer = self.reopen()

    def reopen(self):
        self.backend.close()
        self.peer.close()
        return self.open_pair(self.backend)

    def test_h073_more_than_there_can_be(self):
        self.peer.negotiate()
        for n_queues, size in ((65535, 65535), (2, 65535), (3, 8), (0, 8), (2, 0)):
            self.assertEqual(self.ask_area(n_queues, size), ((0, 0, 0, 0), []))
            self.assert_refused(Req.GET_INFLIGHT_FD, str(size if n_queues in (0, 2) else n_queues))

    def test_h074_area_that_does_not_fit(self):
        self.peer.negotiate()
        for area in ((383, 0, 2, 8), (384, 0, 2, 0), (384, 0, 0, 8), (384, 0, 65535, 8),
                     (384, 4, 2, 8), (384, 65536 - 376, 2, 8), (384, (1 << 64) - 8, 2, 8),
                     (1 << 63, 1 << 63, 2, 8), (384, 0, 2, 65535)):
            self.assertNotEqual(self.give_area(*area), 0, area)
            self.assert_refused(Req.SET_INFLIGHT_FD)
        self.assertEqual(self.give_area(384, 64, 2, 8), 0)

    def test_not_while_queues_run(self):
        self.begin_ring(serve=None)
        self.assertNotEqual(self.give_area(384, 0, 2, 8), 0)
        self.assert_refused(Req.SET_INFLIGHT_FD, "running")

    def test_shrunk_area_breaks_the_queue_alone(self):
        self.begin()
        fd = os.memfd_create("area")
        self.addCleanup(os.close, fd)
        os.ftruncate(fd, 4096)
        self.peer.do(Req.SET_INFLIGHT_FD, INFLIGHT.pack(384, 0, 2, 8), [fd])
        ring = self.make_ring(self.memory)
        ring.attach(self.peer)
        self.assert_served(ring)
        os.ftruncate(fd, 0)
        self.offer_room(ring, head=1)
        while "device-failed" not in self.events.names():
            GLib.MainContext.default().iteration(True)
        self.assertEqual(self.peer.ask_base(0) in (1, 2), True)


class LeftInFlight(Session):
    """GET_VRING_BASE_INFLIGHT: a queue stops at once, and goes on with what it had."""

    def make_backend(self):
        offered = Vhost.UserBackend().props.protocol_features
        return super().make_backend(
            protocol_features=offered | word(Proto.GET_VRING_BASE_INFLIGHT))

    def test_stop_does_not_wait(self):
        chains = []
        self.begin(serve=lambda _, queue: chains.extend(iter(queue.pop, None)))
        self.peer.send(Req.GET_INFLIGHT_FD, INFLIGHT.pack(0, 0, 1, 8))
        for fd in self.peer.receive().fds:
            os.close(fd)
        ring = self.make_ring(self.memory)
        ring.attach(self.peer)
        for head in (0, 1):
            self.offer_room(ring, head=head)
        while len(chains) < 2:
            GLib.MainContext.default().iteration(True)
        self.assertEqual(self.peer.ask_base(0), 2)
        self.assertFalse(any(chain.is_alive() for chain in chains))
        del chains[:]
        ring.give_fds(self.peer)
        while len(chains) < 2:
            GLib.MainContext.default().iteration(True)
        self.assertEqual([chain.get_head() for chain in chains], [0, 1])
        for chain in chains:
            self.backend.get_queue(0).push(chain, 0)
        self.assertEqual(ring.used(), [(0, 0), (1, 0)])
        self.assertEqual(STATE.unpack(self.peer.ask(Req.GET_VRING_BASE, STATE.pack(0, 0))), (0, 2))


if __name__ == "__main__":
    unittest.main()
