# SPDX-License-Identifier: BSD-3-Clause
"""Inside a guest: what goes wrong with kernel devices is told in clear words."""

import os
import socket
import unittest

import inside
from gi.repository import Gio, GLib, Vhost


class Failing(unittest.TestCase):
    def setUp(self):
        self.net = Vhost.KernelNet()
        self.net.open(None)
        self.addCleanup(self.net.close)

    def fails(self, domain, code, *words):
        """A block that fails so, with a message that holds these words."""
        return Expected(self, domain, code, words)

    def fails_io(self, code, *words):
        return self.fails(Gio.io_error_quark(), code, *words)

    def fails_vhost(self, code, *words):
        return self.fails(Vhost.error_quark(), code, *words)


class Expected:
    def __init__(self, test, domain, code, words):
        self.test, self.domain, self.code, self.words = test, domain, code, words

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        self.test.assertIs(kind, GLib.Error)
        self.test.assertTrue(error.matches(self.domain, self.code), repr(error))
        for word in self.words:
            self.test.assertIn(word, error.message)
        return True


class Opening(Failing):
    def test_missing_module(self):
        with self.fails_io(Gio.IOErrorEnum.NOT_FOUND, "/dev/vhost-scsi", "vhost_scsi"):
            Vhost.KernelScsi().open(None)

    def test_no_permission(self):
        """What the kernel thinks of an ordinary user, asked by a child that is one."""
        os.chmod("/dev/vhost-net", 0o600)
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            try:
                Vhost.KernelNet().open(None)
            except GLib.Error as error:
                denied = error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.PERMISSION_DENIED)
                os._exit(0 if denied and "/dev/vhost-net" in error.message else 1)
            os._exit(2)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)

    def test_no_kernel_device(self):
        with self.fails_io(Gio.IOErrorEnum.NOT_SUPPORTED, "/dev/null", "SET_OWNER"):
            Vhost.KernelNet().open("/dev/null")

    def test_open_twice(self):
        with self.fails_vhost(Vhost.Error.BAD_STATE, "open already"):
            self.net.open(None)

    def test_not_open(self):
        self.net.close()
        with self.fails_vhost(Vhost.Error.DISCONNECTED, "not open"):
            self.net.get_features(None)
        self.assertEqual(self.net.get_n_queues(), 0)


class Owner(Failing):
    def test_there_is_one(self):
        with self.fails_io(Gio.IOErrorEnum.BUSY, "SET_OWNER", "owner already"):
            self.net.set_owner(None)

    def test_another_process_is(self):
        """The descriptor goes to a process that did not make the device its own."""
        ours, theirs = socket.socketpair()
        with ours, theirs:
            child = os.fork()
            if child == 0:
                os._exit(self.try_in_child(theirs))
            socket.send_fds(ours, [b"x"], [self.net.peek_fd()])
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)

    def try_in_child(self, sock):
        _, (fd,), _, _ = socket.recv_fds(sock, 1, 1)
        try:
            Vhost.KernelNet().open_fd(fd)
        except GLib.Error as error:
            busy = error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.BUSY)
            return 0 if busy and "owner already" in error.message else 1
        return 2

    def test_our_own_descriptor_again(self):
        again = Vhost.KernelNet()
        again.open_fd(self.net.peek_fd())
        self.assertEqual(again.get_n_queues(), 2)
        again.close()

    def test_reset(self):
        self.net.reset_owner(None)
        with self.fails_io(Gio.IOErrorEnum.PERMISSION_DENIED, "SET_LOG_FD", "owns"):
            self.net.set_log_fd(-1, None)
        self.net.set_owner(None)
        self.net.set_log_fd(-1, None)

    def test_reset_is_for_network_devices(self):
        vsock = Vhost.KernelVsock()
        vsock.open(None)
        with self.fails_io(Gio.IOErrorEnum.NOT_SUPPORTED, "RESET_OWNER"):
            vsock.reset_owner(None)
        vsock.close()


class Descriptors(Failing):
    def start(self):
        driver = Vhost.Driver(device=self.net)
        self.addCleanup(driver.stop, None)
        driver.start(2, 64, None)
        return driver

    def test_no_backend(self):
        with self.fails_vhost(Vhost.Error.BAD_STATE, "NET_SET_BACKEND", "no TAP"):
            self.start()

    def test_backend_is_something_else(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        null = open("/dev/null", "rb")
        with sock, null:
            for fd in (null.fileno(), sock.fileno()):
                with self.fails_vhost(Vhost.Error.BAD_FDS, "NET_SET_BACKEND", "TAP"):
                    self.net.set_backend(fd)

    def test_what_notifies_is_no_eventfd(self):
        with open("/dev/null", "rb") as null:
            for name in ("kick", "call", "err"):
                with self.fails_vhost(Vhost.Error.BAD_FDS, f"SET_VRING_{name.upper()}"):
                    getattr(self.net, f"set_vring_{name}")(0, null.fileno(), None)
            with self.fails_vhost(Vhost.Error.BAD_FDS, "SET_LOG_FD"):
                self.net.set_log_fd(null.fileno(), None)


class Values(Failing):
    def test_features_that_are_not_offered(self):
        with self.fails_vhost(Vhost.Error.INVALID_VALUE, "SET_FEATURES", "RING_PACKED"):
            self.net.set_features(1 << Vhost.Feature.RING_PACKED, None)

    def test_logging_without_a_log(self):
        with self.fails_vhost(Vhost.Error.BAD_STATE, "LOG_ALL"):
            self.net.set_features(1 << Vhost.Feature.LOG_ALL, None)

    def test_sizes(self):
        for num in (0, 3, 65536):
            with self.fails_vhost(Vhost.Error.INVALID_VALUE, "SET_VRING_NUM", str(num)):
                self.net.set_vring_num(0, num, None)

    def test_queue_that_is_not_there(self):
        with self.fails_vhost(Vhost.Error.INVALID_VALUE, "SET_VRING_NUM", "queue 2"):
            self.net.set_vring_num(2, 64, None)

    def test_base(self):
        with self.fails_vhost(Vhost.Error.INVALID_VALUE, "SET_VRING_BASE"):
            self.net.set_vring_base(0, 1 << 16, None)

    def test_cids(self):
        first, second = Vhost.KernelVsock(), Vhost.KernelVsock()
        first.open(None)
        second.open(None)
        for cid in (0, 2, 0xFFFFFFFF, 1 << 32):
            with self.fails_vhost(Vhost.Error.INVALID_VALUE, "VSOCK_SET_GUEST_CID"):
                first.set_guest_cid(cid)
        first.set_guest_cid(77)
        with self.fails_io(Gio.IOErrorEnum.ADDRESS_IN_USE, "VSOCK_SET_GUEST_CID", "another guest"):
            second.set_guest_cid(77)
        first.close()
        second.set_guest_cid(77)
        second.close()

    def test_byte_order(self):
        """Debian's kernels know one."""
        with self.fails_io(Gio.IOErrorEnum.NOT_SUPPORTED, "SET_VRING_ENDIAN"):
            self.net.set_vring_endian(0, True, None)
        with self.fails_io(Gio.IOErrorEnum.NOT_SUPPORTED, "GET_VRING_ENDIAN"):
            self.net.is_vring_big_endian(0)

    def test_busyloop_timeout(self):
        self.net.set_vring_busyloop_timeout(1, 50)
        self.assertEqual(self.net.get_vring_busyloop_timeout(1), 50)
        self.assertEqual(self.net.get_vring_busyloop_timeout(0), 0)

    def test_features_above_bit_63(self):
        words = self.net.get_features_array()
        self.assertEqual(words[0], self.net.get_features(None))
        self.assertFalse(words[0] >> 27 & 1)
        if len(words) == 1:
            with self.fails_io(Gio.IOErrorEnum.NOT_SUPPORTED, "SET_FEATURES_ARRAY"):
                self.net.set_features_array([0, 2])
        self.net.set_features_array([1 << Vhost.Feature.VERSION_1])


class Leaks(Failing):
    def test_nothing_stays_open(self):
        before = os.listdir("/proc/self/fd")
        for _ in range(20):
            net = Vhost.KernelNet()
            net.open(None)
            with self.fails_vhost(Vhost.Error.BAD_STATE):
                Vhost.Driver(device=net).start(2, 64, None)
            net.close()
        self.assertEqual(os.listdir("/proc/self/fd"), before)


if __name__ == "__main__":
    inside.run_tests()
