# SPDX-License-Identifier: BSD-3-Clause
"""The internal state of a device, fetched by one front-end and given back by another."""

import os
import struct
import threading
import unittest

from asking import Asking, Channel, Impersonated
from devices import Vhost, expect_error
from gi.repository import GLib
from helpers import run_loop
from peers import Row
from wire import U64, Proto, Req, word

ROW = Row("front-end, back-end", "this library",
          "state of a device saved and loaded through a pipe; the answer of CHECK")

ERROR = Vhost.Error
TRANSFER = struct.Struct("=II")  # direction, phase
SAVE, LOAD = 0, 1
NO_FD = 0x100
BIG = os.urandom(1 << 20)  # many times what a pipe takes


class Keeper:
    """A device whose state is `state`; it is written and read from the main loop."""

    def __init__(self, state=b"", success=True):
        self.state, self.success = state, success

    def attach(self, backend):
        backend.connect("save-state", self._on_save)
        backend.connect("load-state", self._on_load)

    def _watch(self, fd, condition, step):
        """Calls step(fd) when fd is ready, until it returns false; then the transfer is over."""
        copy = os.dup(fd)
        os.set_blocking(copy, False)
        source = GLib.unix_fd_source_new(copy, condition)

        def on_ready(*args):
            if step(copy):
                return GLib.SOURCE_CONTINUE
            os.close(copy)
            try:
                self.backend.complete_transfer(self.success)
            except GLib.Error:
                pass  # the front-end has left
            return GLib.SOURCE_REMOVE
        source.set_callback(on_ready)
        source.attach(GLib.MainContext.get_thread_default())

    def _on_save(self, backend, fd):
        left = [self.state]
        self.backend = backend

        def step(fd):
            try:
                left[0] = left[0][os.write(fd, left[0][:65536]):]
            except BrokenPipeError:
                left[0] = b""
            return left[0]
        self._watch(fd, GLib.IOCondition.OUT, step)

    def _on_load(self, backend, fd):
        self.backend, self.state = backend, b""

        def step(fd):
            part = os.read(fd, 65536)
            self.state += part
            return part
        self._watch(fd, GLib.IOCondition.IN, step)


class BothEnds(Asking):
    def serve_keeper(self, keeper, frontend_properties=None, **options):
        self.keeper = keeper
        self.begin(frontend_properties=frontend_properties, set_up=keeper.attach, **options)

    def test_saves_and_loads(self):
        for state in (b"a short state", b"", BIG):
            with self.subTest(len(state)):
                self.socket = self.path(f"{len(state)}.sock")
                self.serve_keeper(Keeper(state))
                self.assertEqual(bytes(self.frontend.save_state(None)), state)
                self.keeper.state = None
                self.assertTrue(self.frontend.load_state(state, None))
                self.assertEqual(self.keeper.state, state)

    def test_moves_to_another_device_which_then_runs(self):
        self.serve_keeper(Keeper(BIG))
        state = self.frontend.save_state(None)
        self.frontend.close()
        self.socket = self.path("other.sock")
        self.serve_keeper(Keeper())
        self.frontend.load_state(state, None)
        self.assertEqual(self.keeper.state, BIG)
        self.run_queue()
        self.assertEqual(bytes(self.driver.get_queue(0).request(b"ping", 4, None)), b"ping")

    def test_is_refused_while_a_queue_runs(self):
        self.serve_keeper(Keeper(b"state"))
        self.run_queue()
        expect_error(self, ERROR.REFUSED, self.frontend.save_state, None)
        expect_error(self, ERROR.REFUSED, self.frontend.load_state, b"state", None)
        self.driver.stop(None)
        self.assertEqual(bytes(self.frontend.save_state(None)), b"state")

    def test_failure_of_the_device_is_told(self):
        self.serve_keeper(Keeper(b"state", success=False))
        expect_error(self, ERROR.REFUSED, self.frontend.save_state, None)
        expect_error(self, ERROR.REFUSED, self.frontend.load_state, b"state", None)
        self.assertTrue(self.frontend.is_open())

    def test_is_offered_only_with_both_handlers(self):
        self.begin()
        expect_error(self, ERROR.NOT_NEGOTIATED, self.frontend.save_state, None)
        self.frontend.close()
        self.served.call(lambda backend: backend.connect("save-state", lambda *args: None))
        self.frontend.open(self.socket, None)
        self.assertFalse(self.frontend.has_protocol_feature(Proto.DEVICE_STATE))
        self.frontend.close()
        self.served.call(lambda backend: backend.connect("load-state", lambda *args: None))
        self.frontend.open(self.socket, None)
        self.assertTrue(self.frontend.has_protocol_feature(Proto.DEVICE_STATE))

    def test_longer_than_allowed(self):
        self.serve_keeper(Keeper(BIG), frontend_properties={"max_state_size": 1 << 19})
        expect_error(self, ERROR.BAD_SIZE, self.frontend.save_state, None)
        self.assertTrue(self.frontend.is_open())

    def test_device_that_never_completes(self):
        def attach(backend):
            backend.connect("save-state", lambda *args: None)
            backend.connect("load-state", lambda *args: None)
        self.begin(set_up=attach, state_timeout=100)
        expect_error(self, ERROR.REFUSED, self.frontend.save_state, None)
        expect_error(self, ERROR.REFUSED, self.frontend.save_state, None)

    def test_complete_without_a_transfer(self):
        self.serve_keeper(Keeper())
        with self.assertRaises(GLib.Error) as caught:
            self.served.call(lambda backend: backend.complete_transfer(True))
        self.assertTrue(caught.exception.matches(Vhost.error_quark(), ERROR.BAD_STATE))
        ROW.seen()


class HostileFrontend(Channel):
    def setUp(self):
        super().setUp()
        self.told = []
        for direction, name in enumerate(("save-state", "load-state")):
            self.backend.connect(name, lambda backend, fd, direction: (
                self.told.append((direction, os.fstat(fd).st_ino))), direction)
        self.peer.negotiate()
        self.reader, self.writer = os.pipe()
        for fd in (self.reader, self.writer):
            self.addCleanup(os.close, fd)

    def set(self, direction=SAVE, phase=0, fds=None):
        fds = [self.writer if direction == SAVE else self.reader] if fds is None else fds
        self.peer.send(Req.SET_DEVICE_STATE_FD, TRANSFER.pack(direction, phase), fds)
        return U64.unpack(self.peer.expect(Req.SET_DEVICE_STATE_FD))[0]

    def check(self):
        return self.peer.ask_u64(Req.CHECK_DEVICE_STATE)

    def test_answer_comes_when_the_transfer_is_complete(self):
        self.assertEqual(self.set(), NO_FD)
        run_loop(lambda: self.told)
        self.peer.send(Req.CHECK_DEVICE_STATE)
        self.peer.send(Req.GET_FEATURES)
        GLib.timeout_add(50, lambda: self.backend.complete_transfer(True) and False)
        self.assertEqual(self.peer.expect(Req.CHECK_DEVICE_STATE), U64.pack(0))
        self.peer.expect(Req.GET_FEATURES)
        self.assertEqual(self.check(), 1)
        self.assert_refused(Req.CHECK_DEVICE_STATE)

    def test_each_direction_is_told_with_its_descriptor(self):
        for direction in (SAVE, LOAD):
            self.assertEqual(self.set(direction), NO_FD)
            run_loop(lambda: self.told)
            self.assertEqual(self.told.pop()[0], direction)
            self.backend.complete_transfer(direction == LOAD)
            self.assertEqual(self.check(), 1 - direction)

    def test_directions_and_phases_that_are_unknown(self):
        for direction, phase in ((2, 0), (0xffffffff, 0), (SAVE, 1), (LOAD, 0xffffffff)):
            self.assertEqual(self.set(direction, phase, [self.writer]), NO_FD | 1)
            self.assert_refused(Req.SET_DEVICE_STATE_FD)
        self.assertEqual(self.told, [])

    def test_H010_descriptors_missing_surplus_and_of_the_wrong_kind(self):
        event = os.eventfd(0)
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        zero = os.open("/dev/zero", os.O_RDWR)
        for fd in (event, directory, zero):
            self.addCleanup(os.close, fd)
        for fds in ([], [self.writer] * 2, [event], [directory], [zero], [self.reader]):
            with self.subTest(fds):
                self.assertEqual(self.set(SAVE, fds=fds), NO_FD | 1)
                self.assert_refused(Req.SET_DEVICE_STATE_FD)
        self.assertEqual(self.set(LOAD, fds=[self.writer]), NO_FD | 1)
        self.assertEqual(self.told, [])
        self.assertEqual(self.set(), NO_FD)

    def test_second_transfer_during_the_first(self):
        self.assertEqual(self.set(), NO_FD)
        self.assertEqual(self.set(LOAD), NO_FD | 1)
        self.assert_refused(Req.SET_DEVICE_STATE_FD)
        run_loop(lambda: self.told)
        self.assertEqual(len(self.told), 1)

    def test_check_without_a_transfer(self):
        self.assertEqual(self.check(), 1)
        self.assert_refused(Req.CHECK_DEVICE_STATE)

    def test_H015_while_a_queue_runs(self):
        self.memory = self.make_memory()
        self.share(self.memory)
        ring = self.make_ring(self.memory)
        ring.attach(self.peer)
        self.assertEqual(self.set(), NO_FD | 1)
        self.assert_refused(Req.SET_DEVICE_STATE_FD, "running")
        self.assertEqual(self.check(), 1)

    def test_not_negotiated(self):
        self.backend.close()
        self.peer = self.open_pair(self.backend)
        self.peer.negotiate(protocol=word(Proto.REPLY_ACK))
        self.assertEqual(self.set(), NO_FD | 1)
        self.assert_refused(Req.SET_DEVICE_STATE_FD, "DEVICE_STATE")

    def test_front_end_leaves_in_the_middle(self):
        for checking in (False, True):
            self.assertEqual(self.set(), NO_FD)
            if checking:
                self.peer.send(Req.CHECK_DEVICE_STATE)
            run_loop(lambda: self.told)
            self.backend.close()
            expect_error(self, ERROR.BAD_STATE, self.backend.complete_transfer, True)
            self.peer = self.open_pair(self.backend)
            self.peer.negotiate()
            self.told.clear()
        self.assertEqual(self.set(), NO_FD)

    def test_H018_a_thousand_transfers(self):
        for _ in range(1000):
            self.assertEqual(self.set(), NO_FD)
            run_loop(lambda: self.told)
            self.told.clear()
            self.backend.complete_transfer(True)
            self.assertEqual(self.check(), 0)


def answer_with(value, make_fds=lambda: []):
    def answer(peer, message):
        fds = make_fds()
        peer.answer(message.request, U64.pack(value), fds)
        for fd in fds:
            os.close(fd)
    return answer


class HostileBackend(Impersonated):
    def open(self, set_fd, check=answer_with(0), **properties):
        super().open(answers={Req.SET_DEVICE_STATE_FD: set_fd, Req.CHECK_DEVICE_STATE: check},
                     state_timeout=300, **properties)

    def test_H086_answers_with_the_wrong_descriptors(self):
        def null():
            return [os.open("/dev/null", os.O_RDWR)]

        for value, make_fds, code in ((0, list, ERROR.BAD_FDS), (NO_FD, null, ERROR.BAD_FDS),
                                      (1, null, ERROR.BAD_FDS), (0, null, ERROR.BAD_FDS),
                                      (NO_FD | 1, list, ERROR.REFUSED), (5, list, ERROR.REFUSED)):
            with self.subTest((value, make_fds.__name__)):
                self.open(answer_with(value, make_fds))
                expect_error(self, code, self.frontend.save_state, None)
                expect_error(self, code, self.frontend.load_state, b"state", None)
                self.assertTrue(self.frontend.is_open())

    def test_descriptor_of_the_back_end_takes_the_place_of_ours(self):
        def save(peer, message):
            reader, writer = os.pipe()
            os.write(writer, b"its own pipe")
            os.close(writer)
            peer.answer(message.request, U64.pack(0), [reader])
            os.close(reader)
        self.open(save)
        self.assertEqual(bytes(self.frontend.save_state(None)), b"its own pipe")

    def test_H085_state_that_does_not_end(self):
        kept = []

        def keep(peer, message):
            kept.append(message.fds.pop())
            peer.answer(message.request, U64.pack(NO_FD))
        self.open(keep)
        expect_error(self, ERROR.TIMED_OUT, self.frontend.save_state, None)
        expect_error(self, ERROR.TIMED_OUT, self.frontend.load_state, BIG, None)
        self.assertTrue(self.frontend.is_open())
        for fd in kept:
            os.close(fd)

    def test_endless_state_is_bounded(self):
        threads = []

        def flood(peer, message):
            def write(fd):
                with open(fd, "wb", buffering=0) as pipe:
                    try:
                        while True:
                            pipe.write(bytes(65536))
                    except BrokenPipeError:
                        pass
            threads.append(threading.Thread(target=write, args=(message.fds.pop(),)))
            threads[-1].start()
            peer.answer(message.request, U64.pack(NO_FD))
        self.open(flood, max_state_size=1 << 20)
        self.frontend.props.state_timeout = 10000
        expect_error(self, ERROR.BAD_SIZE, self.frontend.save_state, None)
        threads[0].join()

    def test_reader_that_leaves_early_is_an_error_and_no_signal(self):
        def refuse_to_read(peer, message):
            os.close(message.fds.pop())
            peer.answer(message.request, U64.pack(NO_FD))
        self.open(refuse_to_read)
        with self.assertRaises(GLib.Error):
            self.frontend.load_state(BIG, None)
        self.assertTrue(self.frontend.is_open())

    def test_H085_check_is_not_answered(self):
        self.open(answer_with(NO_FD), check=lambda peer, message: None)
        expect_error(self, ERROR.TIMED_OUT, self.frontend.save_state, None)
        self.assertFalse(self.frontend.is_open())


if __name__ == "__main__":
    unittest.main()
