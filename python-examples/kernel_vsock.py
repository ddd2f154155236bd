#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Is a guest to the host's AF_VSOCK sockets, through vhost-vsock: connects to a port of the host,
sends what comes on standard input and prints the answer.
"""

import argparse
import struct
import sys

import serve
from gi.repository import GLib, Vhost

HEADER = struct.Struct("<QQIIIHHIII")  # cids and ports, size, type, op, flags, credit
REQUEST, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST = range(1, 8)
STREAM, SEQPACKET = 1, 2
END_OF_MESSAGE = 1  # flag of RW, for SEQPACKET
BOTH = 3  # flags of SHUTDOWN
HOST = 2  # its context identifier
RECEIVE, TRANSMIT = 0, 1
BUFFER, ROOM = 4096, 1 << 18  # of one packet; of all that we have not taken yet


class Guest:
    """The guest's side of a socket device."""

    def __init__(self, cid, features=()):
        self.cid = cid
        self.device = Vhost.KernelVsock()
        self.device.open(None)
        self.device.set_guest_cid(cid)
        self.driver = Vhost.Driver(device=self.device)
        for bit in features:
            self.driver.props.wanted_features |= 1 << bit
        self.driver.start(2, 64, None)
        self.receiver, self.transmitter = map(self.driver.get_queue, (RECEIVE, TRANSMIT))
        for queue in (self.receiver, self.transmitter):
            queue.set_timeout(20_000)
        for _ in range(32):
            self.receiver.add(None, HEADER.size + BUFFER)
        self.receiver.kick()

    def receive(self):
        """The next packet: its header's fields, and its data."""
        packet = self.receiver.wait(None).get_data()
        self.receiver.add(None, HEADER.size + BUFFER)
        self.receiver.kick()
        return HEADER.unpack_from(packet), packet[HEADER.size:]

    def stop(self):
        self.driver.stop(None)
        self.device.close()


class Socket:
    """A connection that the guest made or took. One at a time, so that all packets are its own."""

    def __init__(self, guest, own, peer, kind=STREAM):
        self.guest, self.own, self.peer, self.kind = guest, own, peer, kind
        self.received = self.sent = 0  # bytes, modulo 2**32
        self.room = self.taken = 0  # the host's buffer, and what left it
        self.waiting = b""
        self.ended = False

    def connect(self):
        self.put(REQUEST)
        while not self.room:
            if self.take() == RST:
                raise ConnectionRefusedError(f"nobody listens at port {self.peer} of the host")
        return self

    def accept(self):
        """Waits for the host to connect to our port."""
        fields, _ = self.guest.receive()
        while (fields[3], fields[6]) != (self.own, REQUEST):
            fields, _ = self.guest.receive()
        self.peer, self.kind = fields[2], fields[5]
        self.room, self.taken = fields[8:]
        self.put(RESPONSE)
        return self

    def put(self, op, data=b"", flags=0):
        self.guest.transmitter.request(
            HEADER.pack(self.guest.cid, HOST, self.own, self.peer, len(data), self.kind, op, flags,
                        ROOM, self.received) + data, 0, None)

    def take(self):
        """Handles one packet and returns what it was."""
        fields, data = self.guest.receive()
        size, kind, op, _, room, taken = fields[4:]
        if (fields[2], fields[3], kind) != (self.peer, self.own, self.kind):
            return None  # the host still ends a connection of an earlier guest
        self.room, self.taken = room, taken
        self.waiting += data[:size]
        self.received = (self.received + size) & 0xFFFFFFFF
        self.ended |= op in (RST, SHUTDOWN)
        if op in (RW, CREDIT_REQUEST):
            self.put(CREDIT_UPDATE)
        return op

    def send(self, data):
        for start in range(0, len(data), BUFFER):
            part = data[start:start + BUFFER]
            while self.room - ((self.sent - self.taken) & 0xFFFFFFFF) < len(part):
                self.take()
            last = self.kind == SEQPACKET and start + BUFFER >= len(data)
            self.put(RW, part, END_OF_MESSAGE if last else 0)
            self.sent = (self.sent + len(part)) & 0xFFFFFFFF

    def receive(self, size):
        """That many bytes, or less at the end."""
        while len(self.waiting) < size and not self.ended:
            self.take()
        data, self.waiting = self.waiting[:size], self.waiting[size:]
        return data

    def close(self):
        self.put(SHUTDOWN, flags=BOTH)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cid", type=int, default=42, help="the guest's (%(default)s)")
    parser.add_argument("port", type=int, help="where the host listens")
    options = parser.parse_args()
    try:
        guest = Guest(options.cid)
        sock = Socket(guest, own=1024, peer=options.port).connect()
        sock.send(sys.stdin.buffer.read())
        sys.stdout.buffer.write(sock.receive(1 << 30))
        guest.stop()
    except (GLib.Error, OSError) as error:
        serve.fail(error)


if __name__ == "__main__":
    main()
