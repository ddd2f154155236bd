# SPDX-License-Identifier: BSD-3-Clause
"""SEND_RARP, from a front-end to a network card."""

import unittest

from devices import Driving, Session, Vhost, expect_error
from peers import Row
from wire import U64, Proto, Req, word

ROW = Row("front-end, back-end", "this library", "SEND_RARP")

RARP = word(Proto.RARP)
MAC = "52:54:00:12:34:56"
WIRE = bytes.fromhex("525400123456") + b"\0\0"


class Served(Session):
    device_id = Vhost.DeviceId.NETWORK

    def setUp(self):
        super().setUp()
        self.macs = []

    def listen(self, backend=None):
        (backend or self.backend).connect("rarp", lambda _, mac: self.macs.append(mac))

    def test_mac_is_told(self):
        self.listen()
        self.peer.negotiate()
        self.assertEqual(self.peer.ack(Req.SEND_RARP, WIRE), 0)
        self.assertEqual(self.macs, [MAC])

    def test_bytes_after_the_mac_mean_nothing(self):
        self.listen()
        self.peer.negotiate()
        self.assertEqual(self.peer.ack(Req.SEND_RARP, WIRE[:6] + b"\xff\xff"), 0)
        self.assertEqual(self.macs, [MAC])

    def test_address_of_many_is_refused(self):
        self.listen()
        self.peer.negotiate()
        self.assertNotEqual(self.peer.ack(Req.SEND_RARP, b"\xff" * 6 + b"\0\0"), 0)
        self.assert_refused(Req.SEND_RARP, "ff:ff:ff:ff:ff:ff")
        self.assertEqual(self.macs, [])

    def test_offered_when_somebody_listens(self):
        self.assertEqual(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES) & RARP, 0)
        self.listen()
        self.assertEqual(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES) & RARP, RARP)

    def test_other_devices_have_none(self):
        backend = Vhost.UserBackend(device_id=Vhost.DeviceId.BLOCK)
        self.addCleanup(backend.close)
        self.listen(backend)
        self.assertEqual(self.open_pair(backend).ask_u64(Req.GET_PROTOCOL_FEATURES) & RARP, 0)

    def test_not_negotiated(self):
        self.listen()
        self.peer.negotiate(protocol=word(Proto.REPLY_ACK))
        self.assertNotEqual(self.peer.ack(Req.SEND_RARP, WIRE), 0)
        self.assert_refused(Req.SEND_RARP, "RARP was not negotiated")

    def test_wrong_size(self):
        self.listen()
        self.peer.negotiate()
        for size in (0, 6, 7):
            with self.subTest(size):
                self.assertNotEqual(self.peer.ack(Req.SEND_RARP, WIRE[:size]), 0)
                self.assert_refused(Req.SEND_RARP, "must be 8")
        self.assertEqual(self.macs, [])

    def test_descriptor_is_refused(self):
        self.listen()
        self.peer.negotiate()
        memory = self.make_memory()
        self.assertNotEqual(self.peer.ack(Req.SEND_RARP, WIRE, [memory.fd]), 0)
        self.assert_refused(Req.SEND_RARP, "descriptors")


class BothEnds(Driving):
    def begin(self, device_id=Vhost.DeviceId.NETWORK, listen=True):
        self.macs = []

        def set_up(backend):
            if listen:
                backend.connect("rarp", lambda _, mac: self.macs.append(mac))
        self.serve(device_id=device_id, set_up=set_up)
        return self.open_frontend()

    def test_mac_arrives(self):
        frontend = self.begin()
        frontend.send_rarp(MAC, None)
        frontend.send_rarp("AA:bb:0C:00:ff:01", None)
        self.assertEqual(self.macs, [MAC, "aa:bb:0c:00:ff:01"])

    def test_what_is_no_mac_is_not_sent(self):
        frontend = self.begin()
        for text in ("", "52:54:00:12:34", MAC + ":78", MAC + " ", "52-54-00-12-34-56",
                     "5g:54:00:12:34:56", "525400123456", "52:54:00:12:34:5"):
            with self.subTest(text):
                expect_error(self, Vhost.Error.INVALID_VALUE, frontend.send_rarp, text, None)
        self.assertEqual(self.macs, [])

    def test_nobody_listens(self):
        frontend = self.begin(listen=False)
        error = expect_error(self, Vhost.Error.NOT_NEGOTIATED, frontend.send_rarp, MAC, None)
        self.assertIn("SEND_RARP", error.message)

    def test_no_network_card(self):
        frontend = self.begin(device_id=Vhost.DeviceId.BLOCK)
        expect_error(self, Vhost.Error.NOT_NEGOTIATED, frontend.send_rarp, MAC, None)

    def test_no_back_end(self):
        expect_error(self, Vhost.Error.DISCONNECTED, Vhost.UserFrontend().send_rarp, MAC, None)
        ROW.seen()


if __name__ == "__main__":
    unittest.main()
