# SPDX-License-Identifier: BSD-3-Clause
"""SET_VRING_ENDIAN: the byte order of legacy rings."""

import unittest

from devices import Driving, Session, Vhost, expect_error, serve_random
from peers import Row
from wire import STATE, U64, Feature, Proto, Req, word

ROW = Row("front-end, back-end", "this library", "SET_VRING_ENDIAN")

ENDIAN = word(Proto.CROSS_ENDIAN)
LITTLE, BIG = 0, 1


class Served(Session):
    n_queues = 2

    def make_backend(self, **properties):
        wanted = Vhost.UserBackend().get_property("protocol-features") | ENDIAN
        return super().make_backend(protocol_features=wanted, **properties)

    def begin_legacy(self, features=0):
        self.peer.send(Req.SET_PROTOCOL_FEATURES, U64.pack(ENDIAN | word(Proto.REPLY_ACK)))
        self.peer.do(Req.SET_FEATURES, U64.pack(word(Feature.PROTOCOL_FEATURES) | features))

    def set_endian(self, index, num):
        return self.peer.ack(Req.SET_VRING_ENDIAN, STATE.pack(index, num))

    def test_little_endian_is_served(self):
        self.begin_legacy()
        self.backend.connect("kick", serve_random)
        memory = self.make_memory()
        self.share(memory)
        self.assertEqual(self.set_endian(0, LITTLE), 0)
        ring = self.make_ring(memory)
        ring.attach(self.peer)
        self.assert_served(ring)

    def test_big_endian_is_refused_by_name(self):
        self.begin_legacy()
        self.assertNotEqual(self.set_endian(0, BIG), 0)
        self.assert_refused(Req.SET_VRING_ENDIAN, "big-endian rings are not served")

    def test_version_1_settles_it(self):
        self.begin_legacy(word(Feature.VERSION_1))
        for order in (LITTLE, BIG):
            self.assertNotEqual(self.set_endian(0, order), 0)
            self.assert_refused(Req.SET_VRING_ENDIAN, "VERSION_1")

    def test_wrong_values(self):
        self.begin_legacy()
        for index, num in ((0, 2), (0, 2**32 - 1), (2, 0), (256, 0), (0x10000, 0)):
            with self.subTest((index, num)):
                self.assertNotEqual(self.set_endian(index, num), 0)
                self.assert_refused(Req.SET_VRING_ENDIAN, str(num if num else index))

    def test_running_queue(self):
        self.begin_legacy()
        memory = self.make_memory()
        self.share(memory)
        self.make_ring(memory).attach(self.peer)
        self.assertNotEqual(self.set_endian(0, LITTLE), 0)
        self.assert_refused(Req.SET_VRING_ENDIAN, "queue 0 is running")
        self.assertEqual(self.set_endian(1, LITTLE), 0)

    def test_not_negotiated(self):
        self.peer.negotiate(protocol=word(Proto.REPLY_ACK))
        self.assertNotEqual(self.set_endian(0, LITTLE), 0)
        self.assert_refused(Req.SET_VRING_ENDIAN, "CROSS_ENDIAN was not negotiated")

    def test_offered_only_when_asked_for(self):
        backend = Vhost.UserBackend(device_id=self.device_id)
        self.addCleanup(backend.close)
        self.assertEqual(self.open_pair(backend).ask_u64(Req.GET_PROTOCOL_FEATURES) & ENDIAN, 0)


class BothEnds(Driving):
    def begin(self, features):
        self.serve(protocol_features=2**64 - 1)
        frontend = self.open_frontend()
        frontend.set_features(features, None)
        return frontend

    def test_legacy_device(self):
        frontend = self.begin(0)
        frontend.set_vring_endian(0, False, None)
        error = expect_error(self, Vhost.Error.REFUSED, frontend.set_vring_endian, 0, True, None)
        self.assertIn("SET_VRING_ENDIAN", error.message)

    def test_modern_device(self):
        frontend = self.begin(word(Feature.VERSION_1))
        expect_error(self, Vhost.Error.REFUSED, frontend.set_vring_endian, 0, False, None)

    def test_device_without(self):
        self.serve()
        frontend = self.open_frontend()
        expect_error(self, Vhost.Error.NOT_NEGOTIATED, frontend.set_vring_endian, 0, False, None)
        ROW.seen()


if __name__ == "__main__":
    unittest.main()
