#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""An Ethernet switch: each port is the network card of a virtual machine. It learns who is where,
also when a guest moves from port to port, copies frames from guest to guest, and says at its end
how many. (VIRTIO 1.4, section 5.1)"""

import argparse
import collections
import signal
import struct
import sys

import serve
from gi.repository import GLib, Vhost

HEADER = struct.Struct("<BBHHHHH")  # flags, GSO type and four sizes: all 0; number of buffers
LEGACY_HEADER = 10  # bytes: without the number of buffers
CONFIG = struct.Struct("<6sHHH")  # MAC address, status, queue pairs, MTU
LINK_UP = 1
ETHERNET, VLAN, ADDRESS = 14, 4, 6  # bytes
BROADCAST = b"\xff" * ADDRESS
RARP = bytes.fromhex("8035 0001 0800 06 04 0003")  # Ethernet, IPv4: a request (RFC 903)
SHORTEST = 60  # bytes of a frame on a wire
STATIONS = 256  # addresses learnt at one port
BACKLOG = 256  # frames that wait for buffers of one queue


class Receiver:
    """A receive queue of a port, and the frames that wait until there are buffers in it."""

    def __init__(self, port, queue):
        self.port, self.queue = port, queue
        self.backlog = collections.deque()
        self.sent = self.dropped = 0

    def is_ready(self):
        return self.queue.is_started() and self.queue.is_enabled()

    def send(self, chain, start, length):
        """Sends the frame in a chain on; no byte of it passes through Python if there is room."""
        def copy(buffer, offset, done):
            return buffer.write_from_chain(offset, length - done, chain, start + done)
        if self.backlog or not self.put(length, copy):
            self.wait(chain.read(start, length))

    def send_bytes(self, frame):
        """Sends a frame that no guest has sent."""
        self.wait(frame)
        self.flush()

    def wait(self, frame):
        if len(self.backlog) < BACKLOG:
            self.backlog.append(frame)
        else:
            self.dropped += 1

    def flush(self):
        """The driver has added buffers."""
        while self.backlog:
            frame = self.backlog[0]
            if not self.put(len(frame), lambda buffer, at, done: buffer.write(at, frame[done:])):
                break
            self.backlog.popleft()
        self.queue.notify()

    def forget(self):
        self.backlog.clear()

    def put(self, length, copy):
        """Puts a frame into buffers, or drops one that fits in none; False: there is no room yet.

        copy(buffer, offset, done) writes the frame from its byte `done` on, and returns how much.
        """
        buffers = self.gather(self.port.header_size + length)
        if buffers is None:
            return False
        if not buffers:
            self.dropped += 1
            return True
        offset = buffers[0].write(0, HEADER.pack(0, 0, 0, 0, 0, 0, len(buffers))
                                  [:self.port.header_size])
        done = 0
        for buffer in buffers:
            done += copy(buffer, offset, done)
            offset = 0
        self.queue.push_all(buffers)
        self.sent += 1
        return True

    def gather(self, size):
        """Buffers for this many bytes: None if they are not there yet, [] if it fits in none."""
        buffers, room = [], 0
        while room < size and (buffer := self.queue.pop()) is not None:
            buffers.append(buffer)
            room += buffer.get_writable_size()
            if not self.port.mergeable:
                break
        if room >= size and buffers[0].get_writable_size() >= self.port.header_size:
            return buffers
        for buffer in reversed(buffers):
            self.queue.unpop(buffer)
        return [] if buffers and (room >= size or not self.port.mergeable) else None


class Port:
    """A network card: queue 2n receives, queue 2n + 1 transmits."""

    def __init__(self, switch, number, path, pairs, mtu):
        self.switch, self.number, self.path = switch, number, path
        self.header_size, self.mergeable = HEADER.size, False
        self.stations = set()
        self.card = Vhost.UserBackend(device_id=Vhost.DeviceId.NETWORK, n_queues=2 * pairs)
        mac = bytes((0x52, 0x54, 0, 0, number >> 8, number & 0xFF))
        self.card.set_config(CONFIG.pack(mac, LINK_UP, pairs, mtu))
        features = ("MAC", "STATUS", "MTU", "MRG_RXBUF", "GUEST_ANNOUNCE")
        for feature in features + (("MQ",) if pairs > 1 else ()):
            self.card.add_feature(getattr(Vhost.NetFeature, feature))
        self.receivers = [Receiver(self, self.card.get_queue(2 * n)) for n in range(pairs)]
        self.received = [0] * pairs
        self.card.connect("features-changed", self.on_features)
        self.card.connect("kick", self.on_kick)
        self.card.connect("rarp", self.on_rarp)
        self.card.connect("queue-stopped", self.on_queue_stopped)
        self.card.connect("disconnected", self.on_disconnected)
        self.card.connect("refused", lambda _, request, error: self.complain(error))
        self.card.connect("device-failed", lambda _, error: self.complain(error))

    def complain(self, error):
        print(f"port {self.number}: {error.message}", file=sys.stderr)

    def on_features(self, card):
        self.mergeable = card.has_feature(Vhost.NetFeature.MRG_RXBUF)
        modern = card.has_feature(Vhost.Feature.VERSION_1)
        self.header_size = HEADER.size if modern or self.mergeable else LEGACY_HEADER

    def on_kick(self, card, queue):
        pair, transmits = divmod(queue.get_index(), 2)
        if not transmits:
            self.receivers[pair].flush()
            return
        while (chain := queue.pop()) is not None:
            self.received[pair] += 1
            self.switch.forward(self, pair, chain)
            queue.push(chain, 0)
        queue.notify()
        self.switch.notify()

    def on_rarp(self, card, mac):
        """A guest has moved here, and does not say so itself."""
        self.switch.announce(self, bytes.fromhex(mac.replace(":", "")))

    def on_queue_stopped(self, card, queue):
        pair, transmits = divmod(queue.get_index(), 2)
        if not transmits:
            self.receivers[pair].forget()

    def on_disconnected(self, card):
        for receiver in self.receivers:
            receiver.forget()
        self.switch.forget(self)

    def choose_receiver(self, pair):
        """What came by one queue leaves by one queue, and so stays in order."""
        ready = [receiver for receiver in self.receivers if receiver.is_ready()]
        return ready[pair % len(ready)] if ready else None


class Switch:
    def __init__(self, paths, pairs, mtu):
        self.longest = mtu + ETHERNET + VLAN
        self.where = {}  # MAC address: port
        self.touched = set()  # receivers that have to be notified
        self.ports = [Port(self, *item, pairs, mtu) for item in enumerate(paths)]

    def forward(self, port, pair, chain):
        start = port.header_size
        length = chain.get_readable_size() - start
        if not ETHERNET <= length <= self.longest:
            return
        head = chain.read(start, 2 * ADDRESS)
        target, source = head[:ADDRESS], head[ADDRESS:]
        self.learn(source, port)
        known = self.where.get(target)
        for other in [known] if known else self.ports:
            receiver = other.choose_receiver(pair) if other is not port else None
            if receiver:
                receiver.send(chain, start, length)
                self.touched.add(receiver)

    def announce(self, port, address):
        self.learn(address, port)
        sender = address + bytes(4)  # no IP address is known
        frame = (BROADCAST + address + RARP + sender + sender).ljust(SHORTEST, b"\0")
        for other in self.ports:
            receiver = other.choose_receiver(0) if other is not port else None
            if receiver:
                receiver.send_bytes(frame)

    def learn(self, address, port):
        before = self.where.get(address)
        if before is port or address[0] & 1 or len(port.stations) == STATIONS:
            return
        if before:
            before.stations.remove(address)
        port.stations.add(address)
        self.where[address] = port

    def forget(self, port):
        for address in port.stations:
            del self.where[address]
        port.stations.clear()

    def notify(self):
        for receiver in self.touched:
            receiver.queue.notify()
        self.touched.clear()

    def listen(self):
        for port in self.ports:
            port.card.listen(port.path)

    def close(self):
        for port in self.ports:
            port.card.close()
            sent = " ".join(str(receiver.sent) for receiver in port.receivers)
            dropped = sum(receiver.dropped for receiver in port.receivers)
            print(f"port {port.number}: from guest {' '.join(map(str, port.received))}; "
                  f"to guest {sent}; dropped {dropped}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--socket-path", metavar="PATH", action="append", required=True,
                        help="the Unix socket of a port; once for each")
    parser.add_argument("--queue-pairs", type=int, default=1, help="of a port (%(default)s)")
    parser.add_argument("--mtu", type=int, default=1500, help="bytes (%(default)s)")
    options = parser.parse_args()
    if not 1 <= options.queue_pairs <= 128 or not 68 <= options.mtu <= 65535 - ETHERNET - VLAN:
        serve.fail("1 to 128 queue pairs and an MTU of 68 to 65517 are possible")
    switch = Switch(options.socket_path, options.queue_pairs, options.mtu)
    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
    try:
        switch.listen()
    except GLib.Error as error:
        serve.fail(error)
    loop.run()
    switch.close()


if __name__ == "__main__":
    main()
