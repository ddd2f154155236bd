# SPDX-License-Identifier: BSD-3-Clause
"""Vhost.VirtioNet and Vhost.VirtioSwitch as a script uses them; each frame in tests/unit."""

import os
import socket
import unittest

from devices import Driving, Served, Vhost, expect_error

HEADER = bytes(12)
NO_GROUP = bytes((2, 0, 0, 0, 0))


def make_frame(target, source, size=60):
    return target + source + b"\x88\xb5" + os.urandom(size - 14)


class Card(Driving):
    def setUp(self):
        super().setUp()
        self.nets = []

    def make_net(self, **properties):
        backend = Vhost.UserBackend(device_id=Vhost.DeviceId.NETWORK, n_queues=2)
        net = Vhost.VirtioNet(backend=backend, **properties)
        self.addCleanup(backend.close)
        return backend, net

    def plug_in(self, path):
        frontend = Vhost.UserFrontend()
        frontend.open(path, None)
        self.addCleanup(frontend.close)
        return self.start_driver(n_queues=2, frontend=frontend, wanted_features=(
            1 << Vhost.Feature.VERSION_1 | 1 << Vhost.NetFeature.MRG_RXBUF))

    def receive(self, driver):
        return bytes(driver.get_queue(0).wait(None).get_data())

    def send(self, driver, frame):
        driver.get_queue(1).request(HEADER + frame, 0, None)


class Sockets(Card):
    def test_frames_both_ways(self):
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(ours.close)

        def make():
            backend, self.net = self.make_net(mac="52:54:00:00:00:07", mtu=1400)
            self.net.take_fd(its.detach())
            return backend
        served = Served(make, lambda backend: backend.listen(self.socket))
        served.start()
        self.addCleanup(served.stop)
        driver = self.plug_in(self.socket)
        frame = make_frame(b"\xff" * 6, NO_GROUP + b"\x01")
        driver.get_queue(0).add(None, 2000)
        driver.get_queue(0).kick()
        ours.send(frame)
        self.assertEqual(self.receive(driver), HEADER[:10] + b"\x01\x00" + frame)
        self.send(driver, frame)
        self.assertEqual(ours.recv(4096), frame)
        self.assertEqual((self.net.props.rx_frames, self.net.props.tx_frames), (1, 1))
        self.assertEqual(driver.props.device.get_config(0, 12, None)[:6],
                         bytes.fromhex("525400000007"))
        self.net = None

    def test_descriptors_that_are_refused(self):
        backend, net = self.make_net()
        expect_error(self, Vhost.Error.BAD_FDS, net.take_fd, os.open("/dev/null", os.O_RDWR))
        ours, its = socket.socketpair()
        ours.close()
        expect_error(self, Vhost.Error.BAD_FDS, net.take_fd, its.detach())
        net.props.mac = "a card"
        expect_error(self, Vhost.Error.INVALID_VALUE, Vhost.VirtioSwitch().add, net)


class Switch(Card):
    def test_two_drivers(self):
        paths = [self.path("one.sock"), self.path("two.sock")]

        def make():
            cards = [self.make_net() for _ in paths]
            self.switch = Vhost.VirtioSwitch()
            for _, net in cards:
                self.switch.add(net)
            self.backends = [backend for backend, _ in cards]
            return self.backends[0]

        def listen(_):
            for backend, path in zip(self.backends, paths):
                backend.listen(path)
        served = Served(make, listen)
        served.start()
        self.addCleanup(served.stop)
        one, two = map(self.plug_in, paths)
        for driver in (one, two):
            for _ in range(8):
                driver.get_queue(0).add(None, 500)
            driver.get_queue(0).kick()
        frame = make_frame(b"\xff" * 6, NO_GROUP + b"\x01", 400)
        self.send(one, frame)
        self.assertEqual(self.receive(two), HEADER[:10] + b"\x01\x00" + frame)
        large = make_frame(NO_GROUP + b"\x01", NO_GROUP + b"\x02", 900)
        self.send(two, large)
        first, second = self.receive(one), self.receive(one)
        self.assertEqual(first + second, HEADER[:10] + b"\x02\x00" + large)
        served.call(lambda backend: [each.close() for each in self.backends])
        self.switch = None


if __name__ == "__main__":
    unittest.main()
