# SPDX-License-Identifier: BSD-3-Clause
"""In-band notifications: queues without event descriptors, at both ends, and who gets to use
them.
"""

import socket
import unittest

from devices import Driving, Session, Vhost, expect_error, serve_echo, serve_random
from facing import CHANNEL, FacingHand
from gi.repository import GLib
from helpers import run_idle, run_loop, wait_until
from peers import Row
from rings import WRITE
from wire import (NEED_REPLY, NO_FD, STATE, U64, VERSION, Back, Proto, Req, is_readable, pack_table,
                  word)

ROW = Row("front-end, back-end", "this library",
          "in-band notifications: no descriptor for kicks, calls or errors")

INBAND = word(Proto.INBAND_NOTIFICATIONS)
NEEDS = word(Proto.REPLY_ACK, Proto.BACKEND_REQ)
ALL = 2**64 - 1


class InBand(Session):
    """A back-end that offers it, and a channel by hand."""

    n_queues = 2

    def make_backend(self, **properties):
        return super().make_backend(protocol_features=ALL, **properties)

    def begin_inband(self, serve=serve_random):
        self.backend.connect("kick", serve)
        self.peer.negotiate(protocol=NEEDS | INBAND)
        self.channel = self.give_channel()
        self.memory = self.make_memory()
        self.share(self.memory)
        self.ring = self.make_ring(self.memory)

    def give_channel(self):
        mine, its = socket.socketpair()
        with its:
            self.peer.do(Req.SET_BACKEND_REQ_FD, fds=[its.fileno()])
        return self.watch(mine)

    def attach(self, index=0, ring=None, kick=None, call=None, err=None):
        ring = ring or self.ring
        peer = self.peer
        peer.do(Req.SET_VRING_NUM, STATE.pack(index, ring.size))
        peer.do(Req.SET_VRING_BASE, STATE.pack(index, 0))
        peer.do(Req.SET_VRING_ADDR, ring.pack_addr(index))
        for request, fd in ((Req.SET_VRING_CALL, call), (Req.SET_VRING_ERR, err),
                            (Req.SET_VRING_KICK, kick)):
            self.assertEqual(peer.set_fd(request, index, fd), 0)
        peer.do(Req.SET_VRING_ENABLE, STATE.pack(index, 1))
        run_loop(lambda: self.backend.get_queue(index).get_property("enabled"))

    def offer_room(self, head=0, ring=None):
        """One chain, made available; nobody is told."""
        ring = ring or self.ring
        ring.describe(head, ring.memory.guest + ring.end + head * 4096, 16, WRITE)
        ring.offer(head)

    def take_call(self, request=Back.VRING_CALL, index=0, result=0):
        """The next message on the channel, answered."""
        message = self.channel.receive()
        self.assertEqual(message.request, request)
        self.assertEqual(STATE.unpack(message.body), (index, 0))
        self.channel.answer(request, U64.pack(result))

    def assert_channel_is_quiet(self):
        self.peer.ask(Req.GET_FEATURES)
        run_idle()
        self.assertFalse(is_readable(self.channel.sock))

    def kick(self, index=0):
        return self.peer.ack(Req.VRING_KICK, STATE.pack(index, 0))


class Served(InBand):
    def test_kick_is_answered_after_the_queue_was_looked_at(self):
        self.begin_inband()
        self.attach()
        for head in (0, 1, 2):
            self.offer_room(head)
            self.peer.send(Req.VRING_KICK, STATE.pack(0, 0), flags=VERSION | NEED_REPLY)
            self.assertEqual(self.peer.expect(Req.VRING_KICK), U64.pack(0))
            self.assertEqual(self.ring.used(), [(head, 16)])
            self.take_call()

    def test_kick_starts_a_queue_that_is_set_up(self):
        self.begin_inband()
        self.peer.do(Req.SET_VRING_NUM, STATE.pack(0, self.ring.size))
        self.peer.do(Req.SET_VRING_ADDR, self.ring.pack_addr())
        self.peer.do(Req.SET_VRING_ENABLE, STATE.pack(0, 1))
        self.assertFalse(self.backend.get_queue(0).is_started())
        self.offer_room()
        self.assertEqual(self.kick(), 0)
        self.assertTrue(self.backend.get_queue(0).is_started())
        self.ring.wait_used((0, 16))

    def test_kick_of_a_disabled_queue_serves_nothing(self):
        self.begin_inband()
        self.attach()
        self.peer.do(Req.SET_VRING_ENABLE, STATE.pack(0, 0))
        self.offer_room()
        self.assertEqual(self.kick(), 0)
        self.assertEqual(self.ring.used(), [])

    def test_kick_does_not_take_the_descriptor_away(self):
        self.begin_inband()
        self.attach(kick=self.ring.kick_fd)
        self.offer_room(0)
        self.assertEqual(self.kick(), 0)
        self.ring.wait_used((0, 16))
        self.offer_room(1)
        self.ring.kick()
        self.ring.wait_used((1, 16))

    def test_descriptors_that_were_given_are_used(self):
        self.begin_inband()
        self.attach(call=self.ring.call_fd, err=self.ring.err_fd)
        self.ring.take_calls()
        self.offer_room()
        self.assertEqual(self.kick(), 0)
        self.assertGreater(self.ring.take_calls(), 0)
        self.ring.avail_idx = 1000
        self.assertEqual(self.kick(), 0)
        self.assertGreater(self.ring.take_errors(), 0)
        self.assert_channel_is_quiet()

    def test_broken_queue_is_told_on_the_channel(self):
        self.begin_inband()
        self.attach()
        self.ring.avail_idx = 1000
        self.assertEqual(self.kick(), 0)
        self.take_call(Back.VRING_ERR)
        self.assertEqual(len(self.events.take("device-failed")), 1)

    def test_one_call_is_on_its_way_at_a_time(self):
        self.begin_inband()
        self.attach()
        for head in range(8):
            self.offer_room(head)
            self.assertEqual(self.kick(), 0)
        self.assertEqual(len(self.ring.used()), 8)
        self.take_call()
        self.take_call()  # for all that came meanwhile
        self.assert_channel_is_quiet()

    def test_call_has_no_deadline(self):
        """A driver may be busy; other requests still have theirs, and end the channel for all."""
        self.backend.props.timeout = 100
        self.begin_inband()
        self.attach()
        for head in (0, 1):
            self.offer_room(head)
            self.assertEqual(self.kick(), 0)
        self.assert_stays_open(300)
        self.take_call()
        self.channel.receive()
        self.ring.avail_idx = 1000
        self.assertEqual(self.kick(), 0)
        self.assertEqual(self.channel.receive().request, Back.VRING_ERR)
        self.assertIsNone(self.channel.receive())

    def assert_stays_open(self, milliseconds):
        over = []
        GLib.timeout_add(milliseconds, lambda: over.append(True))
        run_loop(lambda: over)
        self.assertTrue(is_readable(self.channel.sock))

    def test_call_waits_for_a_channel(self):
        self.begin_inband()
        self.channel.close()
        self.attach()
        self.offer_room()
        self.assertEqual(self.kick(), 0)
        self.ring.wait_used((0, 16))
        self.channel = self.give_channel()
        self.take_call()

    def test_answer_to_nothing_ends_the_channel_alone(self):
        self.begin_inband()
        self.attach()
        self.channel.answer(Back.VRING_CALL, U64.pack(0))
        self.assertIsNone(self.channel.receive())
        (error,), = self.events.take("device-failed")
        self.assertIn("VRING_CALL", error.message)
        self.offer_room()
        self.assertEqual(self.kick(), 0)
        self.ring.wait_used((0, 16))

    def test_answer_to_another_request_ends_the_channel_alone(self):
        self.begin_inband()
        self.attach()
        self.offer_room()
        self.assertEqual(self.kick(), 0)
        self.channel.receive()
        self.channel.answer(Back.VRING_ERR, U64.pack(0))
        self.assertIsNone(self.channel.receive())
        self.assertEqual(len(self.events.take("device-failed")), 1)

    def test_refused_call_is_told_and_not_repeated(self):
        refused = []
        self.backend.connect("request-refused", lambda _, *args: refused.append(args))
        self.begin_inband()
        self.attach()
        self.offer_room()
        self.assertEqual(self.kick(), 0)
        self.take_call(result=1)
        run_loop(lambda: refused)
        (request, error), = refused
        self.assertEqual(request, Back.VRING_CALL)
        self.assertTrue(error.matches(Vhost.error_quark(), Vhost.Error.REFUSED))
        self.assert_channel_is_quiet()

    def test_stopped_queue_calls_no_more(self):
        self.begin_inband()
        self.attach()
        for head in (0, 1):
            self.offer_room(head)
            self.assertEqual(self.kick(), 0)
        self.assertEqual(self.peer.ask_base(0), 2)
        self.take_call()
        self.assert_channel_is_quiet()

    def test_handler_may_end_the_session(self):
        self.begin_inband(lambda backend, queue: backend.close())
        self.attach()
        self.offer_room()
        self.peer.send(Req.VRING_KICK, STATE.pack(0, 0), flags=VERSION | NEED_REPLY)
        self.assertIsNone(self.peer.receive())


class Refused(InBand):
    def test_wrong_index(self):
        self.begin_inband()
        for index in (2, 256, 0x10000, 2**32 - 1):
            with self.subTest(index):
                self.assertNotEqual(self.kick(index), 0)
                self.assert_refused(Req.VRING_KICK, f"queue {index}")

    def test_wrong_size(self):
        self.begin_inband()
        for body in (b"", bytes(4), bytes(7)):
            with self.subTest(len(body)):
                self.assertNotEqual(self.peer.ack(Req.VRING_KICK, body), 0)
                self.assert_refused(Req.VRING_KICK, "must be 8")

    def test_descriptor_on_a_kick(self):
        self.begin_inband()
        self.assertNotEqual(self.peer.ack(Req.VRING_KICK, STATE.pack(0, 0), [self.memory.fd]), 0)
        self.assert_refused(Req.VRING_KICK, "descriptors")

    def test_ring_that_lies_outside(self):
        self.begin_inband()
        self.peer.do(Req.SET_VRING_NUM, STATE.pack(0, self.ring.size))
        self.peer.do(Req.SET_VRING_ADDR, self.ring.pack_addr())
        self.peer.do(Req.SET_MEM_TABLE, pack_table((0, self.memory.size, 0x1000, 0)),
                     [self.memory.fd])
        self.assertNotEqual(self.kick(), 0)
        self.assert_refused(Req.VRING_KICK, "region")
        self.assertFalse(self.backend.get_queue(0).is_started())

    def test_not_negotiated(self):
        self.peer.negotiate(protocol=NEEDS)
        self.assertNotEqual(self.kick(), 0)
        self.assert_refused(Req.VRING_KICK, "INBAND_NOTIFICATIONS was not negotiated")

    def test_without_what_it_needs_the_session_ends(self):
        for protocol in (0, word(Proto.REPLY_ACK), word(Proto.BACKEND_REQ)):
            with self.subTest(protocol):
                peer = self.watch_new()
                peer.send(Req.SET_PROTOCOL_FEATURES, U64.pack(INBAND | protocol))
                self.assertIsNone(peer.receive())
                self.assert_refused(Req.SET_PROTOCOL_FEATURES, "INBAND_NOTIFICATIONS without")

    def watch_new(self):
        self.backend.close()
        return self.open_pair(self.backend)

    def test_not_offered_without_what_it_needs(self):
        for protocol in (INBAND, INBAND | word(Proto.REPLY_ACK), INBAND | word(Proto.BACKEND_REQ)):
            backend = self.make_plain(protocol)
            offered = self.open_pair(backend).ask_u64(Req.GET_PROTOCOL_FEATURES)
            self.assertEqual(offered & INBAND, 0)
            backend.close()

    def make_plain(self, protocol):
        backend = Vhost.UserBackend(device_id=self.device_id, protocol_features=protocol)
        self.addCleanup(backend.close)
        return backend

    def test_without_it_no_descriptor_means_no_notification(self):
        self.backend.connect("kick", serve_random)
        self.peer.negotiate(protocol=NEEDS)
        self.channel = self.give_channel()
        self.memory = self.make_memory()
        self.share(self.memory)
        self.ring = self.make_ring(self.memory)
        self.attach(kick=self.ring.kick_fd)
        self.offer_room()
        self.ring.kick()
        self.ring.wait_used((0, 16))
        self.assert_channel_is_quiet()


class BothEnds(Driving):
    """Our driver and our device, with no descriptor but those of memory and sockets."""

    def open_frontend(self, **properties):
        properties.setdefault("protocol_features", ALL)
        return super().open_frontend(**properties)

    def begin(self, **options):
        self.serve(protocol_features=ALL, **options)
        self.frontend = self.open_frontend()
        self.assertTrue(self.frontend.has_in_band_notifications())

    def test_driver_runs_without_event_descriptors(self):
        self.begin(n_queues=2)
        driver = self.start_driver(2, frontend=self.frontend)
        for i in range(200):
            data = b"%d" % i
            self.assertEqual(driver.get_queue(i % 2).request(data, 64, None), data)
        kicks = self.served.call(lambda backend: backend.get_queue(0).get_property("kicks"))
        self.assertEqual(kicks, 100)

    def test_used_is_emitted_from_the_loop(self):
        self.begin()
        queue = self.start_driver(frontend=self.frontend).get_queue(0)
        got = []

        def on_used(queue):
            while (buffer := queue.collect()) is not None:
                got.append(bytes(buffer.get_data()))
        queue.connect("used", on_used)
        queue.start_watching()
        for i in range(20):
            queue.add(b"%d" % i, 8)
            queue.kick()
        run_loop(lambda: len(got) == 20)
        self.assertEqual(got, [b"%d" % i for i in range(20)])

    def test_device_that_answers_later_is_waited_for(self):
        def serve_late(backend, queue):
            timer = GLib.timeout_source_new(50)
            timer.set_callback(lambda *_: serve_echo(backend, queue))
            timer.attach(GLib.MainContext.get_thread_default())
        self.begin(kick=serve_late)
        queue = self.start_driver(frontend=self.frontend).get_queue(0)
        self.assertEqual(queue.request(b"late", 8, None), b"late")

    def test_silent_device_is_left_at_the_deadline(self):
        self.begin(kick=lambda backend, queue: None)
        queue = self.start_driver(frontend=self.frontend).get_queue(0)
        queue.set_timeout(100)
        expect_error(self, Vhost.Error.TIMED_OUT, queue.request, b"?", 8, None)

    def test_device_that_leaves_ends_the_wait(self):
        def leave(backend, queue):
            backend.close()
        self.begin(kick=leave)
        driver = self.start_driver(frontend=self.frontend)
        queue = driver.get_queue(0)
        expect_error(self, Vhost.Error.DISCONNECTED, queue.request, b"?", 8, None)
        self.assertFalse(driver.is_started())

    def test_queue_notify_and_queue_error(self):
        self.begin()
        seen = []
        self.frontend.connect("queue-notify", lambda _, index: seen.append(("notify", index)))
        self.frontend.connect("queue-error", lambda _, index: seen.append(("error", index)))
        driver = self.start_driver(size=8, frontend=self.frontend,
                                   wanted_features=word(Vhost.Feature.VERSION_1))
        queue = driver.get_queue(0)
        self.assertEqual(queue.request(b"x", 8, None), b"x")
        run_loop(lambda: ("notify", 0) in seen)
        self.break_ring(driver)
        self.frontend.kick_vring(0, None)
        run_loop(lambda: ("error", 0) in seen)
        expect_error(self, Vhost.Error.BROKEN_QUEUE, queue.request, b"x", 8, None)

    def break_ring(self, driver):
        """An index of the available ring that is out of all reason."""
        memory = driver.get_memory()
        start = memory.get_region(0).get_guest_address()
        memory.write(start + 8 * 16 + 2, (5000).to_bytes(2, "little"))

    def test_frontend_takes_it_only_when_asked(self):
        self.serve(protocol_features=ALL)
        frontend = self.open_frontend(
            protocol_features=Vhost.UserFrontend().get_property("protocol-features"))
        self.assertFalse(frontend.has_in_band_notifications())
        error = expect_error(self, Vhost.Error.NOT_NEGOTIATED, frontend.kick_vring, 0, None)
        self.assertIn("VRING_KICK", error.message)
        driver = self.start_driver(frontend=frontend)
        self.assertEqual(driver.get_queue(0).request(b"fd", 8, None), b"fd")

    def test_wrong_index_is_refused(self):
        self.begin()
        expect_error(self, Vhost.Error.REFUSED, self.frontend.kick_vring, 1, None)
        self.assertTrue(self.frontend.is_open())
        ROW.seen()


class HostileBackend(FacingHand):
    """A back-end that says on the channel what it should not."""

    def setUp(self):
        super().setUp()
        self.frontend = self.make_frontend(protocol_features=ALL)
        self.seen = []
        self.frontend.connect("queue-notify", lambda _, index: self.seen.append(index))
        self.protocol = CHANNEL | INBAND

    def test_calls_of_queues_that_do_not_exist_are_refused(self):
        acks = []

        def say(channel):
            for index in (0, 1, 2, 255, 256, 2**32 - 1):
                acks.append(channel.ack(Back.VRING_CALL, STATE.pack(index, 0)))
        self.open_saying(say, protocol=self.protocol)
        self.listen()
        self.assertEqual([bool(ack) for ack in acks], [False, False, True, True, True, True])
        self.assertEqual(self.seen, [])  # never from inside a request
        run_loop(lambda: len(self.seen) == 2)
        self.assertEqual(self.seen, [0, 1])

    def test_H090_storm_of_calls_is_one_signal_per_turn(self):
        def say(channel):
            for _ in range(500):
                channel.send(Back.VRING_CALL, STATE.pack(1, 0))
            self.assertEqual(channel.ack(Back.VRING_CALL, STATE.pack(1, 0)), 0)
        self.open_saying(say, protocol=self.protocol)
        self.listen()
        run_idle()
        self.assertEqual(self.seen, [1])

    def test_malformed_call_costs_the_channel_alone(self):
        for body in (b"", b"1234", bytes(9)):
            with self.subTest(len(body)):
                self.open_saying(lambda channel, body=body: channel.send(Back.VRING_CALL, body),
                                 protocol=self.protocol)
                self.listen()
                run_idle()
                self.assertTrue(self.frontend.is_open())
                expect_error(self, Vhost.Error.DISCONNECTED, self.frontend.wait_readable, -1, 10,
                             None)
                self.frontend.close()

    def test_driver_hands_no_event_descriptor_over(self):
        self.open(protocol=self.protocol)
        driver = Vhost.Driver(device=self.frontend)
        driver.start(2, 16, None)
        self.addCleanup(driver.stop, None)
        for request in (Req.SET_VRING_CALL, Req.SET_VRING_ERR, Req.SET_VRING_KICK):
            told = [(message.body, message.fds) for message in self.fake.find(request)]
            self.assertEqual(told, [(U64.pack(index | NO_FD), []) for index in (0, 1)])
        driver.get_queue(1).add(b"x", 0)
        driver.get_queue(1).kick()
        self.assertEqual(self.last(Req.VRING_KICK).body, STATE.pack(1, 0))

    def test_refused_kick_ends_the_queue(self):
        def refuse(peer, message):
            peer.answer(message.request, U64.pack(1))
        self.open(protocol=self.protocol, odd={Req.VRING_KICK: refuse})
        driver = Vhost.Driver(device=self.frontend)
        driver.start(1, 16, None)
        self.addCleanup(driver.stop, None)
        error = expect_error(self, Vhost.Error.REFUSED, driver.get_queue(0).request, b"x", 8, None)
        self.assertIn("VRING_KICK", error.message)

    def test_not_negotiated(self):
        acks = []

        def say(channel):
            acks.append(channel.ack(Back.VRING_CALL, STATE.pack(0, 0)))
        self.open_saying(say)
        self.listen()
        self.assertNotEqual(acks, [0])

    def test_offer_without_what_it_needs_is_not_accepted(self):
        for protocol in (INBAND, INBAND | word(Proto.REPLY_ACK), INBAND | word(Proto.BACKEND_REQ)):
            with self.subTest(protocol):
                self.open(protocol=protocol)
                wait_until(lambda: self.fake.find(Req.SET_OWNER), "end of the opening")
                self.assertEqual(self.acked() & INBAND, 0)
                self.frontend.close()

    def test_wait(self):
        self.open(protocol=self.protocol)
        expect_error(self, Vhost.Error.TIMED_OUT, self.frontend.wait_readable, -1, 20, None)
        self.fake.channel.send(Back.VRING_CALL, STATE.pack(0, 0))
        self.assertTrue(self.frontend.wait_readable(-1, 2000, None))
        run_loop(lambda: self.seen == [0])
        self.fake.stop()
        with self.assertRaises(GLib.Error):
            while self.frontend.wait_readable(-1, 20, None):
                pass
        expect_error(self, Vhost.Error.DISCONNECTED, self.frontend.wait_readable, -1, 20, None)

    def test_wait_for_a_descriptor_serves_the_channel(self):
        self.open(protocol=self.protocol)
        mine, its = socket.socketpair()
        with mine, its:
            expect_error(self, Vhost.Error.TIMED_OUT, self.frontend.wait_readable, mine.fileno(),
                         0, None)
            self.fake.channel.send(Back.VRING_CALL, STATE.pack(0, 0))
            expect_error(self, Vhost.Error.TIMED_OUT, self.frontend.wait_readable, mine.fileno(),
                         20, None)
            run_loop(lambda: self.seen == [0])
            its.send(b"x")
            self.assertTrue(self.frontend.wait_readable(mine.fileno(), 0, None))


if __name__ == "__main__":
    unittest.main()
