# SPDX-License-Identifier: BSD-3-Clause
"""vhost-user-gpu: what a graphics device shows, on a socket of its own."""

import os
import socket
import struct
import unittest

from asking import Asking, Channel, make_file
from devices import Vhost, expect_error
from gi.repository import GLib
from helpers import TempDir, run_idle, run_loop
from peers import Row
from wire import HEADER, Peer, Req, is_readable

ROW = Row("front-end, back-end", "this library",
          "GPU_SET_SOCKET, and both ends of the socket: scanouts, cursor, dma-buf, EDID")

ERROR = Vhost.Error
CODE = Vhost.UserGpuCode
FEATURE = Vhost.UserGpuProtocolFeature
WORDS5 = struct.Struct("=5I")
DMABUF = struct.Struct("=9Ii")
U64 = struct.Struct("=Q")
REPLY = 4
SIGNALS = ("scanout", "update", "cursor-moved", "cursor-update", "dmabuf-scanout", "dmabuf-update",
           "closed")


def listen(connection):
    """The signals of a display, as (name, arguments…); bytes are told as bytes."""
    seen = []
    for name in SIGNALS:
        connection.connect(name, lambda _, *args: seen.append(
            (args[-1], *(arg.get_data() if isinstance(arg, GLib.Bytes) else arg
                         for arg in args[:-1]))), name)
    return seen


class Pair(TempDir):
    """A device and a display, in this thread."""

    def setUp(self):
        super().setUp()
        self.device, self.display = Vhost.UserGpuConnection(), Vhost.UserGpuConnection()
        for each in (self.device, self.display):
            self.addCleanup(each.close)
        self.seen = listen(self.display)
        one, two = socket.socketpair()
        with one, two:
            self.display.open_fd(two.fileno(), True)
            self.device.open_fd(one.fileno(), False)
        run_loop(lambda: self.display.has_protocol_feature(FEATURE.DMABUF2))

    def expect(self, *events):
        run_loop(lambda: len(self.seen) >= len(events))
        self.assertEqual(self.seen, list(events))
        self.seen.clear()

    def ask(self, name, *args):
        done = []
        start = getattr(self.device, f"{name}_async")
        start(*args, None, lambda device, result: done.append(result))
        run_loop(lambda: done)
        return getattr(self.device, f"{name}_finish")(done[0])


class BothSides(Pair):
    def test_features(self):
        for bit in (FEATURE.EDID, FEATURE.DMABUF2):
            self.assertTrue(self.device.has_protocol_feature(bit))

    def test_pixels(self):
        self.device.send_scanout(1, 640, 480)
        pixels = os.urandom(4 * 640 * 480)
        self.device.send_update(1, 0, 0, 640, 480, pixels)
        self.device.send_update(1, 639, 479, 1, 1, b"abcd")
        self.expect(("scanout", 1, 640, 480), ("update", 1, 0, 0, 640, 480, pixels),
                    ("update", 1, 639, 479, 1, 1, b"abcd"))

    def test_cursor(self):
        picture = os.urandom(16384)
        self.device.send_cursor(0, 1, 2, 3, 4, picture)
        self.device.send_cursor_pos(0, 5, 6, True)
        self.device.send_cursor_pos(0, 5, 6, False)
        self.expect(("cursor-update", 0, 1, 2, 3, 4, picture), ("cursor-moved", 0, 5, 6, True),
                    ("cursor-moved", 0, 5, 6, False))

    def test_screens(self):
        self.display.set_screen(2, 800, 600, b"edid")
        info = self.ask("get_display_info").get_data()
        self.assertEqual(len(info), 408)
        self.assertEqual(struct.unpack_from("<I", info)[0], 0x1101)
        self.assertEqual(struct.unpack_from("<6I", info, 24 + 2 * 24), (0, 0, 800, 600, 1, 0))
        edid = self.ask("get_edid", 2).get_data()
        self.assertEqual((len(edid), edid[24:36]), (1056, struct.pack("<II", 4, 0) + b"edid"))
        self.assertEqual(self.ask("get_edid", 3).get_data()[24:28], bytes(4))

    def test_dmabuf(self):
        contents = []
        self.display.connect("dmabuf-scanout", lambda *args: contents.append(
            os.pread(args[6], 4, 0) if args[6] >= 0 else None))
        self.device.send_dmabuf(0, make_file(self, b"tile"), 64, 32, 256, 0x34325258, 1, 7)
        self.device.send_dmabuf(0, -1, 0, 0, 0, 0, 0, 0)
        run_loop(lambda: len(contents) == 2)
        self.assertEqual(contents, [b"tile", None])
        self.assertEqual(self.seen[0][4:6] + self.seen[0][7:], (64, 32, 256, 0x34325258, 1, 7))

    def test_flow_control_of_dmabuf_update(self):
        self.device.send_dmabuf(0, make_file(self, b"tile"), 64, 32, 256, 0, 0, 0)
        done = []
        for _ in range(2):
            self.device.update_dmabuf_async(0, 0, 0, 64, 32, None,
                                            lambda device, result: done.append(result))
        run_loop(lambda: done)
        expect_error(self, ERROR.BAD_STATE, self.device.update_dmabuf_finish, done.pop())
        run_loop(lambda: len(self.seen) == 2)
        self.device.send_cursor_pos(0, 1, 1, True)
        run_idle()
        self.assertEqual([event[0] for event in self.seen], ["dmabuf-scanout", "dmabuf-update"])
        self.display.complete_update()
        run_loop(lambda: done and len(self.seen) == 3)
        self.assertTrue(self.device.update_dmabuf_finish(done.pop()))
        expect_error(self, ERROR.BAD_STATE, self.display.complete_update)

    def test_device_checks_first(self):
        self.device.send_scanout(0, 10, 10)
        for args in ((0, 0, 0, 11, 1), (0, 1, 0, 10, 1), (0, 0xffffffff, 0, 2, 1), (16, 0, 0, 1, 1),
                     (1, 0, 0, 1, 1)):
            pixels = bytes(4 * args[3] * args[4])
            expect_error(self, ERROR.INVALID_VALUE, self.device.send_update, *args, pixels)
        expect_error(self, ERROR.BAD_SIZE, self.device.send_update, 0, 0, 0, 2, 2, bytes(15))
        expect_error(self, ERROR.INVALID_VALUE, self.device.send_scanout, 0, 16385, 1)
        expect_error(self, ERROR.INVALID_VALUE, self.device.send_scanout, 0, 16384, 16384)
        expect_error(self, ERROR.BAD_SIZE, self.device.send_cursor, 0, 0, 0, 0, 0, b"short")
        expect_error(self, ERROR.BAD_FDS, self.device.send_dmabuf, 0, -1, 1, 1, 4, 0, 0, 0)

    def test_H020_display_that_does_not_read(self):
        self.device.send_scanout(0, 1024, 1024)
        with self.assertRaises(GLib.Error) as caught:
            for _ in range(8):
                self.device.send_update(0, 0, 0, 1024, 1024, bytes(4 << 20))
        self.assertTrue(caught.exception.matches(Vhost.error_quark(), ERROR.QUEUE_FULL))

    def test_display_leaves(self):
        done = []
        self.device.get_display_info_async(None, lambda device, result: done.append(result))
        self.display.close()
        run_loop(lambda: done)
        expect_error(self, ERROR.DISCONNECTED, self.device.get_display_info_finish, done.pop())
        run_loop(lambda: not self.device.is_open())


class ByHand(TempDir):
    def open(self, is_display):
        self.connection = Vhost.UserGpuConnection()
        self.addCleanup(self.connection.close)
        self.seen = listen(self.connection)
        mine, its = socket.socketpair()
        with its:
            self.connection.open_fd(its.fileno(), is_display)
        self.peer = Peer(mine, pump=run_loop)
        self.addCleanup(self.peer.close)

    def assert_closed(self, code):
        run_loop(lambda: not self.connection.is_open())
        (name, error), = self.seen
        self.assertTrue(error.matches(Vhost.error_quark(), code), error)


class HostileDevice(ByHand):
    def check(self, code, request, body=b"", fds=(), flags=0, scanout=None):
        self.open(True)
        if scanout:
            self.peer.send(CODE.SCANOUT, struct.pack("=3I", 0, *scanout), flags=0)
            run_loop(lambda: self.seen)
            self.seen.clear()
        self.peer.send(request, body, fds, flags)
        self.assert_closed(code)

    def test_H004_sizes_are_bounded_by_the_scanout(self):
        for size in (0xffffffff, 20 + 401, 1 << 28):
            self.open(True)
            self.peer.send(CODE.SCANOUT, struct.pack("=3I", 0, 10, 10), flags=0)
            self.peer.send_bytes(HEADER.pack(CODE.UPDATE, 0, size))
            run_loop(lambda: not self.connection.is_open())
            self.assertTrue(self.seen[-1][1].matches(Vhost.error_quark(), ERROR.BAD_SIZE))

    def test_H005_sizes_and_numbers(self):
        self.check(ERROR.BAD_SIZE, CODE.SCANOUT, bytes(11))
        self.check(ERROR.BAD_SIZE, CODE.CURSOR_UPDATE, bytes(16405))
        self.check(ERROR.BAD_SIZE, CODE.UPDATE, WORDS5.pack(0, 0, 0, 1, 1) + bytes(8),
                   scanout=(9, 9))
        self.check(ERROR.UNKNOWN_REQUEST, 0)
        self.check(ERROR.UNKNOWN_REQUEST, 13)

    def test_H007_flags(self):
        for flags in (1, REPLY, 8, 1 << 31):
            self.check(ERROR.PROTOCOL, CODE.GET_DISPLAY_INFO, flags=flags)

    def test_ranges(self):
        for update in ((0, 0, 0, 10, 1), (0, 9, 0, 1, 1), (0, 0xffffffff, 0, 1, 1),
                       (16, 0, 0, 1, 1), (0xffffffff, 0, 0, 1, 1), (0, 0, 0, 0xffffffff, 2)):
            body = WORDS5.pack(*update) + bytes(4)
            self.check(ERROR.INVALID_VALUE, CODE.UPDATE, body, scanout=(9, 9))
        for size in ((16385, 1), (16384, 16384), (0xffffffff, 0xffffffff)):
            self.check(ERROR.INVALID_VALUE, CODE.SCANOUT, struct.pack("=3I", 0, *size))

    def test_H010_descriptors_missing_surplus_and_where_none_belongs(self):
        fd = make_file(self, b"x")
        shown = DMABUF.pack(0, 0, 0, 1, 1, 1, 1, 4, 0, 0)
        self.check(ERROR.BAD_FDS, CODE.DMABUF_SCANOUT, shown)
        self.check(ERROR.BAD_FDS, CODE.DMABUF_SCANOUT, shown, [fd, fd])
        self.check(ERROR.BAD_FDS, CODE.DMABUF_SCANOUT, bytes(40), [fd])
        self.check(ERROR.BAD_FDS, CODE.SCANOUT, bytes(12), [fd])
        self.check(ERROR.INVALID_VALUE, CODE.DMABUF_SCANOUT,
                   DMABUF.pack(0, 1, 0, 1, 1, 1, 1, 4, 0, 0), [fd])

    def test_not_negotiated(self):
        self.check(ERROR.NOT_NEGOTIATED, CODE.GET_EDID, bytes(4))
        self.check(ERROR.NOT_NEGOTIATED, CODE.DMABUF_SCANOUT2, bytes(48))

    def test_H001_in_pieces(self):
        self.open(True)
        message = HEADER.pack(CODE.SCANOUT, 0, 12) + struct.pack("=3I", 3, 7, 8)
        for byte in message:
            self.peer.send_bytes(bytes([byte]))
            run_idle()
        run_loop(lambda: self.seen)
        self.assertEqual(self.seen, [("scanout", 3, 7, 8)])

    def test_H003_leaves_in_the_middle(self):
        self.open(True)
        self.peer.send_bytes(HEADER.pack(CODE.SCANOUT, 0, 12) + bytes(4))
        self.peer.close()
        self.assert_closed(ERROR.DISCONNECTED)


class HostileDisplay(ByHand):
    def setUp(self):
        super().setUp()
        self.open(False)
        self.assertEqual(self.peer.receive()[:3], (CODE.GET_PROTOCOL_FEATURES, 0, b""))

    def answer(self, request, body=b"", fds=(), flags=REPLY):
        self.peer.send(request, body, fds, flags)

    def test_features_that_nobody_knows_are_not_taken(self):
        self.answer(CODE.GET_PROTOCOL_FEATURES, U64.pack((1 << 64) - 1))
        self.assertEqual(self.peer.receive()[:3], (CODE.SET_PROTOCOL_FEATURES, 0, U64.pack(3)))

    def test_H083_wrong_answers(self):
        fd = make_file(self, b"x")
        for code, args in ((ERROR.PROTOCOL, (CODE.DMABUF_UPDATE,)),
                           (ERROR.PROTOCOL, (CODE.SCANOUT,)),
                           (ERROR.BAD_SIZE, (CODE.GET_PROTOCOL_FEATURES, bytes(7))),
                           (ERROR.PROTOCOL, (CODE.GET_PROTOCOL_FEATURES, bytes(8), (), 0)),
                           (ERROR.BAD_FDS, (CODE.GET_PROTOCOL_FEATURES, bytes(8), [fd])),
                           (ERROR.UNKNOWN_REQUEST, (99,))):
            self.open(False)
            self.peer.receive()
            self.answer(*args)
            self.assert_closed(code)


class BothEnds(Asking):
    def test_display_of_a_device(self):
        devices = []

        def on_socket(backend, connection):
            connection.connect("ready", lambda connection: connection.send_scanout(0, 320, 200))
            devices.append(connection)
        self.begin(device_id=Vhost.DeviceId.GPU,
                   set_up=lambda backend: backend.connect("gpu-socket", on_socket))
        for _ in range(2):
            display = self.frontend.open_gpu(None)
            seen = listen(display)
            run_loop(lambda: seen)
            self.assertEqual(seen, [("scanout", 0, 320, 200)])
        self.frontend.close()
        run_loop(lambda: not display.is_open())
        self.assertEqual(len(devices), 2)
        devices.clear()

    def test_other_devices_have_none(self):
        self.begin()
        expect_error(self, ERROR.REFUSED, self.frontend.open_gpu, None)
        ROW.seen()


class SocketKinds(Channel):
    device_id = Vhost.DeviceId.GPU

    def test_H010_what_is_no_socket(self):
        self.peer.negotiate()
        fd = make_file(self, b"x")
        with socket.socket(socket.AF_UNIX) as alone:
            for fds in ([], [fd], [alone.fileno()], [fd, fd]):
                self.assertNotEqual(self.peer.ack(Req.GPU_SET_SOCKET, fds=fds), 0)
                self.assert_refused(Req.GPU_SET_SOCKET)
        self.assertFalse(is_readable(self.peer.sock))


if __name__ == "__main__":
    unittest.main()
