# SPDX-License-Identifier: BSD-3-Clause
"""A front-end whose back-end is spoken by hand, with a channel on which it says what it likes."""

import contextlib
import socket

from devices import Vhost
from helpers import TempDir
from wire import U64, FakeBackend, Feature, Proto, Req, word

FEATURES = word(Feature.VERSION_1, Feature.PROTOCOL_FEATURES)
CHANNEL = word(Proto.MQ, Proto.REPLY_ACK, Proto.BACKEND_REQ, Proto.STATUS)


class FacingHand(TempDir):
    """A test with `self.frontend`, and `self.fake`, of two queues, at the other end once open."""

    def setUp(self):
        super().setUp()
        self.frontend = self.make_frontend()
        self.fake = None

    def make_frontend(self, **properties):
        frontend = Vhost.UserFrontend(timeout=2000, **properties)
        self.addCleanup(frontend.close)
        return frontend

    def open(self, protocol=CHANNEL, features=FEATURES, odd=None):
        mine, its = socket.socketpair()
        self.fake = FakeBackend(its, features, protocol, odd)
        self.addCleanup(self.fake.stop)
        self.addCleanup(self.frontend.close)
        with mine:
            self.frontend.open_fd(mine.fileno(), None)

    def open_saying(self, say, **options):
        """What `say` says on the channel comes while GET_STATUS is not answered yet."""
        def say_and_answer(peer, message):
            with contextlib.suppress(AssertionError, OSError):  # the channel was closed
                say(self.fake.channel)
            peer.answer(message.request, U64.pack(0))
        self.open(odd={Req.GET_STATUS: say_and_answer}, **options)

    def listen(self):
        """One request, during which the channel is served."""
        return self.frontend.get_status(None)

    def acked(self):
        """What the front-end accepted of the protocol features."""
        message, = self.fake.find(Req.SET_PROTOCOL_FEATURES)
        return U64.unpack(message.body)[0]

    def last(self, request):
        return self.fake.find(request)[-1]
