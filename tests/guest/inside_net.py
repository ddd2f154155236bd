# SPDX-License-Identifier: BSD-3-Clause
"""Inside a guest: frames between a driver's queues and a TAP device or a packet socket."""

import hashlib
import os
import select
import socket
import struct
import subprocess
import time
import unittest

import inside
from gi.repository import GLib, Vhost
from helpers import run_loop
from kernel_net import IFF_VNET_HDR, open_card, open_tap

HEADER = bytes(12)
TYPE = 0x88B5  # for local experiments: nobody else's frames are taken for ours
FRAMES, BATCH = 10_000, 100
RECEIVE, TRANSMIT = 0, 1


def make_frame(number, size=400):
    """A frame whose content and length depend on its number."""
    head = struct.pack("!6s6sHI", b"\x02\0\0\0\0\x01", b"\x02\0\0\0\0\x02", TYPE, number)
    body = struct.pack("!I", number * 2654435761 & 0xFFFFFFFF) * (size // 4)
    return (head + body)[:60 + number % (size - 60)]


def is_ours(frame):
    return frame[12:14] == struct.pack("!H", TYPE)


class Digest:
    """The sum of frames in their order, and how many there were."""

    def __init__(self):
        self.sum, self.count = hashlib.sha256(), 0

    def add(self, frame):
        self.sum.update(frame)
        self.count += 1

    def value(self):
        return self.count, self.sum.hexdigest()


class Wire:
    """What is at the other end of the device: a descriptor that gives and takes whole frames."""

    def __init__(self, fd, header=b""):
        self.fd, self.header = fd, header

    def send(self, frame):
        os.write(self.fd, self.header + frame)

    def receive(self, deadline=20.0):
        """The next of our frames."""
        end = time.monotonic() + deadline
        while (left := end - time.monotonic()) > 0:
            if select.select([self.fd], [], [], left)[0]:
                frame = os.read(self.fd, 65536)[len(self.header):]
                if is_ours(frame):
                    return frame
        raise AssertionError(f"no frame within {deadline:g} s")


class Net(unittest.TestCase):
    def open(self, backend_fd):
        self.net, self.driver = open_card(backend_fd)
        self.addCleanup(self.net.close)
        self.receiver, self.transmitter = map(self.driver.get_queue, (RECEIVE, TRANSMIT))
        for queue in (self.receiver, self.transmitter):
            queue.set_timeout(20_000)

    def open_tap(self, flags=IFF_VNET_HDR):
        """The device has one queue of a TAP; its frames are seen and made on the interface."""
        tap = open_tap("tap0", flags)
        self.addCleanup(os.close, tap)
        self.quieten("tap0")
        self.wire = Wire(self.open_packet("tap0"))
        self.open(tap)

    def quieten(self, *names):
        for name in names:
            inside.write_file(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "1")
            subprocess.run(["ip", "link", "set", name, "up"], check=True)

    def open_packet(self, interface, kind=socket.SOCK_RAW):
        sock = socket.socket(socket.AF_PACKET, kind, socket.htons(3))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        sock.bind((interface, 0))
        self.addCleanup(sock.close)
        return sock.fileno()

    # --- frames both ways

    def transmit(self, frames):
        """Through the queue; returns the sum of what was sent."""
        sent = Digest()
        for start in range(0, frames, BATCH):
            batch = [make_frame(number) for number in range(start, min(start + BATCH, frames))]
            for frame in batch:
                self.transmitter.add(HEADER + frame, 0)
                sent.add(frame)
            self.transmitter.kick()
            yield len(batch)
            for _ in batch:
                self.transmitter.wait(None)
        self.sent = sent.value()

    def check_queue_to_wire(self, frames):
        seen = Digest()
        for n in self.transmit(frames):
            for _ in range(n):
                seen.add(self.wire.receive())
        self.assertEqual(seen.value(), self.sent)
        return seen.value()

    def fill_receiver(self, size=1600):
        while True:
            try:
                self.receiver.add(None, size)
            except GLib.Error as error:
                self.assertTrue(error.matches(Vhost.error_quark(), Vhost.Error.QUEUE_FULL))
                break
        self.receiver.kick()

    def take_frame(self):
        """The next of our frames from the queue, whose buffer goes back."""
        while True:
            data = self.receiver.wait(None).get_data()
            self.receiver.add(None, 1600)
            if is_ours(data[12:]):
                return data

    def check_wire_to_queue(self, frames):
        sent, seen = Digest(), Digest()
        self.fill_receiver()
        for start in range(0, frames, BATCH):
            batch = [make_frame(number) for number in range(start, min(start + BATCH, frames))]
            for frame in batch:
                self.wire.send(frame)
                sent.add(frame)
            for _ in batch:
                seen.add(self.take_frame()[12:])
            self.receiver.kick()
        self.assertEqual(seen.value(), sent.value())


class Tap(Net):
    def test_ten_thousand_frames_each_way(self):
        self.open_tap()
        inside.report("to-wire", *self.check_queue_to_wire(FRAMES))
        self.check_wire_to_queue(FRAMES)
        inside.report("both-ways", FRAMES)

    def test_header_of_the_kernel(self):
        """A TAP without IFF_VNET_HDR: what it gives has no header, what the queue has does."""
        self.open_tap(flags=0)
        self.check_queue_to_wire(300)
        self.check_wire_to_queue(300)

    def test_positions_after_stopping(self):
        """Known mistake: a position that is asked for, and never written, is always 0."""
        self.open_tap()
        self.check_queue_to_wire(300)
        self.assertEqual(self.net.get_vring_base(TRANSMIT, None), 300)
        self.net.set_vring_enable(TRANSMIT, True, None)
        self.transmitter.request(HEADER + make_frame(7), 0, None)
        self.assertEqual(self.wire.receive(), make_frame(7))
        self.assertEqual(self.net.get_vring_base(TRANSMIT, None), 301)

    def test_driver_starts_again(self):
        self.open_tap()
        for _ in range(3):
            self.check_queue_to_wire(100)
            self.driver.stop(None)
            self.driver.start(2, 128, None)
            self.receiver, self.transmitter = map(self.driver.get_queue, (RECEIVE, TRANSMIT))
        self.check_wire_to_queue(100)

    def test_back_end_comes_and_goes(self):
        self.open_tap()
        self.net.set_backend(-1)
        self.transmitter.add(HEADER + make_frame(1), 0)
        self.transmitter.kick()
        time.sleep(0.1)
        self.assertIsNone(self.transmitter.collect())
        tap = open_tap("tap1")
        self.addCleanup(os.close, tap)
        self.quieten("tap1")
        self.wire = Wire(self.open_packet("tap1"))
        self.net.set_backend(tap)
        self.assertEqual(self.wire.receive(), make_frame(1))
        self.check_wire_to_queue(100)

    def test_mergeable_buffers(self):
        tap = open_tap("tap0")
        self.addCleanup(os.close, tap)
        self.quieten("tap0")
        subprocess.run(["ip", "link", "set", "tap0", "mtu", "9000"], check=True)
        self.net = Vhost.KernelNet()
        self.addCleanup(self.net.close)
        self.net.open(None)
        self.net.set_backend(tap)
        self.driver = Vhost.Driver(device=self.net)
        self.driver.props.wanted_features |= 1 << Vhost.NetFeature.MRG_RXBUF
        self.driver.start(2, 64, None)
        self.assertTrue(self.driver.has_feature(Vhost.NetFeature.MRG_RXBUF))
        self.receiver = self.driver.get_queue(RECEIVE)
        self.receiver.set_timeout(20_000)
        for _ in range(16):
            self.receiver.add(None, 1024)
        self.receiver.kick()
        frame = make_frame(0)[:14] + os.urandom(7000)
        Wire(self.open_packet("tap0")).send(frame)
        parts = [self.receiver.wait(None).get_data()]
        count, = struct.unpack_from("<H", parts[0], 10)
        self.assertEqual(count, 7)
        parts += [self.receiver.wait(None).get_data() for _ in range(count - 1)]
        self.assertEqual(b"".join(parts)[12:], frame)


class Raw(Net):
    def open_other_end(self):
        """What goes out of the interface is read from its TAP device, and what comes in written."""
        tap = open_tap("raw0", flags=0)
        self.addCleanup(os.close, tap)
        self.quieten("raw0")
        self.wire = Wire(tap)

    def test_ten_thousand_frames_each_way(self):
        self.open_other_end()
        self.open(self.open_packet("raw0"))
        self.check_queue_to_wire(FRAMES)
        self.check_wire_to_queue(FRAMES)

    def test_a_cooked_socket_is_refused(self):
        self.open_other_end()
        with self.assertRaisesRegex(GLib.Error, "raw packet socket") as raised:
            self.open(self.open_packet("raw0", socket.SOCK_DGRAM))
        self.assertTrue(raised.exception.matches(Vhost.error_quark(), Vhost.Error.BAD_FDS))


class Signals(Net):
    def test_call_descriptor_of_the_device(self):
        """Without a call descriptor the device watches one of its own."""
        self.open_tap()
        told = []
        self.net.connect("queue-notify", lambda _, index: told.append(index))
        self.net.set_vring_call(TRANSMIT, -1, None)
        self.transmitter.add(HEADER + make_frame(1), 0)
        self.transmitter.kick()
        run_loop(lambda: told, 20)
        self.assertEqual(set(told), {TRANSMIT})
        self.assertIsNotNone(self.transmitter.collect())

    def break_receiver(self):
        """The descriptor of the next buffer points to nothing."""
        self.receiver.add(None, 1600)
        memory = self.driver.get_memory()
        memory.write(memory.get_region(0).get_guest_address(), struct.pack("<Q", 1 << 60))
        self.receiver.kick()
        self.wire.send(make_frame(1))

    def test_broken_ring_is_a_signal(self):
        self.open_tap()
        told = []
        self.net.connect("queue-error", lambda _, index: told.append(index))
        self.break_receiver()
        run_loop(lambda: told, 20)
        self.assertEqual(told[0], RECEIVE)

    def test_broken_ring_ends_a_wait(self):
        self.open_tap()
        self.break_receiver()
        with self.assertRaises(GLib.Error) as raised:
            self.receiver.wait(None)
        self.assertTrue(raised.exception.matches(Vhost.error_quark(), Vhost.Error.BROKEN_QUEUE))
        self.check_queue_to_wire(10)  # the other queue goes on


if __name__ == "__main__":
    inside.run_tests()
