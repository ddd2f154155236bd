# SPDX-License-Identifier: BSD-3-Clause
"""What the hostile tests share: what must be true of a rejection, and of the process afterwards."""

import os

from devices import Session
from helpers import run_loop
from wire import Req


def count_fds():
    return len(os.listdir("/proc/self/fd"))


def count_mappings(name="/memfd:guest"):
    with open("/proc/self/maps", encoding="ascii") as maps:
        return sum(name in line for line in maps)


def read_rss():
    """Resident bytes of this process."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")


class Attack(Session):
    """A front-end that means harm, and a second device in the same process that must not suffer."""

    def setUp(self):
        super().setUp()
        self.bystander = Bystander()
        self.bystander.setUp()
        self.addCleanup(self.bystander.doCleanups)

    def tearDown(self):
        self.bystander.assert_serves()
        super().tearDown()

    def assert_rejected(self, request, body=b"", fds=(), words=()):
        """Refused with an error ack; nothing is kept and the session goes on."""
        before = count_fds()
        self.assertNotEqual(self.peer.ack(request, body, fds), 0, f"{request!r} was accepted")
        error = self.assert_refused(request, *words)
        self.assertNotEqual(self.peer.ask_u64(Req.GET_FEATURES), 0)
        self.assertEqual(count_fds(), before)
        return error

    def assert_closed(self, signal="device-failed", says=""):
        """The connection is ended, with an error, and the next front-end is served."""
        run_loop(lambda: not self.backend.is_connected())
        errors = self.events.take(signal)
        self.assertEqual(len(errors), 1, self.events)
        self.assertIn(says, errors[0][-1].message)
        while self.peer.receive() is not None:
            pass
        self.peer.close()
        self.peer = self.open_pair(self.backend)
        self.assertNotEqual(self.peer.ask_u64(Req.GET_FEATURES), 0)
        return errors[0][-1]

    def assert_state(self, **expected):
        """What a rejected request must not have changed."""
        for name, value in expected.items():
            self.assertEqual(self.backend.get_property(name), value, name)


class Bystander(Session):
    """A device and a front-end that keep to the rules."""

    def setUp(self):
        super().setUp()
        self.begin_ring()

    def assert_serves(self):
        self.assert_served(self.ring)

    def runTest(self):
        """Not a test of its own."""
