#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Pings a host through a network card that the kernel serves: vhost-net, and a TAP interface.

    ip tuntap add tap0 mode tap && ip addr add 10.0.0.1/24 dev tap0 && ip link set tap0 up
    kernel_net.py tap0 10.0.0.1
"""

import argparse
import fcntl
import os
import socket
import struct

import serve
from gi.repository import GLib, Vhost
from net_frontend import Card, Host

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000


def open_tap(name, flags=IFF_VNET_HDR):
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), flags | IFF_TAP | IFF_NO_PI))
    return tap


def open_card(backend_fd):
    """A driver of a network card whose frames go to and come from a descriptor."""
    net = Vhost.KernelNet()
    net.open(None)
    net.set_backend(backend_fd)
    driver = Vhost.Driver(device=net)
    driver.start(2, 256, None)
    return net, driver


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mac", default="52:54:00:00:ff:01", help="our own (%(default)s)")
    parser.add_argument("--address", default="10.0.0.254", help="our own (%(default)s)")
    parser.add_argument("tap", help="the interface")
    parser.add_argument("target", help="IPv4 address to ping")
    options = parser.parse_args()
    try:
        net, driver = open_card(open_tap(options.tap))
        host = Host(Card(driver, mtu=1500), bytes.fromhex(options.mac.replace(":", "")),
                    socket.inet_aton(options.address))
        target = socket.inet_aton(options.target)
        mac = host.resolve(target, 5)
        came = sum(host.ping(mac, target, number, 56, 5) for number in range(3)) if mac else 0
        driver.stop(None)
    except (GLib.Error, OSError) as error:
        serve.fail(error)
    print(f"{options.target}: {came} of 3 pings came back")


if __name__ == "__main__":
    main()
