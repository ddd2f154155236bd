# SPDX-License-Identifier: BSD-3-Clause
"""Queues served by workers, on both ring formats: handlers run on the thread of the worker, signals
stay where they were, and nothing is lost over stops.
"""

import threading
import unittest

from devices import Driving, Vhost, expect_error
from helpers import wait_until

N_QUEUES = 2
PACKED = 1 << Vhost.Feature.RING_PACKED
SIGNALS = ("queue-started", "queue-stopped", "device-failed")


class Workers(Driving):
    """A back-end with a thread, a worker for each of its queues, and a driver on this thread."""

    def setUp(self):
        super().setUp()
        self.threads = [set() for _ in range(N_QUEUES)]
        self.said = []
        self.serve(n_queues=N_QUEUES, kick=self.on_kick, set_up=self.bind)

    def bind(self, backend):
        for index in range(N_QUEUES):
            worker = Vhost.Worker()
            worker.start()
            backend.get_queue(index).set_worker(worker)
        for name in SIGNALS:
            backend.connect(name, self.on_signal, name)
        self.control = threading.get_ident()

    def on_kick(self, _backend, queue):
        self.threads[queue.get_index()].add(threading.get_ident())
        while (chain := queue.pop()) is not None:
            text = bytes(chain.read(0, chain.get_readable_size()))
            queue.push(chain, chain.write(0, text[::-1]))
        queue.notify()

    def on_signal(self, _backend, _what, name):
        self.said.append((name, threading.get_ident()))

    def check(self, wanted):
        for _ in range(3):
            frontend = self.open_frontend()
            driver = self.start_driver(N_QUEUES, 64, frontend)
            self.assertEqual(driver.has_feature(Vhost.Feature.RING_PACKED), bool(wanted & PACKED))
            for n in range(100):
                for index in range(N_QUEUES):
                    text = b"%d of queue %d" % (n, index)
                    answer = driver.get_queue(index).request(text, len(text), None)
                    self.assertEqual(bytes(answer), text[::-1])
            driver.stop(None)
            frontend.close()
        self.check_threads()

    def check_threads(self):
        for threads in self.threads:
            self.assertEqual(len(threads), 1, "one thread serves a queue")
            self.assertNotIn(self.control, threads)
        self.assertTrue(self.threads[0].isdisjoint(self.threads[1]))
        self.assertEqual(set(self.said), {(name, self.control) for name in SIGNALS[:2]})

    def start_driver(self, *arguments):
        return super().start_driver(*arguments, wanted_features=self.wanted)

    def test_split(self):
        self.wanted = Vhost.Driver().props.wanted_features & ~PACKED
        self.check(self.wanted)

    def test_packed(self):
        self.wanted = Vhost.Driver().props.wanted_features | PACKED
        self.check(self.wanted)


class Api(unittest.TestCase):
    def test_defaults(self):
        worker = Vhost.Worker()
        self.assertEqual((worker.props.cpu, worker.props.poll_time), (-1, 32))
        self.assertFalse(worker.is_running())

    def test_invoke_runs_on_the_thread_and_lets_go(self):
        worker = Vhost.Worker(poll_time=0)
        worker.start()
        seen = []
        worker.invoke(lambda text: seen.append((text, threading.get_ident())), "hello")
        wait_until(lambda: seen, "the call")
        (text, thread), = seen
        self.assertEqual(text, "hello")
        self.assertNotEqual(thread, threading.get_ident())

    def test_refused(self):
        queue = Vhost.UserBackend(device_id=Vhost.DeviceId.ENTROPY, n_queues=1).get_queue(0)
        error = expect_error(self, Vhost.Error.BAD_STATE, queue.set_worker, Vhost.Worker())
        self.assertIn("queue 0 cannot be served by a worker that was not started", error.message)
        worker = Vhost.Worker()
        worker.start()
        error = expect_error(self, Vhost.Error.BAD_STATE, worker.start)
        self.assertIn("runs already", error.message)


if __name__ == "__main__":
    unittest.main()
