# SPDX-License-Identifier: BSD-3-Clause
"""Objects that one device exports and another imports, by UUID."""

import os
import threading
import unittest
import uuid

from asking import ACKED, Asking, Channel, Impersonated, make_file, read_all
from devices import Vhost, expect_error, serve_at
from helpers import run_loop
from peers import Row
from wire import U64, VERSION, Back, Proto, Req, word

ROW = Row("front-end, back-end", "this library",
          "shared objects: added, looked up, shared, removed")

ERROR = Vhost.Error
NIL, MAX = bytes(16), b"\xff" * 16
MAX_OBJECTS = 256


def make_uuid():
    return uuid.uuid4().bytes


class BothEnds(Asking):
    def setUp(self):
        super().setUp()
        self.begin()
        self.run_queue()
        self.seen = []
        for name in ("added", "removed"):
            self.frontend.connect(f"shared-object-{name}", lambda _, key, what: self.seen.append(
                (what, key.get_data())), name)
        self.name = make_uuid()
        self.fd = make_file(self, b"pixels")

    def test_is_exported_and_fetched(self):
        self.assertFalse(self.frontend.has_shared_object(self.name))
        self.assertTrue(self.ask("shared_object_add", self.name, self.fd))
        self.assertTrue(self.frontend.has_shared_object(self.name))
        self.assertEqual(self.seen, [("added", self.name)])
        for _ in range(2):
            self.assertEqual(read_all(self.frontend.get_shared_object(self.name, None)), b"pixels")

    def test_is_gone_after_remove(self):
        self.ask("shared_object_add", self.name, self.fd)
        self.assertTrue(self.ask("shared_object_remove", self.name))
        self.assertEqual(self.seen, [("added", self.name), ("removed", self.name)])
        expect_error(self, ERROR.REFUSED, self.frontend.get_shared_object, self.name, None)
        self.assertTrue(self.frontend.is_open())

    def test_vanishes_with_the_connection(self):
        self.ask("shared_object_add", self.name, self.fd)
        self.frontend.close()
        self.assertEqual(self.seen[-1], ("removed", self.name))
        self.assertFalse(self.frontend.has_shared_object(self.name))
        self.frontend.open(self.socket, None)
        expect_error(self, ERROR.REFUSED, self.frontend.get_shared_object, self.name, None)

    def test_is_exported_once(self):
        self.ask("shared_object_add", self.name, self.fd)
        self.assert_fails(ERROR.BAD_STATE, "shared_object_add", self.name, self.fd)
        self.assertEqual(self.seen, [("added", self.name)])

    def test_nil_and_max_and_other_lengths_name_nothing(self):
        for name in (NIL, MAX, b"", b"x" * 15, b"x" * 17):
            with self.subTest(name):
                self.assert_fails(ERROR.INVALID_VALUE, "shared_object_add", name, self.fd)
                self.assert_fails(ERROR.INVALID_VALUE, "shared_object_lookup", name)
                expect_error(self, ERROR.INVALID_VALUE, self.frontend.get_shared_object, name, None)

    def test_lookup_is_answered_by_the_application(self):
        self.frontend.connect("shared-object-lookup", lambda frontend, key: (
            frontend.answer_shared_object(self.fd)
            if key.get_data() == self.name else None))
        self.assertEqual(read_all(self.ask("shared_object_lookup", self.name)), b"pixels")
        self.assert_fails(ERROR.REFUSED, "shared_object_lookup", make_uuid())

    def test_lookup_without_an_application_is_refused(self):
        self.assert_fails(ERROR.REFUSED, "shared_object_lookup", self.name)
        expect_error(self, ERROR.BAD_STATE, self.frontend.answer_shared_object, self.fd)

    def test_from_one_device_to_another(self):
        other_socket = self.path("other.sock")
        other_served = serve_at(self, other_socket)
        exporter = Vhost.UserFrontend()
        exporter.open(other_socket, None)
        self.addCleanup(exporter.close)
        driver = Vhost.Driver(device=exporter)
        driver.start(1, 256, None)
        self.addCleanup(driver.stop, None)
        other_served.call(lambda backend: backend.shared_object_add_async(
            self.name, self.fd, None, None))
        run_loop(lambda: exporter.has_shared_object(self.name))

        def forward(frontend, key):
            fd = exporter.get_shared_object(key.get_data(), None)
            frontend.answer_shared_object(fd)
            os.close(fd)
        self.frontend.connect("shared-object-lookup", forward)
        self.assertEqual(read_all(self.ask("shared_object_lookup", self.name)), b"pixels")
        ROW.seen()

class Waiting(Asking):
    def test_lookup_is_answered_while_a_main_request_waits(self):
        """The chain that needs the object is in flight while its queue is stopped. The handler may
        not call the same back-end then, and is told so."""
        told, found, popped = [], [], threading.Event()

        def on_kick(backend, queue):
            chain = queue.pop()

            def on_found(backend, result):
                found.append(backend.shared_object_lookup_finish(result))
                queue.push(chain, 0)
            if chain is not None:
                backend.shared_object_lookup_async(name, None, on_found)
                popped.set()

        def on_lookup(frontend, key):
            told.append(expect_error(self, ERROR.BAD_STATE, frontend.get_features, None).message)
            frontend.answer_shared_object(fd)
        name, fd = make_uuid(), make_file(self, b"pixels")
        self.begin(kick=on_kick)
        self.run_queue()
        self.frontend.connect("shared-object-lookup", on_lookup)
        queue = self.driver.get_queue(0)
        queue.add(None, 16)
        queue.kick()
        self.assertTrue(popped.wait(5))
        self.driver.stop(None)
        self.assertEqual([read_all(each) for each in found], [b"pixels"])
        self.assertEqual(len(told), 1)


class Suspended(Asking):
    def test_says_nothing_while_no_queue_runs(self):
        self.begin()
        self.assert_fails(ERROR.BAD_STATE, "shared_object_add", make_uuid(), make_file(self, b"x"))

    def test_needs_a_front_end(self):
        self.serve()
        self.assert_fails(ERROR.DISCONNECTED, "shared_object_add", make_uuid(),
                          make_file(self, b"x"))

    def test_needs_the_feature(self):
        self.begin(frontend_properties={"protocol_features": ACKED
                                        & ~word(Proto.SHARED_OBJECT)})
        self.run_queue()
        self.assert_fails(ERROR.NOT_NEGOTIATED, "shared_object_add", make_uuid(),
                          make_file(self, b"x"))
        expect_error(self, ERROR.NOT_NEGOTIATED, self.frontend.get_shared_object, make_uuid(), None)


class HostileFrontend(Channel):
    def setUp(self):
        super().setUp()
        self.begin_ring()
        self.open_channel()
        self.name = make_uuid()
        self.fd = make_file(self, b"pixels")

    def add(self, answer=0):
        done = self.start("shared_object_add", self.name, self.fd)
        self.assertEqual(self.channel.receive()[:3], (Back.SHARED_OBJECT_ADD, VERSION | 8,
                                                      self.name))
        self.channel.answer(Back.SHARED_OBJECT_ADD, U64.pack(answer))
        return done

    def get(self, name):
        self.peer.send(Req.GET_SHARED_OBJECT, name)
        message = self.peer.receive()
        self.assertEqual(message[:3], (Req.GET_SHARED_OBJECT, VERSION | 4, b""))
        return message.fds

    def test_what_is_refused_is_not_exported(self):
        self.expect_failure(self.add(answer=1), ERROR.REFUSED)
        self.assertEqual(self.get(self.name), [])

    def test_object_is_answered_with_one_descriptor_or_none(self):
        self.expect_result(self.add())
        (fd,) = self.get(self.name)
        self.assertEqual(read_all(fd), b"pixels")
        for name in (NIL, MAX, make_uuid()):
            self.assertEqual(self.get(name), [])

    def test_H005_request_without_a_uuid_is_answered_with_nothing(self):
        """As one front-end is known to send it."""
        for name in (b"", b"x" * 15):
            self.assertEqual(self.get(name), [])
            self.assert_refused(Req.GET_SHARED_OBJECT, "bytes")
        self.assert_served(self.ring)

    def test_H009_request_with_a_descriptor(self):
        self.peer.send(Req.GET_SHARED_OBJECT, make_uuid(), [self.fd])
        self.assertEqual(self.peer.receive().fds, [])
        self.assert_refused(Req.GET_SHARED_OBJECT, "descriptors")

    def test_H021_mute_front_end(self):
        self.backend.close()
        backend = self.backend
        backend.props.timeout = 100
        self.peer = self.open_pair(backend)
        self.begin_ring()
        self.open_channel()
        first = self.start("shared_object_lookup", self.name)
        second = self.start("shared_object_lookup", self.name)
        self.expect_failure(first, ERROR.TIMED_OUT)
        self.expect_failure(second, ERROR.TIMED_OUT)
        self.assert_served(self.ring)
        self.expect_failure(self.start("shared_object_lookup", self.name), ERROR.DISCONNECTED)

    def test_H021_wrong_answers_end_the_channel_alone(self):
        answers = {
            "another request": lambda: self.channel.answer(Back.SHMEM_MAP, U64.pack(0)),
            "too short": lambda: self.channel.answer(Back.SHARED_OBJECT_LOOKUP, b"1234"),
            "two descriptors": lambda: self.channel.answer(Back.SHARED_OBJECT_LOOKUP, U64.pack(0),
                                                           [self.fd, self.fd]),
            "a request": lambda: self.channel.send(Back.SHARED_OBJECT_LOOKUP, self.name),
            "its end": lambda: self.channel.close(),
        }
        for what, answer in answers.items():
            with self.subTest(what):
                self.open_channel()
                done = self.start("shared_object_lookup", self.name)
                self.channel.receive()
                answer()
                run_loop(lambda: done)
                self.assertIsNotNone(done[0][1])
                self.assert_served(self.ring)

    def test_H086_answers_with_the_wrong_descriptors(self):
        for number, fds, code in ((0, [], ERROR.BAD_FDS), (1, [self.fd], ERROR.REFUSED)):
            done = self.start("shared_object_lookup", self.name)
            self.channel.receive()
            self.channel.answer(Back.SHARED_OBJECT_LOOKUP, U64.pack(number), fds)
            self.expect_failure(done, code)

    def test_no_more_than_64_requests_wait(self):
        done = [self.start("shared_object_lookup", self.name) for _ in range(65)]
        self.expect_failure(done[64], ERROR.QUEUE_FULL)
        for _ in range(64):
            self.channel.receive()
            self.channel.answer(Back.SHARED_OBJECT_LOOKUP, U64.pack(1))
        for each in done[:64]:
            self.expect_failure(each, ERROR.REFUSED)

    def test_the_front_end_leaves(self):
        done = self.start("shared_object_lookup", self.name)
        self.peer.close()
        self.expect_failure(done, ERROR.DISCONNECTED)

    def test_without_acks_it_is_done_when_it_is_sent(self):
        self.backend.close()
        self.peer = self.open_pair(self.backend)
        self.peer.negotiate(protocol=ACKED & ~word(Proto.SHMEM, Proto.DEVICE_STATE,
                                                   Proto.REPLY_ACK))
        self.memory = self.make_memory()
        mine_acks = self.peer.do
        self.peer.do = lambda request, body=b"", fds=(): self.peer.send(request, body, fds)
        self.peer.set_fd = lambda request, index, fd: self.peer.send(
            request, U64.pack(index), [fd]) or 0
        self.share(self.memory)
        self.ring = self.make_ring(self.memory)
        self.ring.attach(self.peer)
        self.open_channel()
        self.peer.do = mine_acks
        self.peer.ask_u64(Req.GET_FEATURES)
        done = self.start("shared_object_add", self.name, self.fd)
        self.assertTrue(self.expect_result(done))
        self.assertEqual(self.channel.receive(), (Back.SHARED_OBJECT_ADD, VERSION, self.name, []))


class HostileBackend(Impersonated):
    def setUp(self):
        super().setUp()
        self.seen = []

    def test_nil_and_max_are_refused(self):
        self.open()
        for name in (NIL, MAX):
            self.assertNotEqual(self.request(Back.SHARED_OBJECT_ADD, name), 0)
            self.assertFalse(self.frontend.has_shared_object(name))

    def test_twice_and_foreign_are_refused(self):
        self.open()
        name = make_uuid()
        self.assertEqual(self.request(Back.SHARED_OBJECT_ADD, name), 0)
        self.assertNotEqual(self.request(Back.SHARED_OBJECT_ADD, name), 0)
        self.assertNotEqual(self.request(Back.SHARED_OBJECT_REMOVE, make_uuid()), 0)
        self.assertEqual(self.request(Back.SHARED_OBJECT_REMOVE, name), 0)
        self.assertNotEqual(self.request(Back.SHARED_OBJECT_REMOVE, name), 0)

    def test_H090_storm_is_bounded(self):
        self.open()
        names = [make_uuid() for _ in range(4 * MAX_OBJECTS)]
        accepted = [self.request(Back.SHARED_OBJECT_ADD, name) == 0 for name in names]
        self.assertEqual(accepted, [True] * MAX_OBJECTS + [False] * (3 * MAX_OBJECTS))
        self.assertTrue(self.frontend.is_open())

    def test_H009_descriptor_on_a_request_that_takes_none(self):
        self.open()
        fd = make_file(self, b"x")
        self.assertNotEqual(self.request(Back.SHARED_OBJECT_ADD, make_uuid(), [fd]), 0)
        self.channel.send(Back.SHARED_OBJECT_LOOKUP, make_uuid(), [fd])
        self.assertEqual(U64.unpack(self.channel.expect(Back.SHARED_OBJECT_LOOKUP))[0], 1)

    def test_H005_wrong_size_nobody_waits_for_ends_the_channel(self):
        self.open()
        self.channel.send(Back.SHARED_OBJECT_ADD, b"short")
        self.assert_channel_closed()
        self.assertTrue(self.frontend.is_open())

    def test_not_negotiated_is_refused(self):
        self.open(protocol=ACKED & ~word(Proto.SHARED_OBJECT))
        self.assertNotEqual(self.request(Back.SHARED_OBJECT_ADD, make_uuid()), 0)

    def test_H086_surplus_descriptors_in_an_answer(self):
        fd = make_file(self, b"x")
        self.open(answers={Req.GET_SHARED_OBJECT: lambda peer, message: peer.answer(
            message.request, b"", [fd, fd])})
        expect_error(self, ERROR.BAD_FDS, self.frontend.get_shared_object, make_uuid(), None)
        self.assertFalse(self.frontend.is_open())

    def test_a_handler_may_leave_the_back_end(self):
        self.open()
        self.frontend.connect("shared-object-lookup", lambda frontend, key: frontend.close())
        self.channel.send(Back.SHARED_OBJECT_LOOKUP, make_uuid())
        self.assert_channel_closed()

    def test_a_handler_that_raises_is_a_refusal(self):
        self.open()
        self.frontend.connect("shared-object-lookup", lambda frontend, key: frontend.no_such_thing)
        self.channel.send(Back.SHARED_OBJECT_LOOKUP, make_uuid())
        self.assertNotEqual(self.channel.expect(Back.SHARED_OBJECT_LOOKUP), U64.pack(0))


if __name__ == "__main__":
    unittest.main()
