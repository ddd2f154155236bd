#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio socket device with one service on the host: an echo."""

import struct

import serve
from gi.repository import Vhost

HEADER = struct.Struct("<QQIIIHHIII")  # cids and ports, size, type, op, flags, credit
REQUEST, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST = range(1, 8)
STREAM = 1
HOST = 2  # our context id
NO_MORE_TO_SEND, BOTH = 2, 3  # flags of SHUTDOWN
TO_GUEST, FROM_GUEST = 0, 1  # queues
BUFFER = 1 << 18  # bytes that we keep for one connection
MAX_CONNECTIONS, MAX_REPLIES = 256, 64


class Connection:
    """Both directions of credit, in bytes since the beginning, modulo 2**32."""

    def __init__(self):
        self.waiting = b""  # to be echoed
        self.received = self.sent = 0
        self.room = self.taken = 0  # the guest's buffer, and what left it
        self.ending = False  # the guest sends no more

    def forwarded(self):
        return (self.received - len(self.waiting)) & 0xFFFFFFFF

    def credit(self):
        return max(0, self.room - ((self.sent - self.taken) & 0xFFFFFFFF))


class Echo:
    def __init__(self, backend, cid, port):
        self.backend, self.cid, self.port = backend, cid, port
        self.connections = {}  # (guest's port, our port): Connection
        self.replies = []  # (key, op, flags)
        backend.set_config(struct.pack("<Q", cid))
        backend.connect("kick", self.on_kick)
        backend.connect("queue-stopped", lambda *_: (self.connections.clear(),
                                                     self.replies.clear()))

    # --- from the guest

    def receive(self, chain):
        packet = chain.read(0, HEADER.size)
        if len(packet) < HEADER.size:
            return
        source, target, *ports, size, kind, op, flags, room, taken = HEADER.unpack(packet)
        if (source, target) != (self.cid, HOST):
            return
        key = tuple(ports)
        connection = self.connections.get(key)
        if op == REQUEST and kind == STREAM:
            connection = self.accept(key)
        if connection is None or kind != STREAM:
            if op != RST:
                self.replies.append((key, RST, 0))
            return
        connection.room, connection.taken = room, taken
        self.handle(key, connection, op, flags, chain, size)

    def accept(self, key):
        if key[1] != self.port or key in self.connections or (
                len(self.connections) >= MAX_CONNECTIONS):
            self.connections.pop(key, None)
            return None
        self.replies.append((key, RESPONSE, 0))
        self.connections[key] = Connection()
        return self.connections[key]

    def handle(self, key, connection, op, flags, chain, size):
        if op == RW:
            self.take(key, connection, chain, size)
        elif op == SHUTDOWN and flags & BOTH == BOTH:
            self.reset(key)
        elif op == SHUTDOWN:
            connection.ending |= bool(flags & NO_MORE_TO_SEND)
        elif op == CREDIT_REQUEST:
            self.replies.append((key, CREDIT_UPDATE, 0))
        elif op == RST:
            del self.connections[key]
        elif op not in (REQUEST, CREDIT_UPDATE):
            self.reset(key)

    def take(self, key, connection, chain, size):
        """A guest that sends more than it has credit for, or than it says, is cut off."""
        if size > chain.get_readable_size() - HEADER.size or (
                size > BUFFER - len(connection.waiting)):
            self.reset(key)
            return
        connection.waiting += chain.read(HEADER.size, size)
        connection.received += size

    def reset(self, key):
        del self.connections[key]
        self.replies.append((key, RST, 0))

    # --- to the guest

    def find_reply(self, room):
        """The next packet: key, op, flags and data; None when there is nothing to say."""
        if self.replies:
            return *self.replies.pop(0), b""
        for key, connection in self.connections.items():
            if size := min(room, connection.credit(), len(connection.waiting)):
                data, connection.waiting = connection.waiting[:size], connection.waiting[size:]
                connection.sent += size
                self.connections[key] = self.connections.pop(key)  # its turn is over
                return key, RW, 0, data
            if connection.ending and not connection.waiting:
                connection.ending = False
                return key, SHUTDOWN, BOTH, b""
        return None

    def pack(self, key, op, flags, data):
        connection = self.connections.get(key) or Connection()
        return HEADER.pack(HOST, self.cid, key[1], key[0], len(data), STREAM, op, flags, BUFFER,
                           connection.forwarded()) + data

    def send(self, queue):
        while (chain := queue.pop()) is not None:
            room = chain.get_writable_size() - HEADER.size
            if room < 0:
                queue.push(chain, 0)
            elif (reply := self.find_reply(room)) is not None:
                queue.push(chain, chain.write(0, self.pack(*reply)))
            else:
                queue.unpop(chain)
                break
        queue.notify()

    def on_kick(self, backend, queue):
        """Takes from the guest as long as there is room for the replies."""
        if queue.get_index() > FROM_GUEST:
            return
        incoming, outgoing = backend.get_queue(FROM_GUEST), backend.get_queue(TO_GUEST)
        self.send(outgoing)
        while len(self.replies) < MAX_REPLIES and (chain := incoming.pop()) is not None:
            self.receive(chain)
            incoming.push(chain, 0)
            self.send(outgoing)
        incoming.notify()


if __name__ == "__main__":
    parser = serve.parser(__doc__, "vsock")
    parser.add_argument("--cid", type=int, default=3, help="context id of the guest (%(default)s)")
    parser.add_argument("--port", type=int, default=7, help="of the service (%(default)s)")
    options = parser.parse_args()
    vsock = Vhost.UserBackend(device_id=Vhost.DeviceId.VSOCK, n_queues=3)
    echo = Echo(vsock, options.cid, options.port)
    serve.run(vsock, options)
