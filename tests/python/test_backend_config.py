# SPDX-License-Identifier: BSD-3-Clause
"""What a back-end offers and negotiates: features, configuration space, status."""

import socket
import unittest

from devices import Session, Vhost
from wire import (CONFIG, MIGRATION, NEED_REPLY, U64, VERSION, Back, Feature, Proto, Req,
                  pack_config, word)

CONTENT = bytes(range(1, 61))

BASIC = word(Feature.VERSION_1, Feature.INDIRECT_DESC, Feature.EVENT_IDX, Feature.RING_PACKED)
TRANSPORT = word(Feature.PROTOCOL_FEATURES, Feature.LOG_ALL)
STATUS = Vhost.Status


class Features(Session):
    def offered(self):
        return self.peer.ask_u64(Req.GET_FEATURES)

    def test_basic_features_are_there_from_the_start(self):
        self.assertEqual(self.backend.props.features, BASIC)
        self.assertEqual(self.offered(), BASIC | TRANSPORT)

    def test_add_and_remove(self):
        self.backend.add_feature(Vhost.BlkFeature.FLUSH)
        self.assertEqual(self.offered(), BASIC | TRANSPORT | word(9))
        self.backend.remove_feature(Vhost.BlkFeature.FLUSH)
        self.backend.remove_feature(Vhost.Feature.EVENT_IDX)
        self.assertEqual(self.offered(), BASIC & ~word(Feature.EVENT_IDX) | TRANSPORT)

    def test_a_feature_counts_once_it_is_accepted(self):
        self.assertFalse(self.backend.has_feature(Vhost.Feature.EVENT_IDX))
        self.peer.negotiate(word(Feature.EVENT_IDX))
        self.assertNotEqual(self.offered(), 0)
        self.assertTrue(self.backend.has_feature(Vhost.Feature.EVENT_IDX))
        self.assertFalse(self.backend.has_feature(Vhost.Feature.INDIRECT_DESC))
        self.assertIn("features-changed", self.events.names())

    def test_the_next_front_end_begins_with_none(self):
        self.peer.negotiate(word(Feature.EVENT_IDX))
        self.offered()
        self.assertNotEqual(self.backend.props.acked_features, 0)
        self.assertNotEqual(self.backend.props.acked_protocol_features, 0)
        self.backend.close()
        self.assertEqual(self.backend.props.acked_features, 0)
        self.assertEqual(self.backend.props.acked_protocol_features, 0)

    def test_status_is_what_the_driver_wrote(self):
        self.peer.negotiate()
        self.peer.do(Req.SET_STATUS, U64.pack(STATUS.ACKNOWLEDGE | STATUS.DRIVER))
        self.assertEqual(self.peer.ask_u64(Req.GET_STATUS), 3)
        self.assertEqual(self.backend.props.status, STATUS.ACKNOWLEDGE | STATUS.DRIVER)

    def test_features_ok_does_not_stick_after_a_refusal(self):
        self.peer.negotiate()
        self.assertNotEqual(self.peer.ack(Req.SET_FEATURES, U64.pack(word(63))), 0)
        self.peer.do(Req.SET_STATUS, U64.pack(STATUS.DRIVER | STATUS.FEATURES_OK))
        self.assertEqual(self.peer.ask_u64(Req.GET_STATUS), STATUS.DRIVER)
        self.peer.do(Req.SET_FEATURES, U64.pack(TRANSPORT | BASIC))
        self.peer.do(Req.SET_STATUS, U64.pack(STATUS.DRIVER | STATUS.FEATURES_OK))
        self.assertEqual(self.peer.ask_u64(Req.GET_STATUS), STATUS.DRIVER | STATUS.FEATURES_OK)


class ProtocolFeatures(Session):
    def offer(self, **properties):
        backend = self.make_backend(**properties)
        peer = self.open_pair(backend)
        return peer.ask_u64(Req.GET_PROTOCOL_FEATURES)

    def test_all_that_can_be_served_are_offered(self):
        self.assertEqual(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES),
                         word(Proto.MQ, Proto.LOG_SHMFD, Proto.REPLY_ACK, Proto.BACKEND_REQ,
                              Proto.INFLIGHT_SHMFD, Proto.RESET_DEVICE, Proto.CONFIGURE_MEM_SLOTS,
                              Proto.STATUS, Proto.BACKEND_SEND_FD, Proto.HOST_NOTIFIER,
                              Proto.SHARED_OBJECT, Proto.GPA_ADDRESSES))

    def test_config_is_offered_by_a_device_that_has_one(self):
        self.backend.set_config(CONTENT)
        self.assertTrue(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES) & word(Proto.CONFIG))

    def test_property_takes_some_away(self):
        kept = word(Proto.MQ, Proto.REPLY_ACK)
        self.assertEqual(self.offer(protocol_features=kept), kept)

    def test_property_adds_none_that_cannot_be_served(self):
        offered = self.offer(protocol_features=(1 << 64) - 1)
        for bit in (Proto.PAGEFAULT, Proto.RARP, Proto.CRYPTO_SESSION, Proto.CONFIG):
            self.assertFalse(offered & word(bit), bit)

    def test_number_of_queues_is_told(self):
        self.peer.negotiate()
        self.assertEqual(self.peer.ask_u64(Req.GET_QUEUE_NUM), self.n_queues)

    def test_an_ack_is_sent_only_when_it_was_negotiated(self):
        self.peer.negotiate(protocol=word(Proto.MQ))
        self.peer.send(Req.SET_FEATURES, U64.pack(TRANSPORT | BASIC), flags=VERSION | NEED_REPLY)
        self.assertNotEqual(self.peer.ask_u64(Req.GET_FEATURES), 0)

    def test_an_answer_is_not_acked_as_well(self):
        self.peer.negotiate()
        self.peer.send(Req.GET_QUEUE_NUM, flags=VERSION | NEED_REPLY)
        self.assertEqual(self.peer.expect(Req.GET_QUEUE_NUM), U64.pack(self.n_queues))
        self.assertNotEqual(self.peer.ask_u64(Req.GET_FEATURES), 0)


class Config(Session):
    def setUp(self):
        super().setUp()
        self.backend.set_config(CONTENT)
        self.peer.negotiate()

    def read(self, offset, size):
        body = self.peer.ask(Req.GET_CONFIG, pack_config(offset, bytes(size)))
        self.assertEqual(CONFIG.unpack(body[:CONFIG.size])[:2], (offset, size))
        return body[CONFIG.size:]

    def write(self, offset, data, flags=0):
        return self.peer.ack(Req.SET_CONFIG, pack_config(offset, data, flags))

    def test_reads_the_whole_and_a_part(self):
        self.assertEqual(self.read(0, 60), CONTENT)
        self.assertEqual(self.read(7, 5), CONTENT[7:12])
        self.assertEqual(self.read(59, 1), CONTENT[59:])

    def test_may_be_brought_up_to_date_when_it_is_read(self):
        self.backend.connect("config-read", lambda backend, offset, size: backend.set_config(
            bytes([offset, size]) * 30))
        self.assertEqual(self.read(4, 2), b"\x04\x02")
        self.assertEqual(self.events.take("config-read"), [(4, 2)])

    def test_writes_what_is_writable(self):
        self.backend.set_config_writable(8, 4)
        self.assertEqual(self.write(9, b"abc"), 0)
        self.assertEqual(self.events.take("config-written"), [(9, 3)])
        expected = CONTENT[:9] + b"abc" + CONTENT[12:]
        self.assertEqual(bytes(self.backend.get_config()), expected)
        self.assertEqual(self.read(0, 60), expected)

    def test_refuses_to_write_what_is_read_only(self):
        self.backend.set_config_writable(8, 4)
        for offset, data in ((0, b"x"), (7, b"xx"), (11, b"xx")):
            self.assertNotEqual(self.write(offset, data), 0)
            self.assert_refused(Req.SET_CONFIG, "read-only")
        self.assertEqual(bytes(self.backend.get_config()), CONTENT)
        self.assertEqual(self.events.take("config-written"), [])

    def test_migration_may_write_everything(self):
        self.assertEqual(self.write(0, b"\xff" * 60, MIGRATION), 0)
        self.assertEqual(self.read(0, 60), b"\xff" * 60)

    def test_reading_beyond_the_end_is_answered_with_nothing(self):
        for offset, size in ((60, 1), (0, 61), (59, 2), (256, 0)):
            self.assertEqual(self.peer.ask(Req.GET_CONFIG, pack_config(offset, bytes(size))), b"")
            self.assert_refused(Req.GET_CONFIG)
        self.assertEqual(self.read(0, 60), CONTENT)

    def test_writing_beyond_the_end_is_refused(self):
        self.backend.set_config_writable(0, 256)
        self.assertNotEqual(self.write(59, b"xx"), 0)
        self.assert_refused(Req.SET_CONFIG)
        self.assertEqual(bytes(self.backend.get_config()), CONTENT)


class Announcement(Session):
    def setUp(self):
        super().setUp()
        self.backend.set_config(CONTENT)

    def open_channel(self):
        mine, its = socket.socketpair()
        with its:
            self.peer.do(Req.SET_BACKEND_REQ_FD, fds=[its.fileno()])
        self.channel = self.watch(mine)

    def assert_told(self):
        self.assertEqual(self.channel.receive(), (Back.CONFIG_CHANGE_MSG, VERSION, b"", []))

    def assert_nothing_told(self):
        self.assertNotEqual(self.peer.ask_u64(Req.GET_FEATURES), 0)
        self.assertRaises(BlockingIOError, self.channel.sock.recv, 1, socket.MSG_DONTWAIT)

    def test_is_told_at_once_while_a_queue_runs(self):
        self.begin_ring()
        self.open_channel()
        self.backend.announce_config()
        self.assert_told()

    def test_is_told_when_a_queue_starts_if_none_runs(self):
        self.begin()
        self.open_channel()
        self.backend.announce_config()
        self.backend.announce_config()
        self.assert_nothing_told()
        self.make_ring(self.memory).attach(self.peer)
        self.assert_told()
        self.assert_nothing_told()

    def test_is_told_again_after_a_stop(self):
        self.begin_ring()
        self.open_channel()
        base = self.peer.ask_base(0)
        self.backend.announce_config()
        self.assert_nothing_told()
        self.ring.attach(self.peer, base=base)
        self.assert_told()

    def test_is_not_told_to_the_next_front_end(self):
        self.begin()
        self.backend.announce_config()
        self.backend.close()
        self.peer = self.open_pair(self.backend)
        self.begin()
        self.open_channel()
        self.make_ring(self.memory).attach(self.peer)
        self.assert_nothing_told()

    def test_needs_a_channel(self):
        self.begin_ring()
        self.backend.announce_config()
        self.open_channel()
        self.assert_nothing_told()

    def test_an_answer_on_the_channel_and_its_end_do_no_harm(self):
        self.begin_ring()
        self.open_channel()
        self.channel.answer(Back.CONFIG_CHANGE_MSG, U64.pack(0))
        self.channel.close()
        self.assert_served(self.ring)
        self.backend.announce_config()
        self.open_channel()
        self.backend.announce_config()
        self.assert_told()


if __name__ == "__main__":
    unittest.main()
