# SPDX-License-Identifier: BSD-3-Clause
"""The virtio-fs requests of the drafts, in their four numberings."""

import os
import struct
import unittest

from asking import ACKED, Asking, Channel, Impersonated, make_file
from devices import Vhost, expect_error
from peers import Row
from wire import NEED_REPLY, U64, VERSION, Proto, word

ROW = Row("front-end, back-end", "this library",
          "the draft requests of virtio-fs, in each numbering")

ERROR = Vhost.Error
DIALECT = Vhost.UserFsDialect
REQUEST = Vhost.UserFsRequest
ENTRIES = struct.Struct("=32Q")
NUMBERS = {  # of MAP, UNMAP, SYNC and IO
    DIALECT.DRAFT_2020_01: (4, 5, 6),
    DIALECT.DRAFT_2020_03: (4, 5, 6, 7),
    DIALECT.DRAFT_2020_07: (6, 7, 8, 9),
    DIALECT.DRAFT_2024: (1000, 1001, 1002, 1003),
}
NAMES = "FS_MAP", "FS_UNMAP", "FS_SYNC", "FS_IO"
TAKES_FD = True, False, False, True


def pack_entries(*entries):
    """Entries of (fd offset, cache offset, length, flags), as four arrays of 8."""
    padded = list(entries) + [(0, 0, 0, 0)] * (8 - len(entries))
    return ENTRIES.pack(*(entry[i] for i in range(4) for entry in padded))


class BothEnds(Asking):
    def begin_dialect(self, dialect, back=None, run=True):
        self.socket = self.path(f"{int(dialect)}.sock")
        self.begin(fs_dialect=dialect if back is None else back,
                   frontend_properties={"fs_dialect": dialect})
        if run:
            self.run_queue()

    def listen(self, result):
        self.seen = []

        def on_request(frontend, message):
            fds = message.get_fds()
            content = [os.pread(fd, 16, 0) for fd in fds.peek_fds()]
            self.seen.append((message.get_name(), message.get_field("fd_offset[1]"),
                              message.get_field("len[1]"), content))
            frontend.answer_fs_request(result)
        self.frontend.connect("fs-request", on_request)

    def test_every_request_in_every_dialect(self):
        fd = make_file(self, b"file")
        for dialect, numbers in NUMBERS.items():
            self.begin_dialect(dialect)
            self.listen(0)
            for request, _ in enumerate(numbers):
                with self.subTest((dialect, request)):
                    result = self.ask("fs_request", REQUEST(request), fd if TAKES_FD[request]
                                      else -1, [1, 2, 3, 4, 5, 6, 7, 8])
                    self.assertEqual(result, 0)
                    self.assertEqual(self.seen.pop(), (NAMES[request], 5, 7,
                                                       [b"file"] * TAKES_FD[request]))

    def test_io_answers_with_the_bytes_it_moved(self):
        self.begin_dialect(DIALECT.DRAFT_2024)
        self.listen(4096)
        fd = make_file(self, b"file")
        self.assertEqual(self.ask("fs_request", REQUEST.IO, fd, [0, 0, 4096, 1]), 4096)
        self.assert_fails(ERROR.REFUSED, "fs_request", REQUEST.MAP, fd, [0, 0, 4096, 1])

    def test_errno_and_silence_are_refusals(self):
        self.begin_dialect(DIALECT.DRAFT_2024)
        self.assert_fails(ERROR.REFUSED, "fs_request", REQUEST.SYNC, -1, [0, 0, 1, 0])
        self.listen(-28)
        error = self.assert_fails(ERROR.REFUSED, "fs_request", REQUEST.SYNC, -1, [0, 0, 1, 0])
        self.assertIn("-28", error.message)
        expect_error(self, ERROR.BAD_STATE, self.frontend.answer_fs_request, 0)

    def test_calls_that_make_no_message(self):
        self.begin_dialect(DIALECT.DRAFT_2020_01)
        fd = make_file(self, b"file")
        self.assert_fails(ERROR.NOT_NEGOTIATED, "fs_request", REQUEST.IO, fd, [0, 0, 1, 0])
        for numbers in ([], [1], [1, 2, 3], [0] * 36):
            self.assert_fails(ERROR.INVALID_VALUE, "fs_request", REQUEST.MAP, fd, numbers)
        self.assert_fails(ERROR.BAD_FDS, "fs_request", REQUEST.MAP, -1, [0] * 4)
        self.assert_fails(ERROR.BAD_FDS, "fs_request", REQUEST.UNMAP, fd, [0] * 4)

    def test_hidden_features_are_not_negotiated(self):
        for dialect, hidden in ((DIALECT.NONE, ()), (DIALECT.DRAFT_2024, ()),
                                (DIALECT.DRAFT_2020_01, (Proto.SHARED_OBJECT,)),
                                (DIALECT.DRAFT_2020_07, (Proto.SHARED_OBJECT,))):
            for back in (dialect, DIALECT.NONE):
                with self.subTest((dialect, back)):
                    self.begin_dialect(dialect, back, run=False)
                    self.assertEqual(self.frontend.has_protocol_feature(Proto.SHARED_OBJECT),
                                     Proto.SHARED_OBJECT not in hidden)
                    self.frontend.close()
                    self.served.stop()

    def test_without_a_dialect_the_back_end_has_none(self):
        self.begin()
        self.run_queue()
        self.assert_fails(ERROR.NOT_NEGOTIATED, "fs_request", REQUEST.SYNC, -1, [0, 0, 1, 0])

    def test_front_end_without_the_dialect(self):
        """1000 is no request there: the channel ends, the device goes on."""
        self.begin_dialect(DIALECT.NONE, back=DIALECT.DRAFT_2024)
        self.assert_fails(ERROR.DISCONNECTED, "fs_request", REQUEST.SYNC, -1, [0, 0, 1, 0])
        self.assertEqual(bytes(self.driver.get_queue(0).request(b"ping", 4, None)), b"ping")
        ROW.seen()


class Message(Channel):
    def test_on_the_wire(self):
        for dialect, numbers in NUMBERS.items():
            self.backend.close()
            self.backend.props.fs_dialect = dialect
            self.peer = self.open_pair(self.backend)
            self.begin_ring(serve=None)
            self.open_channel()
            for request, number in enumerate(numbers):
                fd = make_file(self, b"file")
                done = self.start("fs_request", REQUEST(request), fd if TAKES_FD[request] else -1,
                                  [1, 2, 3, 4, 5, 6, 7, 8])
                message = self.channel.receive()
                self.assertEqual(message[:3], (number, VERSION | NEED_REPLY, pack_entries(
                    (1, 2, 3, 4), (5, 6, 7, 8))))
                self.assertEqual(len(message.fds), TAKES_FD[request])
                for each in message.fds:
                    os.close(each)
                self.channel.answer(number, U64.pack(0))
                self.assertEqual(self.expect_result(done), 0)

    def test_dialect_stays_while_a_front_end_is_there(self):
        self.backend.props.fs_dialect = DIALECT.DRAFT_2024
        self.assertEqual(self.backend.props.fs_dialect, DIALECT.NONE)

    def test_codec_knows_them(self):
        message = Vhost.UserMessage.new(Vhost.UserRole.BACKEND_FS_2020_07, 6, 1)
        message.set_field("len[7]", 5)
        self.assertEqual(message.to_string(), "FS_MAP len[7]=0x5")
        self.assertEqual(Vhost.user_get_request_name(Vhost.UserRole.BACKEND, 6),
                         "SHARED_OBJECT_ADD")


class HostileBackend(Impersonated):
    def setUp(self):
        super().setUp()
        self.seen = []
        self.fd = make_file(self, b"file")

    def open(self, **options):
        super().open(fs_dialect=DIALECT.DRAFT_2024, **options)
        self.frontend.connect("fs-request", lambda frontend, message: (
            self.seen.append(message), frontend.answer_fs_request(0)))

    def test_H010_descriptors_missing_and_surplus(self):
        self.open()
        body = pack_entries((0, 0, 1, 0))
        for number, fds in ((1000, []), (1000, [self.fd] * 2), (1001, [self.fd]),
                            (1002, [self.fd]), (1003, [])):
            self.assertNotEqual(self.request(number, body, fds), 0)
        self.assertEqual(self.seen, [])
        self.assertEqual(self.request(1001, body), 0)

    def test_H005_sizes(self):
        self.open()
        for size in (0, 255, 8):
            self.assertNotEqual(self.request(1002, bytes(size)), 0)
        self.assertEqual(self.seen, [])

    def test_H004_beyond_the_largest_size_ends_the_channel(self):
        self.open()
        self.channel.send(1002, bytes(257))
        self.assert_channel_closed()
        self.assertTrue(self.frontend.is_open())

    def test_number_next_to_the_dialect_ends_the_channel(self):
        for number in (999, 1004, 0):
            self.open()
            self.channel.send(number, bytes(256))
            self.assert_channel_closed()

    def test_not_negotiated_descriptors(self):
        self.open(protocol=ACKED & ~word(Proto.BACKEND_SEND_FD))
        self.assertNotEqual(self.request(1000, pack_entries((0, 0, 1, 0)), [self.fd]), 0)
        self.assertEqual(self.seen, [])

    def test_H090_storm(self):
        self.open()
        for _ in range(2000):
            self.assertEqual(self.request(1000, pack_entries((0, 0, 1, 0)), [self.fd]), 0)
            self.seen.clear()


if __name__ == "__main__":
    unittest.main()
