# SPDX-License-Identifier: BSD-3-Clause
"""Crypto sessions: what the payload says, checked, and who makes them."""

import struct
import unittest

from devices import Driving, Session, Vhost, expect_error
from facing import CHANNEL, FacingHand
from peers import Row
from wire import U64, VERSION, Proto, Req, word

ROW = Row("front-end, back-end", "this library", "crypto sessions: made, closed, refused")

CRYPTO = word(Proto.CRYPTO_SESSION)
SIZE = 1072
CIPHER, HASH, MAC, AEAD, AKCIPHER = 0x002, 0x102, 0x202, 0x302, 0x404

# As QEMU lays them out on a host of 64 bits; the pointers are whatever they were there.
SYMMETRIC = struct.Struct("=Q6I4B4xQQ64s512s")
ASYMMETRIC = struct.Struct("=Q3I4xQII1024s")
POINTER = 0xDEADBEEFDEADBEEF


def pack_symmetric(op=CIPHER, cipher=3, key=16, hash=8, result=20, auth=32, add=12, kind=2,
                   direction=1, mode=2, order=1, session=0):
    body = SYMMETRIC.pack(op, cipher, key, hash, result, auth, add, kind, direction, mode, order,
                          POINTER, POINTER, bytes(range(64)), bytes(range(256)) * 2)
    return body.ljust(SIZE - 8, b"\xee") + struct.pack("=q", session)


def pack_asymmetric(op=AKCIPHER, algorithm=1, key_type=2, key=1024, padding=1, hash=3, session=0):
    body = ASYMMETRIC.pack(op, algorithm, key_type, key, POINTER, padding, hash,
                           bytes(range(256)) * 4)
    return body.ljust(SIZE - 8, b"\xee") + struct.pack("=q", session)


def read_id(body):
    return struct.unpack("=q", body[-8:])[0]


def describe(session):
    """Everything that a session says."""
    names = [spec.name for spec in session.list_properties()]
    return {**{name: session.get_property(name) for name in names},
            "key": bytes(session.get_key()), "auth-key": bytes(session.get_auth_key())}


class Served(Session):
    device_id = Vhost.DeviceId.CRYPTO

    def setUp(self):
        super().setUp()
        self.made, self.closed = [], []
        self.answer = 5

    def listen(self):
        def on_create(backend, session):
            self.made.append(describe(session))
            return self.answer

        def on_close(backend, number):
            self.closed.append(number)
            return number == 5
        self.backend.connect("create-crypto-session", on_create)
        self.backend.connect("close-crypto-session", on_close)
        self.peer.negotiate()

    def create(self, body):
        return self.peer.ask(Req.CREATE_CRYPTO_SESSION, body)

    def assert_refused_with_an_answer(self, body, *words):
        answer = self.create(body)
        self.assertEqual(answer[:-8], body[:-8])
        self.assertLess(read_id(answer), 0)
        self.assert_refused(Req.CREATE_CRYPTO_SESSION, *words)

    def test_symmetric(self):
        self.listen()
        body = pack_symmetric()
        answer = self.create(body)
        self.assertEqual((answer[:-8], read_id(answer)), (body[:-8], 5))
        self.assertEqual(self.made, [{
            "op-code": CIPHER, "algorithm": 3, "hash-algorithm": 8, "hash-result-length": 20,
            "additional-length": 12, "op-type": 2, "direction": 1, "hash-mode": 2, "chain-order": 1,
            "key-type": 0, "padding-algorithm": 0, "key": bytes(range(16)),
            "auth-key": bytes(range(32))}])

    def test_asymmetric(self):
        self.listen()
        self.assertEqual(read_id(self.create(pack_asymmetric())), 5)
        self.assertEqual(self.made, [{
            "op-code": AKCIPHER, "algorithm": 1, "hash-algorithm": 3, "hash-result-length": 0,
            "additional-length": 0, "op-type": 0, "direction": 0, "hash-mode": 0, "chain-order": 0,
            "key-type": 2, "padding-algorithm": 1, "key": bytes(range(256)) * 4, "auth-key": b""}])

    def test_other_services(self):
        self.listen()
        for op in (HASH, MAC, AEAD):
            self.assertEqual(read_id(self.create(pack_symmetric(op))), 5)
        self.assertEqual([made["op-code"] for made in self.made], [HASH, MAC, AEAD])

    def test_lengths_that_fill_the_arrays(self):
        self.listen()
        self.create(pack_symmetric(key=64, auth=512))
        self.create(pack_symmetric(key=0, auth=0))
        self.assertEqual([(len(made["key"]), len(made["auth-key"])) for made in self.made],
                         [(64, 512), (0, 0)])

    def test_H082_lengths_that_lie(self):
        self.listen()
        for lie in ({"key": 65}, {"key": 2**31}, {"key": 2**32 - 1}, {"auth": 513},
                    {"auth": 2**32 - 1}, {"key": 64, "auth": 0x10000}):
            with self.subTest(lie):
                self.assert_refused_with_an_answer(pack_symmetric(**lie), "bytes in a field of")
        for key in (1025, 2**32 - 1):
            with self.subTest(key):
                self.assert_refused_with_an_answer(pack_asymmetric(key=key), "field of 1024")
        self.assertEqual(self.made, [])

    def test_H082_operations_that_make_no_session(self):
        self.listen()
        for op in (0, 1, 3, 0x104, 0x402, 0x502, 0x10002, 2 + 2**32, 2**64 - 1):
            with self.subTest(op):
                self.assert_refused_with_an_answer(pack_symmetric(op), "creates no session")
        self.assertEqual(self.made, [])

    def test_wrong_size_ends_the_session(self):
        """There is no other way to say that it failed: the answer would have that size too."""
        self.listen()
        self.peer.send(Req.CREATE_CRYPTO_SESSION, pack_symmetric()[:-1])
        self.assertIsNone(self.peer.receive())
        self.assert_refused(Req.CREATE_CRYPTO_SESSION, f"must be {SIZE}")

    def test_device_that_makes_none(self):
        self.listen()
        for self.answer in (0, -1, -(2**63), None):
            with self.subTest(self.answer):
                self.assert_refused_with_an_answer(pack_symmetric(), "made no session")

    def test_close(self):
        self.listen()
        self.assertEqual(self.peer.ack(Req.CLOSE_CRYPTO_SESSION, U64.pack(5)), 0)
        self.assertNotEqual(self.peer.ack(Req.CLOSE_CRYPTO_SESSION, U64.pack(6)), 0)
        self.assert_refused(Req.CLOSE_CRYPTO_SESSION, "no session 6")
        self.assertEqual(self.closed, [5, 6])

    def test_numbers_that_no_session_has(self):
        self.listen()
        for number in (0, 2**63, 2**64 - 1):
            self.assertNotEqual(self.peer.ack(Req.CLOSE_CRYPTO_SESSION, U64.pack(number)), 0)
            self.assert_refused(Req.CLOSE_CRYPTO_SESSION, f"no session {number}")
        self.assertEqual(self.closed, [])

    def test_offered_when_somebody_listens(self):
        self.assertEqual(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES) & CRYPTO, 0)
        self.listen()
        self.assertEqual(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES) & CRYPTO, CRYPTO)

    def test_other_devices_have_none(self):
        backend = Vhost.UserBackend(device_id=Vhost.DeviceId.BLOCK)
        backend.connect("create-crypto-session", lambda *_: 1)
        self.addCleanup(backend.close)
        self.assertEqual(self.open_pair(backend).ask_u64(Req.GET_PROTOCOL_FEATURES) & CRYPTO, 0)

    def test_not_negotiated(self):
        self.peer.negotiate(protocol=word(Proto.REPLY_ACK))
        self.assert_refused_with_an_answer(pack_symmetric(), "CRYPTO_SESSION was not negotiated")

    def test_descriptor_is_refused(self):
        self.listen()
        memory = self.make_memory()
        answer = self.peer.ask(Req.CREATE_CRYPTO_SESSION, pack_symmetric(), [memory.fd])
        self.assertLess(read_id(answer), 0)
        self.assert_refused(Req.CREATE_CRYPTO_SESSION, "descriptors")


class Sent(FacingHand):
    def open_crypto(self, answer=9):
        def on_create(peer, message):
            peer.answer(message.request, message.body[:-8] + struct.pack("=q", answer))
        self.open(protocol=CHANNEL | CRYPTO, odd={Req.CREATE_CRYPTO_SESSION: on_create})

    def test_symmetric_payload_has_no_pointers(self):
        self.open_crypto()
        session = Vhost.UserCryptoSession(op_code=CIPHER, algorithm=3, hash_algorithm=8,
                                          hash_result_length=20, additional_length=12, op_type=2,
                                          direction=1, hash_mode=2, chain_order=1)
        session.set_key(b"k" * 16)
        session.set_auth_key(b"a" * 512)
        self.assertEqual(self.frontend.create_crypto_session(session, None), 9)
        body = SYMMETRIC.pack(CIPHER, 3, 16, 8, 20, 512, 12, 2, 1, 2, 1, 0, 0, b"k" * 16,
                              b"a" * 512)
        self.assertEqual(self.last(Req.CREATE_CRYPTO_SESSION)[1:3],
                         (VERSION, body.ljust(SIZE, b"\0")))

    def test_asymmetric_payload(self):
        self.open_crypto()
        session = Vhost.UserCryptoSession(op_code=AKCIPHER, algorithm=1, key_type=2,
                                          padding_algorithm=1, hash_algorithm=3)
        session.set_key(b"k" * 1024)
        self.assertTrue(session.is_asymmetric())
        self.frontend.create_crypto_session(session, None)
        body = ASYMMETRIC.pack(AKCIPHER, 1, 2, 1024, 0, 1, 3, b"k" * 1024)
        self.assertEqual(self.last(Req.CREATE_CRYPTO_SESSION).body, body.ljust(SIZE, b"\0"))

    def test_keys_that_are_too_long_are_not_sent(self):
        self.open_crypto()
        for op, setter, size in ((CIPHER, "set_key", 65), (CIPHER, "set_auth_key", 513),
                                 (AKCIPHER, "set_key", 1025)):
            session = Vhost.UserCryptoSession.new(op)
            getattr(session, setter)(bytes(size))
            error = expect_error(self, Vhost.Error.INVALID_VALUE,
                                 self.frontend.create_crypto_session, session, None)
            self.assertIn("CREATE_CRYPTO_SESSION", error.message)
        expect_error(self, Vhost.Error.INVALID_VALUE, self.frontend.create_crypto_session,
                     Vhost.UserCryptoSession.new(7), None)
        self.assertEqual(self.fake.find(Req.CREATE_CRYPTO_SESSION), [])

    def test_negative_number_is_a_refusal(self):
        self.open_crypto(-1)
        expect_error(self, Vhost.Error.REFUSED, self.frontend.create_crypto_session,
                     Vhost.UserCryptoSession.new(CIPHER), None)
        self.assertTrue(self.frontend.is_open())

    def test_short_answer_ends_the_connection(self):
        def answer_short(peer, message):
            peer.answer(message.request, bytes(8))
        self.open(protocol=CHANNEL | CRYPTO, odd={Req.CREATE_CRYPTO_SESSION: answer_short})
        expect_error(self, Vhost.Error.BAD_SIZE, self.frontend.create_crypto_session,
                     Vhost.UserCryptoSession.new(CIPHER), None)
        self.assertFalse(self.frontend.is_open())


class BothEnds(Driving):
    def test_sessions_come_and_go(self):
        sessions = {}

        def on_create(backend, session):
            if bytes(session.get_key()) == b"bad":
                return -1
            number = len(sessions) + 1
            sessions[number] = describe(session)
            return number

        def set_up(backend):
            backend.connect("create-crypto-session", on_create)
            backend.connect("close-crypto-session",
                            lambda _, number: sessions.pop(number, None) is not None)
        self.serve(device_id=Vhost.DeviceId.CRYPTO, set_up=set_up)
        frontend = self.open_frontend()
        for op in (CIPHER, AKCIPHER):
            session = Vhost.UserCryptoSession(op_code=op, algorithm=3)
            session.set_key(b"secret")
            number = frontend.create_crypto_session(session, None)
            self.assertEqual(sessions[number], describe(session))
        session.set_key(b"bad")
        expect_error(self, Vhost.Error.REFUSED, frontend.create_crypto_session, session, None)
        frontend.close_crypto_session(number, None)
        expect_error(self, Vhost.Error.REFUSED, frontend.close_crypto_session, number, None)
        self.assertEqual(list(sessions), [1])

    def test_handler_that_fails_refuses(self):
        self.serve(device_id=Vhost.DeviceId.CRYPTO, set_up=lambda backend: backend.connect(
            "create-crypto-session", lambda backend, session: None))
        expect_error(self, Vhost.Error.REFUSED, self.open_frontend().create_crypto_session,
                     Vhost.UserCryptoSession.new(CIPHER), None)

    def test_device_without(self):
        self.serve(device_id=Vhost.DeviceId.CRYPTO)
        expect_error(self, Vhost.Error.NOT_NEGOTIATED, self.open_frontend().create_crypto_session,
                     Vhost.UserCryptoSession.new(CIPHER), None)
        ROW.seen()


if __name__ == "__main__":
    unittest.main()
