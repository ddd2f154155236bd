# SPDX-License-Identifier: BSD-3-Clause
"""NET_SET_MTU, from a front-end to a network card that has the MTU feature."""

import unittest

from devices import Driving, Session, Vhost, expect_error
from peers import Row
from wire import U64, Feature, Proto, Req, word

ROW = Row("front-end, back-end", "this library", "NET_SET_MTU")

MTU_FEATURE = 3  # VIRTIO_NET_F_MTU
MTU = word(Proto.MTU)
SMALLEST = 68


class Served(Session):
    device_id = Vhost.DeviceId.NETWORK

    def setUp(self):
        super().setUp()
        self.seen = []
        self.backend.add_feature(MTU_FEATURE)
        self.backend.connect("notify::mtu",
                             lambda backend, _: self.seen.append(backend.get_property("mtu")))

    def set_mtu(self, mtu):
        return self.peer.ack(Req.NET_SET_MTU, U64.pack(mtu))

    def test_mtu_is_told(self):
        self.peer.negotiate(word(MTU_FEATURE))
        self.assertEqual(self.backend.get_property("mtu"), 0)
        for mtu in (SMALLEST, 1500, 9000, 65535):
            self.assertEqual(self.set_mtu(mtu), 0)
            self.assertEqual(self.backend.get_property("mtu"), mtu)
        self.assertEqual(self.seen, [SMALLEST, 1500, 9000, 65535])

    def test_qemu_sets_it_before_the_features(self):
        """Its driver has accepted the feature then, the back-end has not heard of it yet."""
        self.peer.send(Req.SET_PROTOCOL_FEATURES, U64.pack(MTU | word(Proto.REPLY_ACK)))
        self.assertEqual(self.set_mtu(1500), 0)

    def test_driver_that_did_not_accept_the_feature(self):
        self.peer.negotiate()
        self.assertNotEqual(self.set_mtu(1500), 0)
        self.assert_refused(Req.NET_SET_MTU, "MTU was not negotiated")

    def test_out_of_range(self):
        self.backend.set_property("max-mtu", 9000)
        self.peer.negotiate(word(MTU_FEATURE))
        self.assertEqual(self.set_mtu(1500), 0)
        for mtu in (0, SMALLEST - 1, 9001, 65536, 1500 + 2**32, 2**64 - 1):
            with self.subTest(mtu):
                self.assertNotEqual(self.set_mtu(mtu), 0)
                self.assert_refused(Req.NET_SET_MTU, str(mtu), "68 to 9000")
        self.assertEqual(self.backend.get_property("mtu"), 1500)

    def test_offered_with_the_feature_only(self):
        self.assertEqual(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES) & MTU, MTU)
        self.backend.remove_feature(MTU_FEATURE)
        self.assertEqual(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES) & MTU, 0)

    def test_bit_3_of_another_device_is_something_else(self):
        backend = Vhost.UserBackend(device_id=Vhost.DeviceId.CONSOLE)
        backend.add_feature(MTU_FEATURE)
        self.addCleanup(backend.close)
        self.assertEqual(self.open_pair(backend).ask_u64(Req.GET_PROTOCOL_FEATURES) & MTU, 0)

    def test_not_negotiated(self):
        self.peer.negotiate(word(MTU_FEATURE), protocol=word(Proto.REPLY_ACK))
        self.assertNotEqual(self.set_mtu(1500), 0)
        self.assert_refused(Req.NET_SET_MTU, "MTU was not negotiated")

    def test_wrong_size(self):
        self.peer.negotiate(word(MTU_FEATURE))
        for size in (0, 2, 4):
            with self.subTest(size):
                self.assertNotEqual(self.peer.ack(Req.NET_SET_MTU, bytes(size)), 0)
                self.assert_refused(Req.NET_SET_MTU, "must be 8")

    def test_next_front_end_begins_without(self):
        self.peer.negotiate(word(MTU_FEATURE))
        self.set_mtu(1500)
        self.backend.close()
        self.assertEqual(self.backend.get_property("mtu"), 0)


class BothEnds(Driving):
    def begin(self, **options):
        self.serve(device_id=Vhost.DeviceId.NETWORK,
                   set_up=lambda backend: backend.add_feature(MTU_FEATURE), **options)
        self.frontend = self.open_frontend()

    def test_mtu_arrives(self):
        self.begin()
        self.frontend.set_mtu(1400, None)
        self.assertEqual(self.served.call(lambda backend: backend.get_property("mtu")), 1400)

    def test_device_refuses(self):
        self.begin(max_mtu=1500)
        error = expect_error(self, Vhost.Error.REFUSED, self.frontend.set_mtu, 9000, None)
        self.assertIn("NET_SET_MTU", error.message)
        self.frontend.set_mtu(1500, None)

    def test_with_a_driver(self):
        self.begin()
        driver = self.start_driver(frontend=self.frontend,
                                   wanted_features=word(MTU_FEATURE, Feature.VERSION_1))
        self.assertTrue(driver.has_feature(MTU_FEATURE))
        self.frontend.set_mtu(1400, None)

    def test_device_without(self):
        self.serve(device_id=Vhost.DeviceId.NETWORK)
        frontend = self.open_frontend()
        expect_error(self, Vhost.Error.NOT_NEGOTIATED, frontend.set_mtu, 1500, None)
        ROW.seen()


if __name__ == "__main__":
    unittest.main()
