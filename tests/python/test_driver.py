# SPDX-License-Identifier: BSD-3-Clause
"""The driver, on a device that a back-end in another thread serves."""

import time
import unittest

from devices import Driving, Vhost, expect_error, serve_echo
from gi.repository import Gio
from helpers import run_loop, wait_until
from peers import Row
from wire import Proto, word

ROW = Row("front-end, back-end", "this library",
          "buffers used out of order, full queues, time-outs, cancellation")

ERROR = Vhost.Error
RING = {"EVENT_IDX": Vhost.Feature.EVENT_IDX, "INDIRECT_DESC": Vhost.Feature.INDIRECT_DESC}


class Hold:
    """A device that keeps what it pops, until it is told to push."""

    def __init__(self):
        self.chains = []

    def serve(self, backend, queue):
        while (chain := queue.pop()) is not None:
            self.chains.append((queue, chain))

    def push(self, backend, *order):
        """Gives back what is held, each with its place in the first byte."""
        for place in order or range(len(self.chains)):
            queue, chain = self.chains[place]
            queue.push(chain, chain.write(0, bytes([place])))
            queue.notify()


class Requests(Driving):
    def check_echo(self, queue, *sizes):
        for size in sizes:
            data = bytes(range(256)) * (size // 256) + bytes(range(size % 256))
            self.assertEqual(bytes(queue.request(data, size, None)), data)

    def test_every_size_of_a_queue(self):
        self.serve()
        for size in (1, 2, 4, 64, 1024, 32768):
            with self.subTest(size):
                driver = self.start_driver(size=size)
                queue = driver.get_queue(0)
                self.assertEqual((queue.get_index(), queue.get_size()), (0, size))
                if size > 1:
                    self.check_echo(queue, 1, 1000, 1)
                else:
                    self.assertEqual(bytes(queue.request(b"x", 0, None)), b"")
                driver.stop(None)
                driver.get_device().close()

    def test_no_chain_is_longer_than_its_queue(self):
        """Not even in an indirect table. (VIRTIO 1.4, section 2.7.5.3.1)"""
        self.serve()
        queue = self.start_driver(size=1).get_queue(0)
        expect_error(self, ERROR.QUEUE_FULL, queue.request, b"two parts", 1, None)
        self.assertEqual(bytes(queue.request(b"one part", 0, None)), b"")

    def test_with_and_without_each_feature(self):
        self.serve()
        for taken in ((), ("EVENT_IDX",), ("INDIRECT_DESC",), tuple(RING)):
            with self.subTest(taken):
                wanted = word(Vhost.Feature.VERSION_1, *(RING[name] for name in RING
                                                         if name not in taken))
                driver = self.start_driver(size=4, wanted_features=wanted)
                self.assertEqual(driver.props.acked_features, wanted)
                for name, bit in RING.items():
                    self.assertEqual(driver.has_feature(bit), name not in taken)
                for _ in range(10):
                    self.check_echo(driver.get_queue(0), 1, 5000)
                driver.stop(None)
                driver.get_device().close()

    def test_with_each_set_of_protocol_features(self):
        self.serve()
        for taken in (Proto.REPLY_ACK, Proto.CONFIGURE_MEM_SLOTS, Proto.STATUS, Proto.BACKEND_REQ,
                      None):
            with self.subTest(taken):
                frontend = Vhost.UserFrontend()
                kept = frontend.props.protocol_features
                frontend.props.protocol_features = 0 if taken is None else kept & ~word(taken)
                frontend.open(self.socket, None)
                driver = self.start_driver(frontend=frontend)
                self.check_echo(driver.get_queue(0), 1, 5000)
                driver.stop(None)
                frontend.close()

    def test_no_more_features_than_the_device_offers(self):
        self.serve(set_up=lambda backend: backend.remove_feature(Vhost.Feature.EVENT_IDX))
        driver = self.start_driver(wanted_features=(1 << 64) - 1)
        self.assertEqual(driver.props.acked_features,
                         word(Vhost.Feature.VERSION_1, Vhost.Feature.INDIRECT_DESC,
                              Vhost.Feature.RING_PACKED))
        self.check_echo(driver.get_queue(0), 100)

    def test_big_buffers(self):
        self.serve()
        self.check_echo(self.start_driver().get_queue(0), 1 << 20, 16 << 20)

    def test_several_queues(self):
        hold = Hold()
        self.serve(n_queues=4, kick=lambda backend, queue: (
            hold.serve if queue.get_index() == 0 else serve_echo)(backend, queue))
        driver = self.start_driver(n_queues=3)
        stuck = driver.get_queue(0)
        stuck.add(None, 8)
        stuck.kick()
        for index in (2, 1, 2):
            self.check_echo(driver.get_queue(index), 64)
        self.assertEqual(stuck.get_n_outstanding(), 1)
        self.assertIsNone(driver.get_queue(3))
        self.served.call(hold.push)
        self.assertEqual(bytes(stuck.wait(None).get_data()), b"\0")

    def test_status_is_told(self):
        self.serve()
        driver = self.start_driver()
        status = Vhost.Status
        self.assertEqual(driver.get_device().get_status(None), status.ACKNOWLEDGE | status.DRIVER
                         | status.FEATURES_OK | status.DRIVER_OK)
        driver.stop(None)
        self.assertEqual(driver.get_device().get_status(None), 0)


class Many(Driving):
    """Several buffers at a time, on a device that decides when and in which order."""

    def setUp(self):
        super().setUp()
        self.hold = Hold()
        self.serve(kick=self.hold.serve, drain_timeout=50)

    def start(self, size=4):
        return self.start_driver(
            size=size, wanted_features=word(Vhost.Feature.VERSION_1)).get_queue(0)

    def wait_for_device(self, n):
        wait_until(lambda: len(self.hold.chains) == n, f"{n} chains at the device")

    def test_tokens_tell_which_is_which(self):
        queue = self.start()
        tokens = [queue.add(None, 1) for _ in range(4)]
        self.assertEqual(len(set(tokens)), 4)
        self.assertIsNone(queue.collect())
        queue.kick()
        self.wait_for_device(4)
        self.served.call(self.hold.push, 2, 0, 3, 1)
        found = [queue.wait(None) for _ in range(4)]
        self.assertEqual([buffer.get_token() for buffer in found],
                         [tokens[place] for place in (2, 0, 3, 1)])
        self.assertEqual([bytes(buffer.get_data()) for buffer in found],
                         [b"\2", b"\0", b"\3", b"\1"])

    def test_full_queue(self):
        queue = self.start()
        for _ in range(4):
            queue.add(None, 1)
        expect_error(self, ERROR.QUEUE_FULL, queue.add, None, 1)
        queue.kick()
        self.wait_for_device(4)
        self.served.call(self.hold.push)
        queue.wait(None)
        self.assertNotEqual(queue.add(None, 1), 0)

    def test_request_that_needs_two_descriptors(self):
        queue = self.start(size=1)
        expect_error(self, ERROR.QUEUE_FULL, queue.add, b"both", 1)
        self.assertNotEqual(queue.add(b"one", 0), 0)

    def test_request_leaves_the_answers_of_others_alone(self):
        queue = self.start()
        token = queue.add(None, 1)
        self.served.call(lambda backend: backend.connect("kick", lambda *_: (
            self.hold.push(backend, 0, 1) if len(self.hold.chains) == 2 else None)))
        self.assertEqual(bytes(queue.request(None, 1, None)), b"\1")
        buffer = queue.collect()
        self.assertEqual((buffer.get_token(), bytes(buffer.get_data())), (token, b"\0"))

    def test_time_out(self):
        queue = self.start()
        queue.set_timeout(50)
        started = time.monotonic()
        error = expect_error(self, ERROR.TIMED_OUT, queue.request, None, 8, None)
        self.assertTrue(0.04 < time.monotonic() - started < 2)
        self.assertIn("queue 0", error.message)
        expect_error(self, ERROR.TIMED_OUT, queue.wait, None)

    def test_answer_that_came_too_late_is_dropped(self):
        queue = self.start()
        queue.set_timeout(20)
        expect_error(self, ERROR.TIMED_OUT, queue.request, None, 8, None)
        self.served.call(self.hold.push)
        queue.set_timeout(5000)
        token = queue.add(None, 8)
        queue.kick()
        self.wait_for_device(2)
        self.served.call(self.hold.push, 1)
        self.assertEqual(queue.wait(None).get_token(), token)

    def test_cancelled_wait(self):
        queue = self.start()
        told = Gio.Cancellable()
        told.cancel()
        expect_error(self, Gio.IOErrorEnum.CANCELLED, queue.wait, told)

    def test_used_is_told_in_the_loop(self):
        queue = self.start()
        used = []
        queue.connect("used", lambda queue: used.append(queue.collect()))
        queue.start_watching()
        token = queue.add(None, 1)
        queue.kick()
        self.wait_for_device(1)
        self.assertEqual(used, [])
        self.served.call(self.hold.push)
        run_loop(lambda: used)
        self.assertEqual(used[0].get_token(), token)
        queue.stop_watching()
        ROW.seen()


class Memory(Driving):
    def setUp(self):
        super().setUp()
        self.serve(kick=None)

    def test_size_is_rounded_up(self):
        driver = self.start_driver(memory_size=(1 << 20) + 1)
        self.assertEqual(driver.get_memory().get_region(0).get_size(), (1 << 20) + 4096)

    def test_no_room_for_the_queues(self):
        frontend = self.open_frontend()
        driver = Vhost.Driver(device=frontend, memory_size=1 << 20)
        error = expect_error(self, ERROR.INVALID_VALUE, driver.start, 1, 32768, None)
        self.assertIn("1048576", error.message)

    def test_no_room_for_a_buffer_ever(self):
        queue = self.start_driver(memory_size=1 << 20).get_queue(0)
        expect_error(self, ERROR.INVALID_VALUE, queue.add, None, 1 << 20)
        expect_error(self, ERROR.INVALID_VALUE, queue.add, None, 1 << 62)

    def test_no_room_for_a_buffer_now(self):
        queue = self.start_driver(memory_size=1 << 20).get_queue(0)
        queue.add(None, 1 << 19)
        expect_error(self, ERROR.QUEUE_FULL, queue.add, None, 1 << 19)
        self.assertNotEqual(queue.add(None, 1 << 16), 0)

    def test_H089_no_back_end_can_cut_it_short(self):
        fd = self.start_driver().get_memory().get_region(0).peek_fd()
        with open(f"/proc/self/fd/{fd}", "rb+") as file:
            self.assertRaises(PermissionError, file.truncate, 0)


class Life(Driving):
    def test_stops_and_starts_again(self):
        self.serve()
        driver = Vhost.Driver(device=self.open_frontend())
        for size in (4, 256):
            driver.start(1, size, None)
            self.assertTrue(driver.is_started())
            self.assertEqual(bytes(driver.get_queue(0).request(b"abc", 3, None)), b"abc")
            driver.stop(None)
            self.assertFalse(driver.is_started())
            self.assertIsNone(driver.get_queue(0))
            self.assertIsNone(driver.get_memory())

    def test_a_queue_of_a_stopped_driver_says_so(self):
        self.serve()
        driver = self.start_driver()
        queue = driver.get_queue(0)
        driver.stop(None)
        for call, args in ((queue.add, (b"x", 1)), (queue.wait, (None,)),
                           (queue.request, (b"x", 1, None))):
            error = expect_error(self, ERROR.BAD_STATE, call, *args)
            self.assertIn("stopped", error.message)

    def test_stop_waits_for_what_is_in_flight(self):
        hold = Hold()
        self.serve(kick=hold.serve)
        driver = self.start_driver()
        driver.get_queue(0).add(None, 1)
        driver.get_queue(0).kick()
        self.served.call(lambda backend: backend.connect("queue-stopped", lambda *_: hold.push(
            backend)))
        driver.stop(None)
        self.assertEqual(len(hold.chains), 1)

    def test_stop_of_a_driver_that_never_started(self):
        driver = Vhost.Driver(device=Vhost.UserFrontend())
        self.assertTrue(driver.stop(None))
        self.assertTrue(driver.stop(None))

    def test_another_driver_on_the_same_device(self):
        self.serve()
        frontend = self.open_frontend()
        for _ in range(2):
            driver = self.start_driver(frontend=frontend)
            self.assertEqual(bytes(driver.get_queue(0).request(b"abc", 3, None)), b"abc")
            driver.stop(None)

    def test_wrong_numbers(self):
        """A split ring has a power of two of descriptors."""
        self.serve(n_queues=2, set_up=lambda backend: backend.remove_feature(
            Vhost.Feature.RING_PACKED))
        frontend = self.open_frontend()
        driver = Vhost.Driver(device=frontend)
        driver.props.wanted_features &= ~word(Vhost.Feature.RING_PACKED)  # which takes any number
        for n_queues, size in ((0, 4), (3, 4), (1, 0), (1, 3), (1, 65536)):
            expect_error(self, ERROR.INVALID_VALUE, driver.start, n_queues, size, None)
            self.assertFalse(driver.is_started())
        driver.start(2, 4, None)
        expect_error(self, ERROR.BAD_STATE, driver.start, 2, 4, None)
        self.assertTrue(driver.is_started())
        expect_error(self, ERROR.INVALID_VALUE, driver.get_queue(0).add, None, 0)
        driver.stop(None)

    def test_device_that_is_not_open(self):
        driver = Vhost.Driver(device=Vhost.UserFrontend())
        error = expect_error(self, ERROR.DISCONNECTED, driver.start, 1, 4, None)
        self.assertIn("not open", error.message)
        self.assertFalse(driver.is_started())

    def test_start_can_be_given_up(self):
        self.serve()
        told = Gio.Cancellable()
        told.cancel()
        driver = Vhost.Driver(device=self.open_frontend())
        expect_error(self, Gio.IOErrorEnum.CANCELLED, driver.start, 1, 4, told)
        self.assertFalse(driver.is_started())
        driver.start(1, 4, None)
        driver.stop(None)


class Disappearing(Driving):
    """The device goes."""

    def setUp(self):
        super().setUp()
        self.serve(kick=lambda backend, queue: backend.close())
        self.driver = self.start_driver()
        self.queue = self.driver.get_queue(0)

    def tearDown(self):
        self.driver = self.queue = None  # they hold memory and descriptors

    def assert_gone(self):
        self.assertFalse(self.driver.is_started())
        self.assertIsNone(self.driver.get_queue(0))
        expect_error(self, ERROR.DISCONNECTED, self.queue.add, b"x", 1)

    def test_while_an_answer_is_waited_for(self):
        started = time.monotonic()
        error = expect_error(self, ERROR.DISCONNECTED, self.queue.request, b"x", 1, None)
        self.assertLess(time.monotonic() - started, 2)
        self.assertTrue(Vhost.error_can_reconnect(error))

    def test_while_the_loop_runs(self):
        self.served.call(lambda backend: backend.close())
        run_loop(lambda: not self.driver.is_started())
        self.assert_gone()

    def test_before_a_stop(self):
        self.served.call(lambda backend: backend.close())
        expect_error(self, ERROR.DISCONNECTED, self.driver.stop, None)
        self.assert_gone()

    def test_comes_back(self):
        self.served.call(lambda backend: backend.close())
        run_loop(lambda: not self.driver.is_started())
        self.served.call(lambda backend: backend.listen(self.socket))
        self.driver.get_device().open(self.socket, None)
        self.driver.start(1, 16, None)
        self.assertTrue(self.driver.is_started())
        self.driver.stop(None)


if __name__ == "__main__":
    unittest.main()
