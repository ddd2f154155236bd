# SPDX-License-Identifier: BSD-3-Clause
"""What a back-end is told that comes in the place of another one, in which order, and when."""

import os
import socket
import threading
import time
import unittest

from devices import Served, Vhost, expect_error, serve_echo
from helpers import run_idle, run_loop
from test_reconnect import Place, Watch
from wire import STATE, U64, FakeBackend, Feature, Proto, Req, word

INTERFACE = word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES)
MTU_FEATURE = 3
PACKED = word(Feature.RING_PACKED)


class Packed(Place):
    """Packed rings go on because what is in flight is recorded."""

    def test_goes_on(self):
        first = self.make(n_queues=2)
        frontend = self.open()
        watch = Watch(frontend)
        self.assertTrue(frontend.get_features(None) & PACKED)
        driver = self.drive(frontend, 2)
        self.assertTrue(driver.has_feature(Feature.RING_PACKED))
        for _ in range(5):
            for index in (0, 1, 1):
                self.assert_echo(driver, index)
            first.stop()
            first = self.make(n_queues=2)
            self.assert_echo(driver, 0)
        self.assertEqual(watch, ["reconnecting", "resuming", "reconnected"] * 5)
        driver.stop(None)

    def test_what_was_fetched_comes_again_and_nothing_else(self):
        for features in (0, PACKED):
            with self.subTest(features=features):
                self.assert_recovered(features)

    def assert_recovered(self, features):
        held, served = [], []

        def second_only(backend, queue):
            while (chain := queue.pop()) is not None:
                held.append(chain)
            if len(held) == 3:
                queue.push(held[1], held[1].write(0, b"old"))
                queue.notify()
                held.clear()

        def note(backend, queue):
            while (chain := queue.pop()) is not None:
                served.append(bytes(chain.read(0, 3)))
                queue.push(chain, chain.write(0, served[-1]))
            queue.notify()
        first = self.make(kick=second_only)
        frontend = self.open()
        driver = Vhost.Driver(device=frontend)
        driver.props.wanted_features &= ~PACKED | features
        driver.start(1, 16, None)
        queue = driver.get_queue(0)
        tokens = [queue.add(name, 3) for name in (b"one", b"two", b"six")]
        queue.kick()
        self.assertEqual(queue.wait(None).get_token(), tokens[1])
        first.stop()
        second = self.make(kick=note)
        self.assertEqual([queue.wait(None).get_token() for _ in range(2)], [tokens[0], tokens[2]])
        self.assertEqual(served, [b"one", b"six"])
        driver.stop(None)
        frontend.close()
        second.stop()

    def test_stopped_and_started_anew(self):
        first = self.make()
        driver = self.drive(self.open())
        self.assert_echo(driver)
        driver.stop(None)
        first.stop()
        self.make()
        driver.start(1, 8, None)
        self.assertTrue(driver.has_feature(Feature.RING_PACKED))
        self.assert_echo(driver)

    def test_resumed_by_hand_when_nobody_came_in_time(self):
        for features in (0, PACKED):
            with self.subTest(features=features):
                first = self.make(kick=None)
                frontend = self.open(reconnect_timeout=20)
                driver = Vhost.Driver(device=frontend)
                driver.props.wanted_features &= ~PACKED | features
                driver.start(1, 16, None)
                queue = driver.get_queue(0)
                queue.add(b"late", 4)
                queue.kick()
                first.stop()
                expect_error(self, Vhost.Error.DISCONNECTED, queue.wait, None)
                second = self.make()
                frontend.open(self.socket, None)
                driver.resume(None)
                self.assertEqual(bytes(queue.wait(None).get_data()), b"late")
                driver.stop(None)
                frontend.close()
                second.stop()


class Resumed(Place):
    def test_out_of_order_and_without_a_record(self):
        """Resumed by hand: what was used is not repeated, and the rest is not passed over."""
        held, served = [], []

        def last_only(backend, queue):
            while (chain := queue.pop()) is not None:
                held.append(chain)
            if len(held) == 3:
                queue.push(held[2], 0)
                queue.notify()
                held.clear()

        def note(backend, queue):
            while (chain := queue.pop()) is not None:
                served.append(bytes(chain.read(0, 3)))
                queue.push(chain, 0)
            queue.notify()
        mask = word(Proto.REPLY_ACK)
        first = self.make(kick=last_only, protocol_features=mask)
        frontend = self.open(reconnect_interval=0)
        driver = Vhost.Driver(device=frontend)
        driver.props.wanted_features &= ~PACKED
        driver.start(1, 16, None)
        queue = driver.get_queue(0)
        tokens = [queue.add(name, 0) for name in (b"one", b"two", b"six")]
        queue.kick()
        self.assertEqual(queue.wait(None).get_token(), tokens[2])
        first.stop()
        run_loop(lambda: not driver.is_started())
        self.make(kick=note, protocol_features=mask)
        frontend.open(self.socket, None)
        driver.resume(None)
        self.assertEqual([queue.wait(None).get_token() for _ in range(2)], tokens[:2])
        self.assertEqual(served, [b"one", b"two"])


class Told(Place):
    """Back-ends by hand, one after the other."""

    def setUp(self):
        super().setUp()
        self.listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.listener.close)
        self.listener.bind(self.socket)
        self.listener.listen(4)
        self.fakes = []

    def come(self, features=0, protocol=0, odd=None):
        """The next one to connect is served so."""
        def accept():
            fake = FakeBackend(self.listener.accept()[0], INTERFACE | features,
                               word(Proto.REPLY_ACK) | protocol, odd)
            self.fakes.append(fake)
        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        return thread

    def stop_all(self):
        for fake in self.fakes:
            fake.stop()

    def begin(self, **options):
        thread = self.come(**options)
        frontend = self.open()
        thread.join()
        self.addCleanup(self.stop_all)
        self.watch = Watch(frontend)
        return frontend

    def replace(self, frontend, **options):
        """The back-end leaves; returns the names of what the next one is told."""
        thread = self.come(**options)
        self.fakes[-1].peer.sock.shutdown(socket.SHUT_RDWR)
        run_loop(lambda: "reconnected" in self.watch or "disconnected" in self.watch)
        thread.join()
        self.watch.clear()
        return self.fakes[-1].names()

    def test_mtu_before_the_features(self):
        options = {"features": word(MTU_FEATURE), "protocol": word(Proto.MTU)}
        frontend = self.begin(**options)
        frontend.set_mtu(1400, None)
        frontend.set_mtu(1500, None)
        frontend.set_features(word(Feature.VERSION_1, MTU_FEATURE), None)
        names = self.replace(frontend, **options)
        self.assertLess(names.index("NET_SET_MTU"), names.index("SET_FEATURES"))
        mtu, = self.fakes[-1].find(Req.NET_SET_MTU)
        self.assertEqual(U64.unpack(mtu.body), (1500,))

    def test_byte_order_of_a_ring(self):
        options = {"protocol": word(Proto.CROSS_ENDIAN)}
        frontend = self.begin(**options)
        frontend.set_features(0, None)
        frontend.set_vring_endian(1, True, None)
        self.replace(frontend, **options)
        endian, = self.fakes[-1].find(Req.SET_VRING_ENDIAN)
        self.assertEqual(STATE.unpack(endian.body), (1, 1))

    def test_configuration(self):
        options = {"protocol": word(Proto.CONFIG, Proto.STATUS)}
        frontend = self.begin(**options)
        frontend.set_status(7, None)
        for offset, data in ((0, b"ab"), (32, b"\1"), (32, b"\0"), (0, b"xyz"), (1, b"Y")):
            frontend.set_config(offset, data, None)
        for _ in range(2):
            self.replace(frontend, **options)
            self.assertEqual([message.body[12:] for message in self.fakes[-1].find(Req.SET_CONFIG)],
                             [b"\0", b"xyz", b"Y"])
        frontend.set_status(0, None)
        self.assertNotIn("SET_CONFIG", self.replace(frontend, **options))

    def test_area_after_the_features_and_before_the_rings(self):
        area = []

        def make(peer, message):
            area.append(os.memfd_create("area"))
            peer.answer(message.request, U64.pack(4096) + message.body[8:], [area[0]])
        options = {"protocol": word(Proto.INFLIGHT_SHMFD), "odd": {Req.GET_INFLIGHT_FD: make}}
        frontend = self.begin(**options)
        frontend.set_features(word(Feature.VERSION_1), None)
        frontend.request_inflight(1, 8, None)
        frontend.set_vring_num(0, 8, None)
        for _ in range(2):
            names = self.replace(frontend, **options)
            self.assertNotIn("GET_INFLIGHT_FD", names)
            self.assertLess(names.index("SET_FEATURES"), names.index("SET_INFLIGHT_FD"))
            self.assertLess(names.index("SET_INFLIGHT_FD"), names.index("SET_VRING_NUM"))
            given, = self.fakes[-1].find(Req.SET_INFLIGHT_FD)
            self.assertEqual(os.fstat(given.fds[0]).st_ino, os.fstat(area[0]).st_ino)
        frontend.drop_inflight()
        self.assertNotIn("SET_INFLIGHT_FD", self.replace(frontend, **options))
        os.close(area[0])

    def test_one_that_hangs_is_waited_for(self):
        """It still has the memory: nobody else gets it before the first has closed its socket."""
        hung = []

        def hang(peer, message):
            hung.append(True)
        thread = self.come(odd={Req.GET_STATUS: hang}, protocol=word(Proto.STATUS))
        frontend = self.open(timeout=50)
        thread.join()
        self.addCleanup(self.stop_all)
        self.watch = Watch(frontend)
        thread = self.come(protocol=word(Proto.STATUS))
        done = []
        first = self.fakes[0]
        timer = threading.Timer(0.3, lambda: done.append(len(self.fakes)) or
                                first.peer.sock.shutdown(socket.SHUT_RDWR))
        timer.start()
        frontend.get_status(None)
        timer.join()
        thread.join()
        self.assertTrue(hung)
        self.assertEqual(done, [1], "a second one was there before the first had gone")
        self.assertEqual(self.watch, ["reconnecting", "resuming", "reconnected"])

    def test_one_that_hangs_for_ever(self):
        options = {"odd": {Req.GET_STATUS: lambda peer, message: None},
                   "protocol": word(Proto.STATUS)}
        thread = self.come(**options)
        frontend = self.open(timeout=50, reconnect_timeout=150)
        thread.join()
        self.addCleanup(self.stop_all)
        error = expect_error(self, Vhost.Error.DISCONNECTED, frontend.get_status, None)
        self.assertIn("has not closed its socket", error.message)
        frontend.close()
        run_idle()
        self.assertEqual(len(self.fakes), 1)


class SharedMemory(Place):
    SIZE = 1 << 16

    def make_sharing(self, size=SIZE):
        def build():
            backend = Vhost.UserBackend(device_id=Vhost.DeviceId.FS, n_queues=1)
            backend.set_shmem_size(0, size)
            backend.connect("kick", serve_echo)
            return backend
        served = Served(build, lambda backend: backend.listen(self.socket))
        served.start()
        self.addCleanup(served.stop)
        return served

    def map(self, served, content):
        fd = os.memfd_create("file")
        os.write(fd, content)
        os.ftruncate(fd, 4096)
        served.call(lambda backend: backend.shmem_map_async(0, fd, 0, 4096, 4096, False, None,
                                                            None))
        os.close(fd)

    def test_windows_stay_and_are_empty(self):
        first = self.make_sharing()
        frontend = self.open()
        events = []
        for name in ("shmem-mapped", "shmem-unmapped"):
            frontend.connect(name, lambda _, *args, name=name: events.append((name, *args[:3])))
        self.assertEqual(frontend.get_shmem_config(None)[0], self.SIZE)
        driver = self.drive(frontend)
        self.map(first, b"one")
        run_loop(lambda: len(events) == 1)
        self.assertEqual(bytes(frontend.read_shmem(0, 4096, 3)), b"one")
        first.stop()
        second = self.make_sharing()
        self.assert_echo(driver)
        self.assertEqual(events, [("shmem-mapped", 0, 4096, 4096),
                                  ("shmem-unmapped", 0, 4096, 4096)])
        self.map(second, b"two")
        run_loop(lambda: len(events) == 3)
        self.assertEqual(bytes(frontend.read_shmem(0, 4096, 3)), b"two")

    def test_windows_that_changed_end_it(self):
        first = self.make_sharing()
        frontend = self.open()
        frontend.get_shmem_config(None)
        first.stop()
        self.make_sharing(2 * self.SIZE)
        error = expect_error(self, Vhost.Error.PROTOCOL, frontend.get_features, None)
        self.assertIn("region 0 has changed", error.message)


if __name__ == "__main__":
    unittest.main()
