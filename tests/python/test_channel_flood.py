# SPDX-License-Identifier: BSD-3-Clause
"""No deadlock: each side may wait for an answer of the other while that waits for one of its own.

The back-ends here are spoken by hand, in a thread, and block as simple programs do.
"""

import itertools
import socket
import threading
import time
import unittest

from devices import Session, Vhost, serve_echo
from helpers import run_loop
from wire import REPLY, U64, VERSION, Back, Peer, Proto, Req, word

NEED_REPLY = 8
PROTOCOL = word(Proto.REPLY_ACK, Proto.BACKEND_REQ, Proto.CONFIG, Proto.STATUS)
FEATURES = word(30, 32)
BURST = 400  # more than a socket buffer of acks holds
ROUNDS = 20


class Blocking(threading.Thread):
    """Answers every request, but asks the front-end `burst` times first; waits for each answer
    (`pipelined`: sends all before it reads any)."""

    def __init__(self, sock, burst, pipelined, protocol):
        super().__init__(daemon=True)
        self.peer, self.burst, self.pipelined = Peer(sock), burst, pipelined
        self.protocol, self.flags = protocol, VERSION | NEED_REPLY
        self.channel, self.error = None, None
        self.every = 1
        self.asked = self.answered = 0

    def run(self):
        try:
            while (message := self.peer.receive()) is not None:
                self.serve(message)
        except (AssertionError, OSError) as error:
            self.error = error
        finally:
            self.peer.close()
            if self.channel:
                self.channel.close()

    def serve(self, message):
        if message.request == Req.SET_BACKEND_REQ_FD:
            self.channel = Peer(socket.socket(fileno=message.fds[0]))
        elif self.channel and self.answered % self.every == 0:
            self.ask_front_end()
        if message.request in (Req.GET_FEATURES, Req.GET_PROTOCOL_FEATURES, Req.GET_STATUS):
            value = {Req.GET_FEATURES: FEATURES,
                     Req.GET_PROTOCOL_FEATURES: self.protocol}.get(message.request, 0)
            self.peer.answer(message.request, U64.pack(value))
        elif message.flags & NEED_REPLY:
            self.peer.answer(message.request, U64.pack(0))
        self.answered += 1

    def ask_front_end(self):
        for _ in range(self.burst):
            self.channel.send(Back.CONFIG_CHANGE_MSG, flags=self.flags)
            self.asked += 1
            if self.flags & NEED_REPLY and not self.pipelined:
                self.take_ack()
        for _ in range(self.burst if self.pipelined else 0):
            self.take_ack()

    def take_ack(self):
        message = self.channel.receive()
        assert message and message[:3] == (Back.CONFIG_CHANGE_MSG, VERSION | REPLY, U64.pack(0))


class FrontEnd(unittest.TestCase):
    def begin(self, burst, pipelined, protocol=PROTOCOL):
        mine, its = socket.socketpair()
        served = Blocking(its, burst, pipelined, protocol)
        served.start()
        frontend = Vhost.UserFrontend(timeout=5000)
        with mine:
            frontend.open_fd(mine.fileno(), None)
        self.addCleanup(served.join)
        self.addCleanup(frontend.close)
        return frontend, served

    def flood(self, burst, pipelined):
        frontend, served = self.begin(burst, pipelined)
        changes = []
        frontend.connect("config-changed", lambda _: changes.append(1))
        for number in range(ROUNDS):
            self.assertEqual(frontend.get_status(None), 0)
            frontend.set_status(number, None)
        self.assertIsNone(served.error)
        self.assertGreaterEqual(served.asked, 2 * ROUNDS * burst)
        run_loop(lambda: changes)

    def test_a_back_end_that_waits_for_each_answer(self):
        self.flood(BURST, False)

    def test_a_back_end_that_sends_all_first(self):
        self.flood(BURST, True)

    def test_while_a_driver_waits_for_a_buffer(self):
        """Nothing is asked on the main channel; the back-end waits for its answer all the same."""
        frontend, served = self.begin(0, False)
        call = socket.socketpair()
        for end in call:
            self.addCleanup(end.close)

        def ask_then_call():
            served.burst = BURST
            served.ask_front_end()
            call[1].send(b"x")
        asker = threading.Thread(target=ask_then_call)
        asker.start()
        self.assertTrue(frontend.wait_readable(call[0].fileno(), 5000, None))
        asker.join()
        self.assertGreaterEqual(served.asked, BURST)

    def test_while_a_request_is_being_sent(self):
        """Nobody answers anything; each side fills the other's socket, and only then reads."""
        frontend, served = self.begin(0, False, PROTOCOL & ~word(Proto.REPLY_ACK))
        served.burst, served.flags, served.every = BURST, VERSION, 100
        for number in range(4 * BURST):
            frontend.set_status(number % 256, None)
        self.assertEqual(frontend.get_status(None), 0)
        self.assertIsNone(served.error)
        self.assertGreaterEqual(served.asked, 10 * BURST)


class BackEnd(Session):
    """A front-end that sends requests in bulk and reads nothing meanwhile, on either channel."""

    def test_requests_in_bulk_both_ways(self):
        self.begin_ring(serve=serve_echo)
        mine, its = socket.socketpair()
        self.addCleanup(mine.close)
        with its:
            self.peer.do(Req.SET_BACKEND_REQ_FD, fds=[its.fileno()])
        self.backend.set_config(b"config")
        for _ in itertools.repeat(None, 100):
            for _ in range(20):
                self.peer.send(Req.GET_FEATURES)
                self.backend.set_config(b"config")
            for _ in range(20):
                self.peer.expect(Req.GET_FEATURES)
        self.assertTrue(self.backend.is_connected())
        self.assertEqual(self.events.take("device-failed"), [])
        started = time.monotonic()
        self.peer.ask(Req.GET_FEATURES)
        self.assertLess(time.monotonic() - started, 1)


if __name__ == "__main__":
    unittest.main()
