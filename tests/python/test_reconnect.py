# SPDX-License-Identifier: BSD-3-Clause
"""Back-ends that die and come back, front-ends that come later, and drivers that see a pause."""

import os
import socket
import threading
import time
import unittest

from devices import Events, Served, Session, Vhost, expect_error, serve_echo
from gi.repository import Gio, GLib
from helpers import TempDir, is_listening, run_loop
from rings import Memory
from wire import STATE, FakeBackend, Feature, Peer, Proto, Req, word


class Watch(list):
    """The signals of a front-end, in order; the error of the last is kept."""

    def __init__(self, frontend):
        super().__init__()
        self.error = None
        for name in ("reconnecting", "resuming", "reconnected", "config-changed"):
            frontend.connect(name, lambda _, name=name: self.append(name))
        frontend.connect("disconnected", self._end)

    def _end(self, _, error):
        self.append("disconnected")
        self.error = error


class Place(TempDir):
    """A test with a socket path at which back-ends come and go."""

    def setUp(self):
        super().setUp()
        self.socket = self.path("device.sock")

    def make(self, n_queues=1, kick=serve_echo, features=(), reach="listen", **properties):
        """A back-end in a thread, which must be stopped by hand or at the end."""
        def build():
            backend = Vhost.UserBackend(device_id=Vhost.DeviceId.ENTROPY, n_queues=n_queues,
                                        **properties)
            for bit in features:
                backend.add_feature(bit)
            if kick:
                backend.connect("kick", kick)
            return backend

        def come(backend):
            backend.listen(self.socket) if reach == "listen" else backend.open(self.socket, None)
        served = Served(build, come)
        served.start()
        self.addCleanup(served.stop)
        return served

    def open(self, **properties):
        frontend = Vhost.UserFrontend(**{"reconnect_interval": 5, "reconnect_timeout": 5000,
                                         **properties})
        self.addCleanup(frontend.close)
        frontend.open(self.socket, None)
        return frontend

    def drive(self, frontend, n_queues=1, size=16, **properties):
        driver = Vhost.Driver(device=frontend, **properties)
        driver.start(n_queues, size, None)
        return driver

    def assert_echo(self, driver, index=0):
        data = os.urandom(100)
        self.assertEqual(bytes(driver.get_queue(index).request(data, 100, None)), data)


class Frontend(Place):
    def test_goes_on_in_a_call(self):
        first = self.make(n_queues=2)
        frontend = self.open()
        watch = Watch(frontend)
        driver = self.drive(frontend, 2)
        for _ in range(5):
            self.assert_echo(driver, 1)
            first.stop()
            first = self.make(n_queues=2)
            self.assertNotEqual(frontend.get_features(None), 0)
            self.assert_echo(driver, 0)
        self.assertEqual(watch, ["reconnecting", "resuming", "reconnected"] * 5)
        driver.stop(None)

    def test_goes_on_in_a_wait(self):
        first = self.make()
        driver = self.drive(self.open())
        for _ in range(5):
            first.stop()
            first = self.make()
            self.assert_echo(driver)

    def test_goes_on_in_the_main_loop(self):
        first = self.make()
        frontend = self.open()
        watch = Watch(frontend)
        driver = self.drive(frontend)
        queue = driver.get_queue(0)
        got = []
        queue.connect("used", lambda queue: got.append(bytes(queue.collect().get_data())))
        queue.start_watching()
        first.stop()
        queue.add(b"later", 5)
        queue.kick()
        run_loop(lambda: "reconnecting" in watch)
        self.make()
        run_loop(lambda: got)
        self.assertEqual(got, [b"later"])
        self.assertEqual(watch, ["reconnecting", "resuming", "reconnected"])
        queue.stop_watching()

    def test_a_wait_ends_when_nobody_comes(self):
        served = self.make(kick=None)
        frontend = self.open(reconnect_timeout=100)
        watch = Watch(frontend)
        driver = self.drive(frontend)
        queue = driver.get_queue(0)
        queue.add(b"x", 1)
        queue.kick()
        served.stop()
        error = expect_error(self, Vhost.Error.DISCONNECTED, queue.wait, None)
        self.assertIn("100 ms", error.message)
        self.assertEqual(watch, ["reconnecting", "disconnected"])
        self.assertFalse(driver.is_started())
        self.assertFalse(frontend.is_open())

    def test_a_wait_of_ones_own_deadline(self):
        served = self.make(kick=None)
        driver = self.drive(self.open())
        queue = driver.get_queue(0)
        served.stop()
        queue.set_timeout(80)
        started = time.monotonic()
        expect_error(self, Vhost.Error.TIMED_OUT, queue.request, b"x", 1, None)
        self.assertLess(time.monotonic() - started, 1)
        queue.set_timeout(5000)
        self.make()
        self.assertEqual(bytes(queue.request(b"y", 1, None)), b"y")

    def test_a_wait_is_cancelled(self):
        served = self.make(kick=None)
        driver = self.drive(self.open())
        queue = driver.get_queue(0)
        served.stop()
        cancellable = Gio.Cancellable()
        cancellable.cancel()
        expect_error(self, Gio.IOErrorEnum.CANCELLED, queue.request, b"x", 1, cancellable)

    def test_without_the_property_a_wait_notices_at_once(self):
        served = self.make(kick=None)
        driver = self.drive(self.open(reconnect_interval=0))
        queue = driver.get_queue(0)
        queue.add(b"x", 1)
        queue.kick()
        served.stop()
        expect_error(self, Vhost.Error.DISCONNECTED, queue.wait, None)

    def test_a_back_end_that_breaks_the_protocol_is_not_looked_for(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.socket)
            listener.listen(1)
            served = Answering(self, listener)
            frontend = self.open(protocol_features=0)
            watch = Watch(frontend)
            served.stop()
            served.sock.send(b"unasked for")
            run_loop(lambda: watch)
            self.assertEqual(watch, ["disconnected"])
            self.assertTrue(watch.error.matches(Vhost.error_quark(), Vhost.Error.PROTOCOL))

    def test_an_opening_that_fails_says_why(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.socket)
            listener.listen(1)
            expect_error(self, Vhost.Error.TIMED_OUT, lambda: self.open(timeout=20))

    def test_a_back_end_that_leaves_over_its_first_region(self):
        def leave(peer, message):
            peer.sock.shutdown(socket.SHUT_RDWR)

        def serve():
            for odd in ({Req.ADD_MEM_REG: leave}, {}):
                fakes.append(FakeBackend(
                    listener.accept()[0], word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES),
                    word(Proto.REPLY_ACK, Proto.CONFIGURE_MEM_SLOTS), odd))
                self.addCleanup(fakes[-1].stop)

        fakes = []
        memory = Memory()
        self.addCleanup(memory.close)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.socket)
            listener.listen(2)
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            frontend = self.open()
            watch = Watch(frontend)
            region = Vhost.MemoryRegion.new(0x100000, memory.size, 0x100000, memory.fd, 0)
            self.assertTrue(frontend.set_memory(Vhost.Memory.new().add(region), None))
            thread.join()
        self.assertEqual(watch, ["reconnecting", "resuming", "reconnected"])
        self.assertEqual([len(fake.find(Req.ADD_MEM_REG)) for fake in fakes], [1, 1])

    def test_shrinking_is_told_and_final(self):
        mask = word(Proto.MQ, Proto.REPLY_ACK, Proto.STATUS, Proto.CONFIGURE_MEM_SLOTS)
        feature = 5
        cases = (({"features": (feature,), "n_queues": 2, "protocol_features": mask & ~word(
                      Proto.STATUS)}, "STATUS"),
                 ({"n_queues": 2, "protocol_features": mask}, "does not offer"),
                 ({"features": (feature,), "n_queues": 1, "protocol_features": mask}, "1 queues"))
        for less, words in cases:
            with self.subTest(words):
                first = self.make(features=(feature,), n_queues=2, protocol_features=mask)
                frontend = self.open()
                watch = Watch(frontend)
                driver = Vhost.Driver(device=frontend)
                driver.props.wanted_features |= 1 << feature
                driver.start(2, 8, None)
                first.stop()
                second = self.make(**less)
                error = expect_error(self, watch_code(words), driver.get_queue(0).request, b"x", 1,
                                     None)
                self.assertIn(words, error.message)
                self.assertEqual(watch[-1], "disconnected")
                self.assertFalse(frontend.is_open())
                frontend.close()
                second.stop()

    def test_packed_rings_are_not_offered_without_a_record(self):
        offered = Vhost.UserBackend().props.protocol_features
        self.make(protocol_features=offered & ~word(Proto.INFLIGHT_SHMFD))
        frontend = self.open(reconnect_interval=0)
        self.assertTrue(frontend.get_features(None) & word(Feature.RING_PACKED))
        frontend.close()
        frontend = self.open()
        self.assertFalse(frontend.get_features(None) & word(Feature.RING_PACKED))
        driver = self.drive(frontend)
        self.assertTrue(driver.props.wanted_features & word(Feature.RING_PACKED))
        self.assertFalse(driver.has_feature(Feature.RING_PACKED))
        self.assert_echo(driver)

    def test_a_packed_ring_that_was_started_all_the_same_ends_it(self):
        first = self.make()
        frontend = self.open()
        watch = Watch(frontend)
        frontend.set_features(word(Feature.VERSION_1, Feature.RING_PACKED), None)
        frontend.set_vring_kick(0, -1, None)
        first.stop()
        self.make()
        error = expect_error(self, Vhost.Error.BAD_STATE, frontend.get_features, None)
        self.assertIn("a packed ring cannot go on", error.message)
        self.assertEqual(watch, ["reconnecting", "disconnected"])

    def test_a_wait_without_a_back_end_looks_once(self):
        self.make()
        frontend = self.open()
        frontend.close()
        mine, its = socket.socketpair()
        self.addCleanup(mine.close)
        self.addCleanup(its.close)
        started = time.monotonic()
        expect_error(self, Vhost.Error.DISCONNECTED, frontend.wait_readable, mine.fileno(), 5000,
                     None)
        self.assertLess(time.monotonic() - started, 1)
        its.send(b"x")
        self.assertTrue(frontend.wait_readable(mine.fileno(), 5000, None))

    def test_more_is_welcome(self):
        first = self.make(protocol_features=word(Proto.REPLY_ACK))
        frontend = self.open()
        driver = self.drive(frontend)
        first.stop()
        self.make(n_queues=4, features=(5,))
        self.assert_echo(driver)
        self.assertEqual(frontend.props.acked_protocol_features, word(Proto.REPLY_ACK))

    def test_closed_while_reconnecting(self):
        served = self.make()
        frontend = self.open()
        watch = Watch(frontend)
        frontend.connect("reconnecting", lambda frontend: frontend.close())
        driver = self.drive(frontend)
        served.stop()
        expect_error(self, Vhost.Error.DISCONNECTED, driver.get_queue(0).request, b"x", 1, None)
        self.assertEqual(watch, ["reconnecting"])

    def test_used_but_not_notified(self):
        """The old back-end used a buffer and left before it said so."""
        def push_only(backend, queue):
            while (chain := queue.pop()) is not None:
                queue.push(chain, chain.write(0, b"done"))
        first = self.make(kick=push_only)
        driver = self.drive(self.open())
        queue = driver.get_queue(0)
        queue.add(None, 4)
        queue.kick()
        first.call(lambda backend: None)
        first.stop()
        self.make(kick=None)
        self.assertEqual(bytes(queue.wait(None).get_data()), b"done")

    def test_nothing_is_lost_out_of_order(self):
        """The old back-end used the second of three buffers only; the other two come again."""
        held = []

        def second_only(backend, queue):
            while (chain := queue.pop()) is not None:
                held.append(chain)
            if len(held) == 3:
                queue.push(held[1], held[1].write(0, b"old"))
                queue.notify()
                held.clear()
        first = self.make(kick=second_only)
        driver = self.drive(self.open())
        queue = driver.get_queue(0)
        tokens = [queue.add(name, 3) for name in (b"one", b"two", b"six")]
        queue.kick()
        found = {queue_pop(queue)}
        first.stop()
        self.make()
        found |= {queue_pop(queue), queue_pop(queue)}
        self.assertEqual(found, {(tokens[0], b"one"), (tokens[1], b"old"), (tokens[2], b"six")})
        self.assert_echo(driver)


def watch_code(words):
    return Vhost.Error.INVALID_VALUE if "queues" in words else Vhost.Error.NOT_NEGOTIATED


def queue_pop(queue):
    buffer = queue.wait(None)
    return buffer.get_token(), bytes(buffer.get_data())


class Answering:
    """A back-end without protocol features, spoken by hand in a thread until hands are shaken."""

    def __init__(self, test, listener):
        self._listener = listener
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        self.sock = None
        test.addCleanup(lambda: self.sock and self.sock.close())

    def _run(self):
        self.sock, _ = self._listener.accept()
        peer = Peer(self.sock)
        peer.receive()
        peer.answer(Req.GET_FEATURES, (1 << 32).to_bytes(8, "little"))
        assert peer.receive().request == Req.SET_OWNER

    def stop(self):
        self._thread.join()


class Listening(Place):
    def test_takes_a_back_end_that_connects(self):
        frontend = Vhost.UserFrontend()
        self.addCleanup(frontend.close)
        frontend.listen(self.socket)
        self.assertTrue(is_listening(self.socket))
        self.make(reach="open")
        frontend.accept(None)
        driver = self.drive(frontend)
        self.assert_echo(driver)
        expect_error(self, Vhost.Error.BAD_STATE, frontend.accept, None)
        expect_error(self, Vhost.Error.BAD_STATE, frontend.open, self.socket, None)
        frontend.close()
        self.assertFalse(os.path.lexists(self.socket))

    def test_one_after_the_other(self):
        frontend = Vhost.UserFrontend(reconnect_interval=5)
        self.addCleanup(frontend.close)
        frontend.listen(self.socket)
        first = self.make(reach="open")
        frontend.accept(None)
        driver = self.drive(frontend)
        for _ in range(3):
            self.assert_echo(driver)
            first.stop()
            first = self.make(reach="open")

    def test_nobody_comes(self):
        frontend = Vhost.UserFrontend(timeout=30)
        self.addCleanup(frontend.close)
        expect_error(self, Vhost.Error.BAD_STATE, frontend.accept, None)
        frontend.listen(self.socket)
        expect_error(self, Vhost.Error.TIMED_OUT, frontend.accept, None)
        expect_error(self, Vhost.Error.BAD_STATE, frontend.listen, self.path("other"))


class Backend(Place):
    def setUp(self):
        super().setUp()
        self.backend = Vhost.UserBackend(device_id=Vhost.DeviceId.ENTROPY, n_queues=1,
                                         reconnect_interval=5)
        self.addCleanup(self.backend.close)
        self.events = Events(self.backend)

    def accept(self, listener):
        run_loop(self.backend.is_connected)
        sock, _ = listener.accept()
        peer = Peer(sock, pump=run_loop)
        self.addCleanup(peer.close)
        return peer

    def listen(self):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.socket)
        listener.listen(1)
        return listener

    def test_waits_for_the_front_end_and_comes_back(self):
        self.backend.open(self.socket, None)
        self.assertFalse(self.backend.is_connected())
        expect_error(self, Vhost.Error.BAD_STATE, self.backend.open, self.socket, None)
        listener = self.listen()
        for _ in range(3):
            peer = self.accept(listener)
            self.assertNotEqual(peer.ask_u64(Req.GET_FEATURES), 0)
            peer.close()
            run_loop(lambda: not self.backend.is_connected())
        self.assertEqual(self.events.names().count("disconnected"), 3)

    def test_off_is_off(self):
        self.backend.props.reconnect_interval = 0
        expect_error(self, Gio.IOErrorEnum.NOT_FOUND, self.backend.open, self.socket, None)
        listener = self.listen()
        self.backend.open(self.socket, None)
        peer = self.accept(listener)
        peer.close()
        run_loop(lambda: not self.backend.is_connected())
        spin(0.05)
        self.assertFalse(self.backend.is_connected())
        self.backend.open(self.socket, None)
        self.assertTrue(self.backend.is_connected())

    def test_close_ends_it(self):
        self.backend.open(self.socket, None)
        self.backend.close()
        self.listen()
        spin(0.05)
        self.assertFalse(self.backend.is_connected())


def spin(seconds):
    """Runs the main loop for a while."""
    context, late = GLib.MainContext.default(), []
    GLib.timeout_add(int(seconds * 1000), lambda: late.append(True) and False)
    while not late:
        context.iteration(True)


class Paused(Session):
    def test_who_leaves_while_a_queue_drains_is_noticed(self):
        self.begin_ring(serve=None)
        held = []
        self.backend.connect("kick", lambda _, queue: held.append(queue.pop()))
        self.offer_room(self.ring)
        run_loop(lambda: held)
        self.peer.send(Req.GET_VRING_BASE, STATE.pack(0, 0))
        spin(0.05)
        self.assertTrue(self.backend.is_connected())
        self.peer.send(Req.GET_FEATURES)
        self.peer.close()
        run_loop(lambda: not self.backend.is_connected(), deadline=1)
        self.assertIn("disconnected", self.events.names())
        self.assertEqual(self.events.take("device-failed"), [])


if __name__ == "__main__":
    unittest.main()
