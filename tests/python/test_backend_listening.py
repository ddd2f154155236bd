# SPDX-License-Identifier: BSD-3-Clause
"""How a back-end is reached: paths, descriptors, one front-end after the other."""

import os
import socket
import unittest

from devices import Events, Session, Vhost, expect_error
from gi.repository import Gio
from helpers import TempDir, is_listening, run_loop
from wire import Peer, Req


class Listener(TempDir):
    """A test with a back-end that is not open yet."""

    def setUp(self):
        super().setUp()
        self.backend = self.make_backend()
        self.events = Events(self.backend)
        self.socket = self.path("device.sock")

    def make_backend(self):
        backend = Vhost.UserBackend(device_id=Vhost.DeviceId.ENTROPY, n_queues=1)
        self.addCleanup(backend.close)
        return backend

    def reach(self, path=None):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path or self.socket)
        peer = Peer(sock, pump=run_loop)
        self.addCleanup(peer.close)
        return peer

    def assert_serves(self, peer):
        self.assertNotEqual(peer.ask_u64(Req.GET_FEATURES), 0)


class Path(Listener):
    def test_socket_is_there_from_listen_to_close(self):
        self.backend.listen(self.socket)
        self.assertTrue(is_listening(self.socket))
        self.backend.close()
        self.assertFalse(os.path.lexists(self.socket))

    def test_listens_again_after_close(self):
        for _ in range(3):
            self.backend.listen(self.socket)
            self.assert_serves(self.reach())
            self.backend.close()

    def test_refuses_to_be_opened_twice(self):
        self.backend.listen(self.socket)
        expect_error(self, Vhost.Error.BAD_STATE, self.backend.listen, self.path("other"))
        self.assertFalse(os.path.lexists(self.path("other")))
        self.assert_serves(self.reach())

    def test_leaves_a_live_socket_to_its_owner(self):
        self.backend.listen(self.socket)
        error = expect_error(self, Vhost.Error.BAD_STATE, self.make_backend().listen, self.socket)
        self.assertIn(self.socket, error.message)
        self.assert_serves(self.reach())

    def test_replaces_a_dead_socket(self):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(self.socket)
        self.backend.listen(self.socket)
        self.assert_serves(self.reach())

    def test_H099_leaves_a_foreign_file_alone(self):
        with open(self.socket, "w", encoding="ascii") as file:
            file.write("mine")
        error = expect_error(self, Vhost.Error.BAD_STATE, self.backend.listen, self.socket)
        self.assertIn(self.socket, error.message)
        with open(self.socket, encoding="ascii") as file:
            self.assertEqual(file.read(), "mine")

    def test_H099_leaves_a_directory_alone(self):
        os.mkdir(self.socket)
        expect_error(self, Vhost.Error.BAD_STATE, self.backend.listen, self.socket)
        self.assertTrue(os.path.isdir(self.socket))

    def test_H099_does_not_follow_a_link_to_a_dead_socket(self):
        target = self.path("target")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(target)
        os.symlink(target, self.socket)
        expect_error(self, Vhost.Error.BAD_STATE, self.backend.listen, self.socket)
        self.assertTrue(os.path.islink(self.socket) and os.path.lexists(target))

    def test_H099_does_not_follow_a_dangling_link(self):
        os.symlink(self.path("nowhere"), self.socket)
        expect_error(self, Vhost.Error.BAD_STATE, self.backend.listen, self.socket)
        self.assertFalse(os.path.lexists(self.path("nowhere")))

    def test_close_leaves_the_socket_of_a_successor(self):
        self.backend.listen(self.socket)
        os.unlink(self.socket)
        successor = self.make_backend()
        successor.listen(self.socket)
        self.backend.close()
        self.assertTrue(os.path.lexists(self.socket))
        self.assert_serves(self.reach())

    def test_names_a_path_that_cannot_be(self):
        long = self.path("x" * 108)
        error = expect_error(self, Vhost.Error.INVALID_VALUE, self.backend.listen, long)
        self.assertIn(long, error.message)
        missing = self.path("no/such/directory")
        error = expect_error(self, Gio.IOErrorEnum.NOT_FOUND, self.backend.listen, missing)
        self.assertIn(missing, error.message)


class Coming(Listener):
    def test_front_ends_come_one_after_the_other(self):
        self.backend.listen(self.socket)
        for _ in range(3):
            peer = self.reach()
            self.assert_serves(peer)
            self.assertTrue(self.backend.is_connected())
            peer.close()
            run_loop(lambda: not self.backend.is_connected())
        self.assertEqual(self.events.names(), ["connected", "disconnected"] * 3)

    def test_H100_second_front_end_waits_in_the_backlog(self):
        self.backend.listen(self.socket)
        first, second = self.reach(), self.reach()
        second.send(Req.GET_FEATURES)
        self.assert_serves(first)
        self.assert_serves(first)
        self.assertEqual(self.events.names(), ["connected"])
        first.close()
        second.expect(Req.GET_FEATURES)
        self.assertEqual(self.events.names(), ["connected", "disconnected", "connected"])

    def test_close_ends_the_session(self):
        self.backend.listen(self.socket)
        peer = self.reach()
        self.assert_serves(peer)
        self.backend.close()
        self.assertIsNone(peer.receive())
        self.assertFalse(self.backend.is_connected())
        self.assertEqual(self.events.names(), ["connected", "disconnected"])

    def test_close_from_a_signal_of_the_session(self):
        self.backend.listen(self.socket)
        self.backend.connect("features-changed", lambda backend: backend.close())
        peer = self.reach()
        peer.negotiate()
        self.assertIsNone(peer.receive())

    def test_open_reaches_a_front_end_that_listens(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.socket)
            listener.listen()
            self.backend.open(self.socket, None)
            sock, _ = listener.accept()
        peer = Peer(sock, pump=run_loop)
        self.addCleanup(peer.close)
        self.assert_serves(peer)

    def test_open_says_that_nobody_is_there(self):
        error = expect_error(self, Gio.IOErrorEnum.NOT_FOUND, self.backend.open, self.socket, None)
        self.assertIn(self.socket, error.message)

    def test_open_gives_up_when_told(self):
        told = Gio.Cancellable()
        told.cancel()
        expect_error(self, Gio.IOErrorEnum.CANCELLED, self.backend.open, self.socket, told)


class Descriptor(Listener):
    def test_listening_socket(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.socket)
            listener.listen()
            self.backend.open_fd(listener.fileno())
        for _ in range(2):
            peer = self.reach()
            self.assert_serves(peer)
            peer.close()

    def test_close_leaves_the_path_of_an_inherited_socket(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.socket)
            listener.listen()
            self.backend.open_fd(listener.fileno())
            self.backend.close()
        self.assertTrue(os.path.lexists(self.socket))

    def test_refuses_what_is_no_stream_socket(self):
        with open("/dev/null", "rb") as file, socket.socket(socket.AF_UNIX,
                                                            socket.SOCK_DGRAM) as datagrams:
            for fd in (file.fileno(), datagrams.fileno(), -1, 1 << 20):
                expect_error(self, Vhost.Error.BAD_FDS, self.backend.open_fd, fd)

    def test_refuses_a_socket_without_a_peer(self):
        with socket.socket(socket.AF_UNIX) as sock:
            expect_error(self, Vhost.Error.BAD_FDS, self.backend.open_fd, sock.fileno())


class Connected(Session):
    def test_connected_socket(self):
        self.assertNotEqual(self.peer.ask_u64(Req.GET_FEATURES), 0)
        self.peer.close()
        run_loop(lambda: not self.backend.is_connected())
        self.assertEqual(self.events.names(), ["connected", "disconnected"])

    def test_backend_can_be_opened_again_when_the_front_end_has_left(self):
        self.peer.close()
        run_loop(lambda: not self.backend.is_connected())
        again = self.open_pair(self.backend)
        self.assertNotEqual(again.ask_u64(Req.GET_FEATURES), 0)

    def test_front_end_sees_the_end_whoever_keeps_the_descriptor(self):
        backend = self.make_backend()
        mine, its = socket.socketpair()
        self.addCleanup(its.close)
        backend.open_fd(its.fileno())
        peer = self.watch(mine)
        peer.send(0xFFFF)
        self.assertIsNone(peer.receive())

    def test_leaving_early_is_no_failure(self):
        self.peer.ask_u64(Req.GET_FEATURES)
        self.peer.close()
        run_loop(lambda: "disconnected" in self.events.names())
        self.assertEqual(self.events.take("device-failed"), [])


if __name__ == "__main__":
    unittest.main()
