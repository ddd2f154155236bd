# SPDX-License-Identifier: BSD-3-Clause
"""The life of a queue: started and enabled in any order, stopped when nothing is in flight, resumed
where it stood, reset.
"""

import itertools
import time
import unittest

from devices import Session, Vhost, serve_random
from helpers import run_idle, run_loop
from wire import STATE, U64, Feature, Req, is_readable, word

ENABLE = STATE.pack(0, 1)
DISABLE = STATE.pack(0, 0)


class Order(Session):
    """A ring starts with its kick, once its number, addresses and memory are there."""

    def setUp(self):
        super().setUp()
        self.backend.connect("kick", serve_random)
        self.peer.negotiate()
        self.memory = self.make_memory()
        self.ring = self.make_ring(self.memory)

    def steps(self):
        peer, ring = self.peer, self.ring
        return {
            "memory": lambda: self.share(self.memory),
            "num": lambda: peer.do(Req.SET_VRING_NUM, STATE.pack(0, ring.size)),
            "addr": lambda: peer.do(Req.SET_VRING_ADDR, ring.pack_addr()),
            "kick": lambda: self.assertEqual(peer.set_fd(Req.SET_VRING_KICK, 0, ring.kick_fd), 0),
            "enable": lambda: peer.do(Req.SET_VRING_ENABLE, ENABLE),
        }

    def test_any_order_ends_in_a_running_queue(self):
        for order in itertools.permutations(self.steps()):
            with self.subTest(" ".join(order)):
                self.start_in_order(order)
                self.begin_again()

    def start_in_order(self, order):
        steps = self.steps()
        starting = max(map(order.index, ("memory", "num", "addr", "kick")))
        for place, name in enumerate(order):
            steps[name]()
            self.assertEqual(self.backend.get_queue(0).is_started(), place >= starting, name)
        self.assertEqual(self.events.take("queue-started"), [(0,)])
        self.assert_served(self.ring)

    def begin_again(self):
        self.backend.close()
        self.ring.begin_at(0)
        self.peer = self.open_pair(self.backend)
        self.peer.negotiate()

    def test_call_may_come_last(self):
        for step in self.steps().values():
            step()
        self.assertEqual(self.peer.set_fd(Req.SET_VRING_CALL, 0, self.ring.call_fd), 0)
        self.assert_served(self.ring)
        self.assertGreater(self.ring.take_calls(), 0)

    def test_buffers_that_were_there_before_are_served_without_a_kick(self):
        self.offer_room(self.ring)
        self.ring.take_kicks()
        for step in self.steps().values():
            step()
        self.ring.wait_used((0, 16))

    def test_without_a_kick_descriptor_it_starts_too(self):
        self.offer_room(self.ring)
        steps = self.steps()
        steps["kick"] = lambda: self.assertEqual(self.peer.set_fd(Req.SET_VRING_KICK, 0, None), 0)
        for step in steps.values():
            step()
        self.ring.wait_used((0, 16))

    def test_a_kick_while_disabled_is_served_when_enabled(self):
        steps = self.steps()
        for name in ("memory", "num", "addr", "kick"):
            steps[name]()
        self.offer_room(self.ring)
        self.peer.ask_u64(Req.GET_FEATURES)
        self.assertEqual(self.ring.used(), [])
        steps["enable"]()
        self.ring.wait_used((0, 16))

    def test_without_bit_30_queues_are_enabled_at_once(self):
        self.peer.do(Req.SET_FEATURES, U64.pack(word(Feature.VERSION_1)))
        steps = self.steps()
        for name in ("memory", "num", "addr", "kick"):
            steps[name]()
        self.assertTrue(self.backend.get_queue(0).is_enabled())
        self.assert_served(self.ring)

    def test_with_bit_30_features_leave_enabled_as_it_is(self):
        for value in (ENABLE, DISABLE):
            self.peer.do(Req.SET_VRING_ENABLE, value)
            self.peer.do(Req.SET_FEATURES, U64.pack(word(Feature.VERSION_1,
                                                         Feature.PROTOCOL_FEATURES)))
            self.assertEqual(self.backend.get_queue(0).is_enabled(), value == ENABLE)


class Running(Session):
    n_queues = 2

    def setUp(self):
        super().setUp()
        self.begin_ring()

    def test_signals_of_a_session_in_their_order(self):
        self.assert_served(self.ring)
        self.peer.ask_base(0)
        self.peer.close()
        run_loop(lambda: not self.backend.is_connected())
        self.assertEqual(self.events.names(), ["connected", "features-changed", "memory-changed",
                                               "queue-started", "queue-stopped", "disconnected"])

    def test_disabled_queue_is_left_alone(self):
        self.peer.do(Req.SET_VRING_ENABLE, DISABLE)
        self.offer_room(self.ring)
        self.peer.ask_u64(Req.GET_FEATURES)
        self.assertEqual(self.ring.used(), [])
        self.assertIsNone(self.backend.get_queue(0).pop())
        self.peer.do(Req.SET_VRING_ENABLE, ENABLE)
        self.ring.wait_used((0, 16))

    def test_call_descriptor_can_be_exchanged(self):
        other = self.make_ring(self.memory, 8, 1 << 19)
        self.assertEqual(self.peer.set_fd(Req.SET_VRING_CALL, 0, other.call_fd), 0)
        other.take_calls()
        self.ring.take_calls()
        self.assert_served(self.ring)
        self.assertEqual(self.ring.take_calls(), 0)
        self.assertGreater(other.take_calls(), 0)

    def test_kick_descriptor_can_be_exchanged(self):
        other = self.make_ring(self.memory, 8, 1 << 19)
        self.assertEqual(self.peer.set_fd(Req.SET_VRING_KICK, 0, other.kick_fd), 0)
        self.offer_room(self.ring)
        other.kick()
        self.ring.wait_used((0, 16))

    def test_without_a_call_descriptor_nobody_is_notified(self):
        self.assertEqual(self.peer.set_fd(Req.SET_VRING_CALL, 0, None), 0)
        self.ring.take_calls()
        self.assert_served(self.ring)
        self.assertEqual(self.ring.take_calls(), 0)

    def test_one_queue_stops_and_the_other_goes_on(self):
        other = self.make_ring(self.memory, 8, 1 << 19)
        other.attach(self.peer, 1)
        self.peer.ask_base(0)
        self.assert_served(other)
        self.assertFalse(self.backend.get_queue(0).is_started())
        self.assertTrue(self.backend.get_queue(1).is_started())

    def test_log_flag_may_change_live(self):
        self.peer.do(Req.SET_VRING_ADDR, self.ring.pack_addr(flags=1))
        self.assert_served(self.ring)

    def test_counters(self):
        queue = self.backend.get_queue(0)
        for _ in range(3):
            self.assert_served(self.ring)
        self.assertEqual(queue.props.chains, 3)
        self.assertGreater(queue.props.kicks, 0)
        self.assertLessEqual(queue.props.kicks, 3)
        self.assertEqual(queue.props.notifications, 3)
        self.assertEqual((queue.props.index, queue.props.size), (0, 8))


class Resuming(Session):
    def test_goes_on_where_it_stood(self):
        self.begin_ring()
        for head in range(3):
            self.assert_served(self.ring, head=head)
        self.assertEqual(self.peer.ask_base(0), 3)
        self.ring.attach(self.peer, base=3)
        self.assert_served(self.ring)
        self.assertEqual(self.ring.used_idx, 4)

    def test_setup_survives_a_stop(self):
        """A front-end may send nothing but the descriptors to start a queue again."""
        self.begin_ring()
        self.assert_served(self.ring)
        self.assertEqual(self.peer.ask_base(0), 1)
        self.ring.give_fds(self.peer)
        self.assert_served(self.ring)

    def test_index_wraps_at_16_bits(self):
        self.begin()
        self.ring = self.make_ring(self.memory)
        self.ring.begin_at(0xFFFE)
        self.ring.attach(self.peer, base=0xFFFE)
        for head in range(4):
            self.assert_served(self.ring, head=head)
        self.assertEqual(self.peer.ask_base(0), 2)

    def test_base_of_a_queue_that_never_ran(self):
        self.begin()
        self.peer.do(Req.SET_VRING_BASE, STATE.pack(0, 77))
        self.assertEqual(self.peer.ask_base(0), 77)

    def test_a_queue_stopped_twice_gives_the_same_base(self):
        self.begin_ring()
        self.assert_served(self.ring)
        self.assertEqual([self.peer.ask_base(0), self.peer.ask_base(0)], [1, 1])

    def test_stop_closes_kick_and_call(self):
        self.begin_ring()
        self.assert_served(self.ring)
        self.ring.take_calls()
        self.peer.ask_base(0)
        self.peer.do(Req.SET_VRING_ADDR, self.ring.pack_addr())
        self.assertEqual(self.peer.set_fd(Req.SET_VRING_KICK, 0, None), 0)
        self.offer_room(self.ring)
        self.peer.do(Req.SET_VRING_ENABLE, DISABLE)
        self.peer.do(Req.SET_VRING_ENABLE, ENABLE)
        self.ring.wait_used((0, 16))
        self.assertEqual(self.ring.take_calls(), 0)


class Holding(Session):
    """A device that keeps what it pops."""

    def setUp(self):
        super().setUp()
        self.held = []
        self.begin_ring(serve=self.hold)
        self.queue = self.backend.get_queue(0)

    def hold(self, backend, queue):
        while (chain := queue.pop()) is not None:
            self.held.append(chain)

    def fetch(self, n):
        for head in range(n):
            self.offer_room(self.ring, head=head)
        run_loop(lambda: len(self.held) == n)

    def push(self, number, data=b""):
        return self.queue.push(self.held[number], self.held[number].write(0, data))

    def assert_dead(self, chain):
        self.assertFalse(chain.is_alive())
        self.assertEqual(chain.get_writable_size(), 0)
        self.assertEqual(chain.write(0, b"late"), 0)
        self.assertFalse(self.queue.push(chain, 4))


class InFlight(Holding):
    """It is told to stop meanwhile."""

    def ask_to_stop(self):
        self.peer.send(Req.GET_VRING_BASE, STATE.pack(0, 0))
        run_loop(lambda: "queue-stopped" in self.events.names())
        self.assertFalse(is_readable(self.peer.sock))

    def assert_stopped(self, base):
        self.assertEqual(STATE.unpack(self.peer.expect(Req.GET_VRING_BASE)), (0, base))

    def test_answer_waits_until_all_are_pushed(self):
        self.fetch(2)
        self.ask_to_stop()
        self.assertEqual(self.queue.get_n_in_flight(), 2)
        self.assertTrue(self.push(1))
        self.assertFalse(is_readable(self.peer.sock))
        self.assertTrue(self.push(0, b"hello"))
        self.assert_stopped(2)
        self.assertEqual(self.ring.used(), [(1, 0), (0, 5)])

    def test_nothing_more_is_popped_meanwhile(self):
        self.fetch(1)
        self.ask_to_stop()
        self.offer_room(self.ring, head=1)
        self.assertIsNone(self.queue.pop())
        self.push(0)
        self.assert_stopped(1)

    def test_a_chain_given_back_counts_as_never_fetched(self):
        self.fetch(1)
        self.ask_to_stop()
        self.assertTrue(self.queue.unpop(self.held[0]))
        self.assert_stopped(0)
        self.assertEqual(self.ring.used(), [])

    def test_no_other_request_is_served_before(self):
        self.fetch(1)
        self.ask_to_stop()
        self.peer.send(Req.SET_STATUS, U64.pack(1))
        run_idle()
        self.assertEqual(self.backend.props.status, 0)
        self.push(0)
        self.assert_stopped(1)
        self.assertEqual(self.peer.ask_u64(Req.GET_STATUS), 1)

    def test_may_be_pushed_from_the_signal_itself(self):
        self.fetch(1)
        self.backend.connect("queue-stopped", lambda *_: self.push(0, b"abc"))
        self.assertEqual(self.peer.ask_base(0), 1)
        self.assertEqual(self.ring.used(), [(0, 3)])

    def test_resumes_behind_what_was_in_flight(self):
        self.fetch(1)
        self.ask_to_stop()
        self.push(0, b"a")
        self.assert_stopped(1)
        self.held.clear()
        self.ring.attach(self.peer, base=1)
        self.fetch(1)
        self.push(0, b"bc")
        self.assertEqual(self.ring.used(), [(0, 1), (0, 2)])

    def test_front_end_that_leaves_meanwhile_is_noticed(self):
        self.fetch(1)
        self.ask_to_stop()
        self.peer.close()
        run_loop(lambda: not self.backend.is_connected())
        self.assert_dead(self.held[0])
        self.assertEqual(self.ring.used(), [])


class Leaving(Holding):
    def test_handles_are_dead_afterwards(self):
        self.fetch(2)
        self.peer.close()
        run_loop(lambda: not self.backend.is_connected())
        for chain in self.held:
            self.assert_dead(chain)
        self.assertEqual(self.ring.used(), [])


class DrainTimeout(Holding):
    """It is told to stop and never gives back what it holds."""

    def make_backend(self, **properties):
        return super().make_backend(drain_timeout=50, **properties)

    def test_last_ones_go_back_to_the_ring(self):
        self.fetch(2)
        started = time.monotonic()
        self.assertEqual(self.peer.ask_base(0), 0)
        self.assertGreater(time.monotonic() - started, 0.04)
        self.assert_dead(self.held[0])
        self.assertEqual(self.ring.used(), [])

    def test_front_end_that_leaves_meanwhile_is_noticed_in_time(self):
        self.fetch(1)
        self.peer.send(Req.GET_VRING_BASE, STATE.pack(0, 0))
        run_loop(lambda: "queue-stopped" in self.events.names())
        self.peer.close()
        run_loop(lambda: not self.backend.is_connected())
        self.assert_dead(self.held[0])

    def test_what_was_overtaken_is_given_up(self):
        self.fetch(2)
        self.push(1)
        self.assertEqual(self.peer.ask_base(0), 2)
        self.assert_dead(self.held[0])

    def test_queue_can_be_started_again(self):
        self.fetch(1)
        base = self.peer.ask_base(0)
        self.held.clear()
        self.ring.attach(self.peer, base=base)
        run_loop(lambda: self.held)
        self.assertTrue(self.push(0, b"again"))
        self.assertEqual(self.ring.used(), [(0, 5)])


class Reset(Session):
    def setUp(self):
        super().setUp()
        self.begin_ring()
        self.assert_served(self.ring)
        self.peer.do(Req.SET_STATUS, U64.pack(Vhost.Status.DRIVER_OK))
        self.peer.do(Req.RESET_DEVICE)

    def test_all_queues_are_stopped_and_disabled(self):
        queue = self.backend.get_queue(0)
        self.assertFalse(queue.is_started() or queue.is_enabled())
        self.assertEqual(self.events.names()[-2:], ["queue-stopped", "reset"])
        self.assertEqual(self.peer.ask_u64(Req.GET_STATUS), 0)
        self.assertEqual(self.peer.ask_base(0), 0)

    def test_session_and_memory_stay(self):
        self.assertTrue(self.backend.is_connected())
        self.assertEqual(self.backend.get_memory().get_n_regions(), 1)
        self.ring.begin_at(0)
        self.ring.attach(self.peer)
        self.assert_served(self.ring)

    def test_nothing_is_served_in_between(self):
        self.offer_room(self.ring)
        self.peer.ask_u64(Req.GET_FEATURES)
        self.assertEqual(self.ring.used(), [])


class ResetOwner(Session):
    def test_disables_queues(self):
        self.begin_ring()
        self.peer.do(Req.RESET_OWNER)
        self.assertFalse(self.backend.get_queue(0).is_enabled())
        self.peer.do(Req.SET_OWNER)
        self.peer.do(Req.SET_VRING_ENABLE, ENABLE)
        self.assert_served(self.ring)


if __name__ == "__main__":
    unittest.main()
