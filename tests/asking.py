# SPDX-License-Identifier: BSD-3-Clause
"""Requests of the back-end: asked by our own one, and by one that is spoken by hand."""

import os
import socket
import threading

from devices import Driving, Session, Vhost
from gi.repository import GLib
from helpers import TempDir, run_loop
from wire import NEED_REPLY, U64, Feature, Peer, Proto, Req, word

ACKED = word(Proto.REPLY_ACK, Proto.BACKEND_REQ, Proto.BACKEND_SEND_FD, Proto.SHARED_OBJECT,
             Proto.SHMEM, Proto.DEVICE_STATE, Proto.STATUS, Proto.RESET_DEVICE)


def make_file(test, content):
    """A memfd that is closed with the test."""
    fd = os.memfd_create("content")
    test.addCleanup(os.close, fd)
    os.write(fd, content)
    return fd


def read_all(fd):
    """What a memfd holds; closes it."""
    with os.fdopen(fd, "rb") as file:
        file.seek(0)
        return file.read()


class Asking(Driving):
    """A back-end in a thread whose requests are served by a front-end in this one."""

    def begin(self, frontend_properties=None, **options):
        self.serve(**options)
        self.frontend = self.open_frontend(**(frontend_properties or {}))

    def run_queue(self):
        self.driver = Vhost.Driver(device=self.frontend)
        self.driver.start(1, 256, None)
        self.addCleanup(self._stop_queue, self.frontend, self.driver)

    def _stop_queue(self, frontend, driver):
        self.driver = None
        if frontend.is_open():
            driver.stop(None)

    def start_asking(self, name, *args):
        """Begins backend.NAME_async(…); the list that is returned gets (result, error)."""
        done = []

        def on_done(backend, result):
            try:
                done.append((getattr(backend, f"{name}_finish")(result), None))
            except GLib.Error as error:
                done.append((None, error))
            GLib.MainContext.default().wakeup()
        self.served.call(lambda backend: getattr(backend, f"{name}_async")(*args, None, on_done))
        return done

    def ask(self, name, *args):
        """backend.NAME_async(…) and _finish(), while the front-end's loop runs."""
        done = self.start_asking(name, *args)
        run_loop(lambda: done)
        result, error = done[0]
        if error is not None:
            raise error
        return result

    def assert_fails(self, code, name, *args):
        with self.assertRaises(GLib.Error) as caught:
            self.ask(name, *args)
        self.assertTrue(caught.exception.matches(Vhost.error_quark(), code), caught.exception)
        return caught.exception


class Channel(Session):
    """Our back-end in this thread, its front-end by hand: self.peer, and self.channel."""

    def open_channel(self):
        mine, its = socket.socketpair()
        with its:
            self.peer.do(Req.SET_BACKEND_REQ_FD, fds=[its.fileno()])
        self.channel = self.watch(mine)

    def start(self, name, *args):
        done = []

        def on_done(backend, result):
            try:
                done.append((getattr(backend, f"{name}_finish")(result), None))
            except GLib.Error as error:
                done.append((None, error))
        getattr(self.backend, f"{name}_async")(*args, None, on_done)
        return done

    def expect_result(self, done):
        run_loop(lambda: done)
        result, error = done[0]
        self.assertIsNone(error)
        return result

    def expect_failure(self, done, code):
        run_loop(lambda: done)
        self.assertIsNotNone(done[0][1], "it did not fail")
        self.assertTrue(done[0][1].matches(Vhost.error_quark(), code), done[0][1])
        return done[0][1]


class Impostor(threading.Thread):
    """A back-end by hand that answers what every session begins with, and `answers[request](peer,
    message)` for the rest. Its end of the channel is `channel`."""

    def __init__(self, sock, protocol, answers):
        super().__init__()
        self._peer, self._answers = Peer(sock), answers
        self._protocol = protocol
        self.channel_fd = None
        self.names = []

    def run(self):
        try:
            while (message := self._peer.receive()) is not None:
                self.names.append(Req(message.request).name)
                self._answer(message)
        except (AssertionError, BrokenPipeError, ConnectionResetError):
            pass  # the front-end has left, or the test is over
        finally:
            self._peer.close()

    def _answer(self, message):
        numbers = {Req.GET_FEATURES: word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES),
                   Req.GET_PROTOCOL_FEATURES: self._protocol, Req.GET_QUEUE_NUM: 1,
                   Req.GET_STATUS: 0}
        if message.request == Req.SET_BACKEND_REQ_FD:
            self.channel_fd = message.fds.pop()
        if message.request in self._answers:
            self._answers[message.request](self._peer, message)
        elif message.request in numbers:
            self._peer.answer(message.request, U64.pack(numbers[message.request]))
        elif message.flags & NEED_REPLY:
            self._peer.answer(message.request, U64.pack(0))
        for fd in message.fds:
            os.close(fd)


class Impersonated(TempDir):
    """Our front-end in this thread against an Impostor: self.frontend, self.channel."""

    def open(self, protocol=ACKED, answers=None, **properties):
        mine, its = socket.socketpair()
        self.impostor = Impostor(its, protocol, answers or {})
        self.impostor.start()
        self.addCleanup(self.impostor.join)
        self.frontend = Vhost.UserFrontend(timeout=2000, **properties)
        self.addCleanup(self.frontend.close)
        with mine:
            self.frontend.open_fd(mine.fileno(), None)
        if self.impostor.channel_fd is not None:
            self.channel = Peer(socket.socket(fileno=self.impostor.channel_fd), pump=run_loop)
            self.addCleanup(self.channel.close)

    def request(self, request, body, fds=()):
        """Sends a request on the channel, and returns what the ack says."""
        return self.channel.ack(request, body, fds)

    def assert_channel_closed(self):
        self.assertIsNone(self.channel.receive())
