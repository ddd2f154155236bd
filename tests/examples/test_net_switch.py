# SPDX-License-Identifier: BSD-3-Clause
"""python-examples/net_switch.py between drivers without a VM, frame by frame."""

import os
import struct
import time
import unittest

import gi

gi.require_version("Vhost", "1")
from gi.repository import GLib, Vhost  # noqa: E402
from helpers import TempDir, wait_for_socket, wait_until  # noqa: E402

Net = Vhost.NetFeature
BROADCAST = b"\xff" * 6
MULTICAST = bytes.fromhex("01005e000001")
RESULT = ("from guest", "to guest", "dropped")
PATIENCE, SILENCE = 5000, 100  # milliseconds


def make_mac(number):
    return bytes((2, 0, 0, 0, 0, number))


def make_frame(target, source, size=60):
    return target + source + b"\x88\xb5" + os.urandom(size - 14)


class Guest:
    """A driver at one port, which sends and receives frames."""

    def __init__(self, test, path, number, pairs=1, features=(Net.MAC,), legacy=False):
        self.mac = make_mac(number)
        self.frontend = Vhost.UserFrontend()
        self.frontend.open(path, None)
        test.addCleanup(self.frontend.close)
        self.driver = Vhost.Driver(device=self.frontend)
        for bit in features:
            self.driver.props.wanted_features |= 1 << bit
        if legacy:
            self.driver.props.wanted_features &= ~(1 << Vhost.Feature.VERSION_1)
        self.driver.start(2 * pairs, 256, None)
        self.header = 10 if legacy else 12

    def add_buffers(self, count, size=12 + 1518, pair=0):
        queue = self.driver.get_queue(2 * pair)
        for _ in range(count):
            queue.add(None, size)
        queue.kick()

    def send(self, *frames, pair=0):
        queue = self.driver.get_queue(2 * pair + 1)
        for frame in frames:
            queue.request(bytes(self.header) + frame, 0, None)

    def receive(self, pair=0, timeout=PATIENCE):
        """(frame, number of buffers), or None if nothing comes."""
        queue = self.driver.get_queue(2 * pair)
        queue.set_timeout(timeout)
        try:
            data = queue.wait(None).get_data()
        except GLib.Error as error:
            if error.matches(Vhost.error_quark(), Vhost.Error.TIMED_OUT):
                return None
            raise
        count = struct.unpack_from("<H", data, 10)[0] if self.header == 12 else 1
        return data[self.header:] + b"".join(queue.wait(None).get_data()
                                             for _ in range(count - 1)), count


class Switched(TempDir):
    options = ()
    n_ports = 3

    def setUp(self):
        super().setUp()
        self.sockets = [self.path(f"port{n}") for n in range(self.n_ports)]
        self.switch = self.spawn_python("python-examples/net_switch.py", *self.options,
                                        *(f"--socket-path={path}" for path in self.sockets))
        for path in self.sockets:
            wait_for_socket(path, child=self.switch)

    def plug_in(self, port, buffers=64, **options):
        guest = Guest(self, self.sockets[port], port, **options)
        guest.add_buffers(buffers)
        return guest

    def plug_in_all(self):
        return [self.plug_in(port) for port in range(self.n_ports)]

    def assert_received(self, guest, *frames, pair=0, buffers=1):
        for frame in frames:
            self.assertEqual(guest.receive(pair), (frame, buffers))

    def assert_silent(self, *guests):
        for guest in guests:
            self.assertIsNone(guest.receive(timeout=SILENCE))

    def count(self):
        """{port: (from guest, to guest, dropped)} when the switch has ended."""
        self.assertEqual(self.switch.stop(), 0, self.switch.read_output())
        ports = {}
        for line in self.switch.read_output().splitlines():
            name, _, counters = line.partition(": ")
            parts = counters.split("; ")
            ports[int(name.split()[1])] = tuple(
                [int(number) for number in part.removeprefix(what).split()]
                for part, what in zip(parts, RESULT))
        return ports


class Learning(Switched):
    def test_unknown_broadcast_and_multicast_go_to_all_others(self):
        one, two, three = self.plug_in_all()
        frames = [make_frame(target, one.mac) for target in (make_mac(99), BROADCAST, MULTICAST)]
        one.send(*frames)
        self.assert_received(two, *frames)
        self.assert_received(three, *frames)
        self.assert_silent(one)

    def test_guest_that_moved_is_announced_and_learnt(self):
        one, two, three = self.plug_in_all()
        moved = make_mac(50)
        two.send(make_frame(BROADCAST, moved))
        one.receive(), three.receive()
        three.frontend.send_rarp(moved.hex(":"), None)
        announced = BROADCAST + moved + bytes.fromhex("8035 0001 0800 06 04 0003") + (
            (moved + bytes(4)) * 2) + bytes(18)
        self.assert_received(one, announced)
        self.assert_received(two, announced)
        frame = make_frame(moved, one.mac)
        one.send(frame)
        self.assert_received(three, frame)
        self.assert_silent(one, two)

    def test_known_address_goes_to_its_port_only(self):
        one, two, three = self.plug_in_all()
        two.send(make_frame(BROADCAST, two.mac))
        one.receive(), three.receive()
        frame = make_frame(two.mac, one.mac)
        one.send(frame)
        self.assert_received(two, frame)
        self.assert_silent(one, three)

    def test_frame_for_its_own_port_goes_nowhere(self):
        one, two, three = self.plug_in_all()
        one.send(make_frame(one.mac, one.mac))
        self.assert_silent(one, two, three)

    def test_an_address_moves_with_its_guest(self):
        one, two, three = self.plug_in_all()
        two.send(make_frame(BROADCAST, two.mac))
        three.receive(), one.receive()
        three.send(make_frame(BROADCAST, two.mac))
        one.receive(), two.receive()
        frame = make_frame(two.mac, one.mac)
        one.send(frame)
        self.assert_received(three, frame)
        self.assert_silent(two)

    def test_a_guest_that_left_is_forgotten(self):
        one, two, three = self.plug_in_all()
        two.send(make_frame(BROADCAST, two.mac))
        one.receive(), three.receive()
        two.frontend.close()
        back = self.plug_in(1)
        frame = make_frame(two.mac, one.mac)
        one.send(frame)
        self.assert_received(three, frame)
        self.assert_received(back, frame)

    def test_a_port_remembers_no_more_than_256_addresses(self):
        one, two, three = self.plug_in_all()
        addresses = [b"\2\1\0\0" + number.to_bytes(2, "big") for number in range(300)]
        for address in addresses:
            two.send(make_frame(addresses[0], address))
        one.send(make_frame(addresses[255], one.mac))
        self.assert_silent(three)
        one.send(frame := make_frame(addresses[256], one.mac))
        self.assert_received(three, frame)


class Frames(Switched):
    n_ports = 2

    def test_lengths(self):
        one, two = self.plug_in_all()
        for size in (14, 60, 1514, 1518):
            frame = make_frame(BROADCAST, one.mac, size)
            one.send(frame)
            self.assert_received(two, frame)

    def test_runts_and_giants_are_dropped(self):
        one, two = self.plug_in_all()
        one.send(b"x" * 13, b"", make_frame(BROADCAST, one.mac, 1519))
        self.assert_silent(two)
        one.send(frame := make_frame(BROADCAST, one.mac))
        self.assert_received(two, frame)

    def test_shorter_than_a_header(self):
        one, two = self.plug_in_all()
        one.driver.get_queue(1).request(b"\xff" * 5, 0, None)
        self.assert_silent(two)

    def test_without_version_1_the_header_has_10_bytes(self):
        one, two = self.plug_in(0, legacy=True), self.plug_in(1)
        one.send(frame := make_frame(BROADCAST, one.mac))
        self.assert_received(two, frame)
        two.send(answer := make_frame(one.mac, two.mac))
        self.assert_received(one, answer)

    def test_config(self):
        guest = self.plug_in(0)
        config = guest.frontend.get_config(0, 12, None)
        self.assertEqual(struct.unpack("<6sHHH", config),
                         (bytes.fromhex("525400000000"), 1, 1, 1500))


class Jumbo(Switched):
    n_ports = 2
    options = ("--mtu", "9000")

    def test_spreads_over_mergeable_buffers(self):
        one = self.plug_in(0)
        two = self.plug_in(1, features=(Net.MRG_RXBUF,))
        frames = [make_frame(BROADCAST, one.mac, size) for size in (1518, 1519, 9014)]
        one.send(*frames)
        for frame, buffers in zip(frames, (1, 2, 6)):
            self.assert_received(two, frame, buffers=buffers)

    def test_waits_until_there_are_enough_mergeable_buffers(self):
        one = self.plug_in(0)
        two = self.plug_in(1, buffers=5, features=(Net.MRG_RXBUF,))
        frame = make_frame(BROADCAST, one.mac, 9014)
        one.send(frame)
        self.assert_silent(two)
        two.add_buffers(1)
        self.assert_received(two, frame, buffers=6)

    def test_what_fits_in_no_plain_buffer_is_dropped(self):
        one, two = self.plug_in(0), self.plug_in(1, buffers=3)
        small = make_frame(BROADCAST, one.mac, 60)
        one.send(make_frame(BROADCAST, one.mac, 9014), small)
        self.assert_received(two, small)
        self.assertEqual(self.count()[1][2], [1])


class Waiting(Switched):
    n_ports = 2

    def read_cpu_time(self):
        with open(f"/proc/{self.switch.pid}/stat", encoding="ascii") as file:
            return sum(map(int, file.read().rpartition(")")[2].split()[11:13]))

    def test_frames_wait_for_buffers_in_order(self):
        one, two = self.plug_in(0), self.plug_in(1, buffers=0)
        frames = [make_frame(BROADCAST, one.mac) for _ in range(20)]
        one.send(*frames)
        two.add_buffers(7)
        self.assert_received(two, *frames[:7])
        two.add_buffers(20)
        self.assert_received(two, *frames[7:])

    def test_no_more_than_256_of_them(self):
        one, two = self.plug_in(0), self.plug_in(1, buffers=0)
        frames = [make_frame(BROADCAST, one.mac) for _ in range(260)]
        one.send(*frames)
        two.add_buffers(200)
        self.assert_received(two, *frames[:200])
        two.add_buffers(200)
        self.assert_received(two, *frames[200:256])
        self.assert_silent(two)
        self.assertEqual(self.count()[1], ([0], [256], [4]))

    def test_switch_sleeps_meanwhile(self):
        one, two = self.plug_in(0), self.plug_in(1, buffers=0)
        one.send(make_frame(BROADCAST, one.mac))
        wait_until(lambda: one.driver.get_queue(1).get_n_outstanding() == 0, "end of the sending")
        before = self.read_cpu_time()
        time.sleep(0.5)
        self.assertLess(self.read_cpu_time() - before, 5)  # ticks of 10 ms
        self.assertIsNone(two.receive(timeout=0))

    def test_a_guest_that_left_and_came_back_gets_no_old_frames(self):
        one, two = self.plug_in(0), self.plug_in(1, buffers=0)
        one.send(make_frame(BROADCAST, one.mac))
        two.driver.stop(None)
        two.frontend.close()
        two = self.plug_in(1)
        self.assert_silent(two)
        one.send(frame := make_frame(BROADCAST, one.mac))
        self.assert_received(two, frame)


class QueuePairs(Switched):
    n_ports = 2
    options = ("--queue-pairs", "2")

    def test_what_comes_by_a_pair_leaves_by_it(self):
        one, two = (self.plug_in(port, pairs=2, features=(Net.MQ,)) for port in range(2))
        two.add_buffers(8, pair=1)
        for pair in (1, 0, 1):
            one.send(frame := make_frame(BROADCAST, one.mac), pair=pair)
            self.assert_received(two, frame, pair=pair)
        self.assertEqual(self.count(), {0: ([1, 2], [0, 0], [0]), 1: ([0, 0], [1, 2], [0])})

    def test_a_guest_that_uses_one_pair_gets_all_there(self):
        one, two = self.plug_in(0, pairs=2, features=(Net.MQ,)), self.plug_in(1)
        one.send(frame := make_frame(BROADCAST, one.mac), pair=1)
        self.assert_received(two, frame)


class CommandLine(TempDir):
    def test_what_cannot_be_is_refused(self):
        for options in (["--queue-pairs=0"], ["--mtu=67"], ["--queue-pairs=129"]):
            child = self.spawn_python("python-examples/net_switch.py", *options,
                                      "--socket-path", self.path("port"))
            self.assertEqual(child.wait(), 1)
            self.assertIn("queue pairs", child.read_output())


if __name__ == "__main__":
    unittest.main()
