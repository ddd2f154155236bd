#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Pings a host through a virtio network card, without a VM: ARP and ICMP by hand."""

import os
import socket
import struct
import time

import serve
from gi.repository import GLib, Vhost

HEADER = bytes(12)  # virtio_net_hdr: nothing is left to the device
ETHERNET = struct.Struct("!6s6sH")  # to, from, type
ARP = struct.Struct("!HHBBH6s4s6s4s")  # formats, sizes, operation, sender, target
IPV4 = struct.Struct("!BBHHHBBH4s4s")
ICMP = struct.Struct("!BBHHH")  # type, code, checksum, identifier, sequence
TYPE_IPV4, TYPE_ARP = 0x0800, 0x0806
ARP_REQUEST, ARP_REPLY = 1, 2
ECHO_REPLY, ECHO_REQUEST = 0, 8
PROTOCOL_ICMP = 1
BROADCAST = b"\xff" * 6
RECEIVE, TRANSMIT = 0, 1


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Card:
    """Frames in and out of a network card, whose receive queue is kept full."""

    def __init__(self, driver, mtu):
        self.receiver, self.transmitter = map(driver.get_queue, (RECEIVE, TRANSMIT))
        self.room = len(HEADER) + ETHERNET.size + mtu
        for _ in range(min(64, self.receiver.get_size())):
            self.receiver.add(None, self.room)
        self.receiver.kick()

    def send(self, frame):
        self.transmitter.request(HEADER + frame, 0, None)

    def receive(self, deadline):
        """The next frame, or None when none has come until the deadline."""
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        self.receiver.set_timeout(int(left * 1000) + 1)
        try:
            frame = self.receiver.wait(None).get_data()[len(HEADER):]
        except GLib.Error as error:
            if error.matches(Vhost.error_quark(), Vhost.Error.TIMED_OUT):
                return None
            raise
        self.receiver.add(None, self.room)
        self.receiver.kick()
        return frame


class Host:
    """One address on the network: asks who has another, and answers for its own."""

    def __init__(self, card, mac, address):
        self.card, self.mac, self.address = card, mac, address

    def send_arp(self, operation, mac, address):
        self.card.send(ETHERNET.pack(mac, self.mac, TYPE_ARP)
                       + ARP.pack(1, TYPE_IPV4, 6, 4, operation, self.mac, self.address,
                                  bytes(6) if mac == BROADCAST else mac, address))

    def send_echo(self, mac, address, sequence, data):
        icmp = ICMP.pack(ECHO_REQUEST, 0, 0, 0, sequence) + data
        icmp = ICMP.pack(ECHO_REQUEST, 0, checksum(icmp), 0, sequence) + data
        ip = IPV4.pack(0x45, 0, IPV4.size + len(icmp), 0, 0, 64, PROTOCOL_ICMP, 0, self.address,
                       address)
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        self.card.send(ETHERNET.pack(mac, self.mac, TYPE_IPV4) + ip + icmp)

    def frames(self, kind, seconds):
        """Payloads of this type that are for us, until the time is over; answers ARP meanwhile."""
        deadline = time.monotonic() + seconds
        while (frame := self.card.receive(deadline)) is not None:
            if len(frame) < ETHERNET.size:
                continue
            target, _, found = ETHERNET.unpack_from(frame)
            payload = frame[ETHERNET.size:]
            if target not in (self.mac, BROADCAST):
                continue
            if found == TYPE_ARP and len(payload) >= ARP.size:
                self.answer_arp(payload)
            if found == kind:
                yield payload

    def answer_arp(self, payload):
        *_, operation, mac, address, _, wanted = ARP.unpack_from(payload)
        if operation == ARP_REQUEST and wanted == self.address:
            self.send_arp(ARP_REPLY, mac, address)

    def resolve(self, address, seconds):
        """The MAC address that belongs to an IP address, or None."""
        self.send_arp(ARP_REQUEST, BROADCAST, address)
        for payload in self.frames(TYPE_ARP, seconds):
            if len(payload) >= ARP.size:
                *_, operation, mac, sender, _, _ = ARP.unpack_from(payload)
                if operation == ARP_REPLY and sender == address:
                    return mac
        return None

    def ping(self, mac, address, sequence, size, seconds):
        """Whether the same bytes came back in time."""
        data = os.urandom(size)
        self.send_echo(mac, address, sequence, data)
        for payload in self.frames(TYPE_IPV4, seconds):
            icmp = payload[IPV4.size:]
            if len(icmp) >= ICMP.size and payload[9] == PROTOCOL_ICMP:
                kind, _, _, _, number = ICMP.unpack_from(icmp)
                if (kind, number) == (ECHO_REPLY, sequence):
                    return icmp[ICMP.size:ICMP.size + size] == data
        return False


def main():
    parser = serve.parser(__doc__)
    parser.add_argument("--mac", default="52:54:00:00:ff:01", help="our own (%(default)s)")
    parser.add_argument("--address", default="10.0.0.254", help="our own (%(default)s)")
    parser.add_argument("--count", type=int, default=3, help="pings (%(default)s)")
    parser.add_argument("--size", type=int, default=56, help="bytes in each (%(default)s)")
    parser.add_argument("--wait", type=float, default=2.0, help="seconds for each (%(default)s)")
    parser.add_argument("target", help="IPv4 address to ping")
    options = parser.parse_args()
    frontend, driver = serve.open_driver(options, n_queues=2, queue_size=256,
                                         features=[Vhost.NetFeature.MAC])
    target = socket.inet_aton(options.target)
    card = Card(driver, mtu=max(1500, options.size + IPV4.size + ICMP.size))
    host = Host(card, bytes.fromhex(options.mac.replace(":", "")),
                socket.inet_aton(options.address))
    try:
        mac = host.resolve(target, options.wait)
        if mac is None:
            serve.fail(f"nobody has {options.target}")
        came = sum(host.ping(mac, target, number, options.size, options.wait)
                   for number in range(options.count))
        driver.stop(None)
    except GLib.Error as error:
        serve.fail(error)
    print(f"{options.target} is at {mac.hex(':')}: {came} of {options.count} pings came back")
    if came < options.count:
        serve.fail("some were lost")


if __name__ == "__main__":
    main()
