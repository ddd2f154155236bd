# SPDX-License-Identifier: BSD-3-Clause
"""Inside a guest: a script is the guest of AF_VSOCK sockets of this kernel, their host."""

import os
import socket
import threading
import time
import unittest

import inside
from kernel_vsock import CREDIT_UPDATE, HEADER, ROOM, SEQPACKET, STREAM, Guest, Socket

CID, HOST_PORT, GUEST_PORT = 42, 5000, 6000
MIB = 1 << 20
FEATURE_SEQPACKET = 1


class Vsock(unittest.TestCase):
    FEATURES = ()

    def setUp(self):
        self.guest = Guest(CID, self.FEATURES)
        self.addCleanup(self.guest.stop)

    def listen(self, serve, kind=socket.SOCK_STREAM):
        """A host socket that serves one connection, in a thread of its own."""
        listener = socket.socket(socket.AF_VSOCK, kind)
        listener.settimeout(30)
        listener.bind((socket.VMADDR_CID_ANY, HOST_PORT))
        listener.listen()
        self.errors = []

        def run():
            try:
                with listener:
                    connection, _ = listener.accept()
                with connection:
                    connection.settimeout(30)
                    serve(connection)
            except Exception as error:  # told by the test
                self.errors.append(error)
        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)
        return thread


class Stream(Vsock):
    def test_one_mib_each_way(self):
        there, back = os.urandom(MIB), os.urandom(MIB)
        arrived = bytearray()

        def serve(connection):
            while len(arrived) < MIB:
                arrived.extend(connection.recv(65536))
            connection.sendall(back)
        thread = self.listen(serve)
        sock = Socket(self.guest, 1024, HOST_PORT).connect()
        sock.send(there)
        self.assertEqual(sock.receive(MIB), back)
        thread.join(30)
        self.assertEqual((bytes(arrived), self.errors), (there, []))
        inside.report("bytes", len(arrived), MIB)

    def test_the_host_connects(self):
        sock = Socket(self.guest, GUEST_PORT, 0)
        with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as host:
            host.settimeout(20)
            thread = threading.Thread(target=host.connect, args=((CID, GUEST_PORT),))
            thread.start()
            sock.accept()
            thread.join(20)
            host.sendall(b"hello")
            self.assertEqual(sock.receive(5), b"hello")
            sock.send(b"world")
            self.assertEqual(host.recv(5), b"world")
            sock.close()

    def test_nobody_listens(self):
        with self.assertRaises(ConnectionRefusedError):
            Socket(self.guest, 1025, 4999).connect()

    def test_stop_and_start(self):
        def serve(connection):
            while data := connection.recv(4096):
                connection.sendall(data)
        self.listen(serve)
        sock = Socket(self.guest, 1026, HOST_PORT).connect()
        sock.send(b"before")
        self.assertEqual(sock.receive(6), b"before")
        self.guest.device.stop()
        self.guest.transmitter.add(HEADER.pack(
            CID, 2, sock.own, sock.peer, 0, STREAM, CREDIT_UPDATE, 0, ROOM, sock.received), 0)
        self.guest.transmitter.kick()
        time.sleep(0.1)
        self.assertIsNone(self.guest.transmitter.collect())
        self.guest.device.start()
        self.guest.transmitter.wait(None)
        sock.send(b"after")
        self.assertEqual(sock.receive(5), b"after")
        sock.close()


class Messages(Vsock):
    FEATURES = (FEATURE_SEQPACKET,)

    def test_messages_stay_whole(self):
        self.assertTrue(self.guest.driver.has_feature(FEATURE_SEQPACKET))
        sizes, arrived = (1, 4096, 10_000, 100), []
        thread = self.listen(lambda connection: [arrived.append(connection.recv(65536))
                                                 for _ in sizes], socket.SOCK_SEQPACKET)
        sock = Socket(self.guest, 1027, HOST_PORT, SEQPACKET).connect()
        sent = [os.urandom(size) for size in sizes]
        for message in sent:
            sock.send(message)
        thread.join(30)
        self.assertEqual((arrived, self.errors), (sent, []))


if __name__ == "__main__":
    inside.run_tests()
