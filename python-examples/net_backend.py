#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio network card whose other end is a TAP interface of this network namespace."""

import fcntl
import os
import struct
import sys

import serve
from gi.repository import Gio, GLib, Vhost

HEADER = bytes(12)  # virtio_net_hdr: neither side leaves anything to the other
CONFIG = struct.Struct("<6sHHH")  # MAC address, status, queue pairs, MTU
LINK_UP = 1
ETHERNET, VLAN = 14, 4  # bytes
RECEIVE, TRANSMIT = 0, 1
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def open_tap(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def is_empty(error):
    return error.matches(Gio.io_error_quark(), Gio.IOErrorEnum.WOULD_BLOCK)


class Bridge:
    """Moves frames between a card and a TAP interface; none of them passes through Python."""

    def __init__(self, card, tap, mtu):
        self.card, self.tap, self.longest = card, tap, ETHERNET + VLAN + mtu
        self.source = 0

    def watch_tap(self):
        if not self.source:
            self.source = GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, self.tap,
                                                GLib.IOCondition.IN, self.on_tap)

    def on_tap(self, fd, condition):
        """With no buffer left it is the driver's kick that is waited for, not the TAP."""
        if self.receive(self.card.get_queue(RECEIVE)):
            return GLib.SOURCE_CONTINUE
        self.source = 0
        return GLib.SOURCE_REMOVE

    def receive(self, queue):
        """From the TAP to the driver; returns whether the TAP is to be waited for."""
        try:
            more = self.fill(queue)
        except GLib.Error as error:
            more = is_empty(error)
            if not more:
                print(error.message, file=sys.stderr)
        queue.notify()
        return more

    def fill(self, queue):
        """Fills one ring of buffers; raises when the TAP is empty, False when the ring is."""
        for _ in range(queue.get_size()):
            if (chain := queue.pop()) is None:
                return False
            chain.write(0, HEADER)
            try:
                size = chain.write_from_fd(len(HEADER), self.longest, self.tap, -1)
            except GLib.Error:
                queue.unpop(chain)
                raise
            queue.push(chain, len(HEADER) + size)
        return True

    def transmit(self, queue):
        while (chain := queue.pop()) is not None:
            try:
                chain.read_to_fd(len(HEADER), self.longest, self.tap, -1)
            except GLib.Error as error:
                if not is_empty(error):  # else it is full, and the frame is lost
                    print(error.message, file=sys.stderr)
            queue.push(chain, 0)
        queue.notify()

    def on_kick(self, card, queue):
        if queue.get_index() == RECEIVE:
            self.watch_tap()
        else:
            self.transmit(queue)


def main():
    parser = serve.parser(__doc__, "net")
    parser.add_argument("--tap", metavar="NAME", default="tap0", help="(%(default)s)")
    parser.add_argument("--mtu", type=int, default=1500, help="bytes (%(default)s)")
    parser.add_argument("--mac", default="52:54:00:00:00:01", help="of the guest (%(default)s)")
    options = parser.parse_args()
    try:
        tap = open_tap(options.tap)
    except OSError as error:
        serve.fail(f"{options.tap}: {error.strerror}")
    card = Vhost.UserBackend(device_id=Vhost.DeviceId.NETWORK, n_queues=2)
    mac = bytes.fromhex(options.mac.replace(":", ""))
    card.set_config(CONFIG.pack(mac, LINK_UP, 1, options.mtu))
    for feature in ("MAC", "STATUS", "MTU"):
        card.add_feature(getattr(Vhost.NetFeature, feature))
    card.connect("kick", Bridge(card, tap, options.mtu).on_kick)
    serve.run(card, options)


if __name__ == "__main__":
    main()
