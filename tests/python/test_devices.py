# SPDX-License-Identifier: BSD-3-Clause
"""The examples that are devices, each driven without a VM: what a guest would do, and what only a
hostile one does.
"""

import os
import struct
import unittest

from example_device import Device
from helpers import wait_until
from peers import Row

ROW = Row("front-end, back-end", "this library",
          "i2c, gpio, input, vsock: what a guest does and what only a hostile one does")


class I2c(Device):
    READ, FAIL_NEXT = 2, 1
    OK, ERROR = b"\0", b"\1"

    def setUp(self):
        super().setUp()
        with open(self.path("eeprom"), "wb") as file:
            file.write(bytes(range(16)))
        self.start("i2c", "--contents", self.path("eeprom"))

    def message(self, address, flags, data=b"", size=0):
        """(status, bytes) of one message on the bus."""
        header = struct.pack("<HHI", address << 1, 0, flags)
        answer = self.ask(self.queue, header + data, size + 1)
        return answer[-1:], answer[:-1]

    def test_reads_on_from_where_it_is_set(self):
        self.assertEqual(self.message(0x50, 0, b"\x0e"), (self.OK, b""))
        self.assertEqual(self.message(0x50, self.READ, size=4), (self.OK, b"\x0e\x0f\xff\xff"))

    def test_writes_and_wraps_around(self):
        self.assertEqual(self.message(0x50, 0, b"\xfeabcd"), (self.OK, b""))
        self.message(0x50, 0, b"\xfe")
        self.assertEqual(self.message(0x50, self.READ, size=5), (self.OK, b"abcd\x02"))

    def test_answers_at_its_address_only(self):
        found = [address for address in range(128) if self.message(address, 0)[0] == self.OK]
        self.assertEqual(found, [0x50])

    def test_a_group_fails_as_a_whole(self):
        self.assertEqual(self.message(0x51, self.FAIL_NEXT, b"\0")[0], self.ERROR)
        self.assertEqual(self.message(0x50, self.FAIL_NEXT | self.READ, size=2),
                         (self.ERROR, bytes(2)))
        self.assertEqual(self.message(0x50, 0, b"\5x")[0], self.ERROR)
        self.assertEqual(self.message(0x50, 0, b"\5")[0], self.OK)
        self.assertEqual(self.message(0x50, self.READ, size=1), (self.OK, b"\5"))

    def test_nonsense(self):
        self.assertEqual(self.ask(self.queue, b"short", 1), self.ERROR)
        self.assertEqual(self.ask(self.queue, b"no room for a status", 0), b"")
        self.assertEqual(self.ask(self.queue, None, 9), bytes(8) + self.ERROR)
        self.assertEqual(self.message(0x50, self.READ, b"both", 4)[0], self.ERROR)
        self.assertEqual(self.message(0x50, 0, bytes(70000))[0], self.ERROR)
        self.assertEqual(self.message(0x50, self.READ, size=70000), (self.ERROR, bytes(70000)))
        self.assertEqual(self.message(0x50, 0, b"\0")[0], self.OK)


class Gpio(Device):
    NAMES, GET_DIRECTION, SET_DIRECTION, GET_VALUE, SET_VALUE, IRQ_TYPE = range(1, 7)
    OUT, IN = 1, 2
    RISING, FALLING, BOTH, HIGH, LOW = 1, 2, 3, 4, 8
    DONE, REFUSED = b"\0\0", b"\1\0"

    def setUp(self):
        super().setUp()
        self.start("gpio", n_queues=2)

    @property
    def events(self):
        return self.driver.get_queue(1)

    def do(self, kind, line, value=0, size=2):
        return self.ask(self.queue, struct.pack("<HHI", kind, line, value), size)

    def expect(self, *args, answer=DONE):
        self.assertEqual(self.do(*args), answer, args)

    def wire(self, level=0, interrupts=0):
        """Line 0 drives line 1."""
        self.expect(self.SET_VALUE, 0, level)
        self.expect(self.SET_DIRECTION, 0, self.OUT)
        self.expect(self.SET_DIRECTION, 1, self.IN)
        self.expect(self.IRQ_TYPE, 1, interrupts)

    def listen(self, line=1):
        return self.post(self.events, struct.pack("<H", line), 1)

    def expect_event(self, token, status=b"\1"):
        buffer = self.events.wait(None)
        self.assertEqual((buffer.get_token(), bytes(buffer.get_data())), (token, status))

    def expect_silence(self):
        self.do(self.GET_VALUE, 1)  # the device has seen all that came before
        self.assertIsNone(self.events.collect())

    def test_configuration_and_names(self):
        count, size = struct.unpack("<HxxI", bytes(self.frontend.get_config(0, 8, None)))
        self.assertEqual((count, size), (4, 28))
        self.assertEqual(self.do(self.NAMES, 0, size=1 + size),
                         b"\0line-0\0line-1\0line-2\0line-3\0")

    def test_direction_and_value(self):
        self.assertEqual(self.do(self.GET_DIRECTION, 0), b"\0\0")
        self.wire(level=1)
        self.assertEqual(self.do(self.GET_DIRECTION, 0), b"\0\1")
        self.assertEqual(self.do(self.GET_DIRECTION, 1), b"\0\2")
        self.assertEqual([self.do(self.GET_VALUE, line) for line in range(4)],
                         [b"\0\1", b"\0\1", b"\0\0", b"\0\0"])
        self.expect(self.SET_VALUE, 0, 0)
        self.assertEqual(self.do(self.GET_VALUE, 1), b"\0\0")

    def test_edges(self):
        for kind, expected in ((self.RISING, (1, 0)), (self.FALLING, (0, 1)), (self.BOTH, (1, 1))):
            self.wire(interrupts=kind)
            token = self.listen()
            for value, interrupts in zip((1, 0), expected):
                self.expect_silence()
                self.expect(self.SET_VALUE, 0, value)
                if interrupts:
                    self.expect_event(token)
                    token = self.listen()
            self.expect(self.IRQ_TYPE, 1, 0)
            self.expect_event(token, b"\0")

    def test_an_edge_waits_for_a_buffer(self):
        self.wire(interrupts=self.RISING)
        self.expect(self.SET_VALUE, 0, 1)
        self.expect_event(self.listen())
        token = self.listen()
        self.expect_silence()
        self.expect(self.IRQ_TYPE, 1, 0)
        self.expect_event(token, b"\0")

    def test_a_level_interrupts_as_long_as_it_lasts(self):
        self.wire(level=1, interrupts=self.HIGH)
        for _ in range(2):
            self.expect_event(self.listen())
        self.expect(self.SET_VALUE, 0, 0)
        token = self.listen()
        self.expect_silence()
        self.expect(self.SET_VALUE, 0, 1)
        self.expect_event(token)

    def test_nonsense(self):
        for line in (4, 255, 0xFFFF):
            self.expect(self.GET_VALUE, line, answer=self.REFUSED)
            self.expect_event(self.listen(line), b"\0")
        for kind, value in ((0, 0), (7, 0), (self.SET_DIRECTION, 3), (self.SET_VALUE, 2),
                            (self.IRQ_TYPE, 5), (self.IRQ_TYPE, 1 << 31)):
            self.expect(kind, 0, value, answer=self.REFUSED)
        self.assertEqual(self.ask(self.queue, b"short", 2), self.REFUSED)
        self.assertEqual(self.ask(self.queue, b"", 2), self.REFUSED)
        self.assertEqual(self.do(self.NAMES, 0, size=5), self.REFUSED)
        self.assertEqual(self.do(self.GET_VALUE, 0, size=0), b"")
        self.expect_event(self.listen(1), b"\0")  # does not interrupt
        self.wire(interrupts=self.BOTH)
        first, second = self.listen(), self.listen()
        self.expect_event(second, b"\0")
        self.expect(self.SET_VALUE, 0, 1)
        self.expect_event(first)

    def test_stopping_gives_what_waits_back(self):
        self.wire(level=1, interrupts=self.FALLING)
        self.listen()
        self.driver.stop(None)
        self.driver.start(2, 64, None)
        self.assertEqual(self.do(self.GET_DIRECTION, 0), b"\0\0")


class Input(Device):
    NAME, DEVIDS, EV_BITS = 1, 3, 0x11
    KEY, LED = 1, 0x11

    def setUp(self):
        super().setUp()
        stdin, self.stdin = os.pipe()
        self.start("input", n_queues=2, stdin=stdin)
        os.close(stdin)
        self.addCleanup(os.close, self.stdin)
        self.lamps = ""

    def said(self):
        return self.lamps

    def select(self, select, subsel=0):
        self.frontend.set_config(0, bytes([select, subsel]), None)
        config = bytes(self.frontend.get_config(0, 136, None))
        return config[8:8 + config[2]]

    def read_keys(self, count):
        """(code, value) of the next keys."""
        for _ in range(2 * count):
            self.post(self.queue, None, 8)
        found = [struct.unpack("<HHI", bytes(self.queue.wait(None).get_data()))
                 for _ in range(2 * count)]
        self.assertEqual({event[0] for event in found[::2]}, {self.KEY})
        self.assertEqual(found[1::2], [(0, 0, 0)] * count)
        return [event[1:] for event in found[::2]]

    def test_tells_what_it_is(self):
        self.assertEqual(self.select(self.NAME), b"libvhost keyboard")
        self.assertEqual(struct.unpack("<4H", self.select(self.DEVIDS)), (6, 0, 0, 1))
        self.assertEqual(self.select(self.EV_BITS, self.LED), b"\7")
        keys = int.from_bytes(self.select(self.EV_BITS, self.KEY), "little")
        self.assertEqual([code for code in range(59) if not keys >> code & 1],
                         [0, 1, 14, 15, 29, 54, 55, 56, 58])
        for nothing in ((0, 0), (self.NAME, 1), (self.EV_BITS, 3), (0xFF, 0xFF)):
            self.assertEqual(self.select(*nothing), b"")

    def test_a_front_end_may_write_the_whole_space(self):
        self.frontend.set_config(0, bytes([self.NAME, 0]) + bytes(134), None)
        self.assertEqual(bytes(self.frontend.get_config(8, 8, None)), b"libvhost")

    def test_types(self):
        os.write(self.stdin, "aB€\n".encode())
        self.assertEqual(self.read_keys(8), [(30, 1), (30, 0), (42, 1), (48, 1), (48, 0), (42, 0),
                                             (28, 1), (28, 0)])
        os.write(self.stdin, b"1")
        self.assertEqual(self.read_keys(2), [(2, 1), (2, 0)])

    def test_lamps_and_nonsense(self):
        status = self.driver.get_queue(1)
        self.lamps = "caps lock on\nnum lock off\n"
        for event in (struct.pack("<HHI", self.LED, 1, 1), b"short", b"", bytes(100),
                      struct.pack("<HHI", self.LED, 77, 1), struct.pack("<HHI", self.LED, 0, 0)):
            self.assertEqual(self.ask(status, event, 8), b"")
        wait_until(lambda: self.backend.read_output() == self.lamps, "word of the lamps")
        self.post(self.queue, None, 3)  # too small: the event is cut, the device goes on
        os.write(self.stdin, b"x")
        self.assertEqual(bytes(self.queue.wait(None).get_data()), b"\1\0\x2d")


class Vsock(Device):
    REQUEST, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST = range(1, 8)
    HEADER = struct.Struct("<QQIIIHHIII")

    def setUp(self):
        super().setUp()
        self.start("vsock", n_queues=3)

    @property
    def sender(self):
        return self.driver.get_queue(1)

    def send(self, op, data=b"", port=1000, to=7, flags=0, room=1 << 16, taken=0, size=None,
             kind=1, source=3, target=2):
        self.ask(self.sender, self.HEADER.pack(
            source, target, port, to, len(data) if size is None else size, kind, op, flags, room,
            taken) + data, 0)

    def receive(self, size=4096):
        """(op, flags, data) of the next packet, whose header is in order."""
        self.post(self.queue, None, size)
        packet = bytes(self.queue.wait(None).get_data())
        source, target, port, to, length, kind, op, flags, _, self.taken = self.HEADER.unpack_from(
            packet)
        self.assertEqual((source, target, kind), (2, 3, 1))
        self.assertEqual(len(packet), self.HEADER.size + length)
        self.ports = (port, to)
        return op, flags, packet[self.HEADER.size:]

    def open(self, **options):
        self.send(self.REQUEST, **options)
        self.assertEqual(self.receive()[0], self.RESPONSE)

    def test_echoes(self):
        self.assertEqual(bytes(self.frontend.get_config(0, 8, None)), struct.pack("<Q", 3))
        self.open()
        self.assertEqual(self.ports, (7, 1000))
        self.send(self.RW, b"hello")
        self.assertEqual(self.receive(), (self.RW, 0, b"hello"))
        self.assertEqual(self.taken, 5)

    def test_cuts_into_what_fits(self):
        self.open()
        self.send(self.RW, b"x" * 100)
        self.assertEqual([len(self.receive(size)[2]) for size in (64, 94, 4096)], [20, 50, 30])

    def test_keeps_to_the_credit(self):
        self.open(room=10)
        self.send(self.RW, b"0123456789abcdef", room=10)
        self.assertEqual(self.receive(), (self.RW, 0, b"0123456789"))
        self.send(self.CREDIT_REQUEST, room=10, taken=0)
        self.assertEqual(self.receive()[0], self.CREDIT_UPDATE)
        self.send(self.CREDIT_UPDATE, room=10, taken=4)
        self.assertEqual(self.receive(), (self.RW, 0, b"abcd"))

    def test_two_connections_take_turns(self):
        for port in (1, 2):
            self.open(port=port)
        for port in (1, 2):
            self.send(self.RW, b"%d" % port * 40, port=port)
        self.assertEqual([self.receive(64)[2] for _ in range(4)],
                         [b"1" * 20, b"2" * 20, b"1" * 20, b"2" * 20])

    def test_shuts_down_when_all_is_said(self):
        self.open()
        self.send(self.RW, b"last words")
        self.send(self.SHUTDOWN, flags=2)
        self.assertEqual(self.receive(), (self.RW, 0, b"last words"))
        self.assertEqual(self.receive(), (self.SHUTDOWN, 3, b""))
        self.send(self.RST)
        self.send(self.RW, b"?")
        self.assertEqual(self.receive()[0], self.RST)

    def test_ends_when_the_guest_ends(self):
        self.open()
        self.send(self.SHUTDOWN, flags=3)
        self.assertEqual(self.receive()[0], self.RST)
        self.open()

    def test_refuses_other_ports_kinds_and_strangers(self):
        for options in ({"to": 8}, {"kind": 2}):
            self.send(self.REQUEST, **options)
            self.assertEqual(self.receive()[0], self.RST, options)
        for op in (self.RW, self.SHUTDOWN, self.CREDIT_REQUEST, 0, 99):
            self.send(op)
            self.assertEqual(self.receive()[0], self.RST, op)

    def test_says_nothing_to_a_reset_or_to_a_wrong_address(self):
        self.send(self.RST)
        self.send(self.REQUEST, source=4)
        self.send(self.REQUEST, target=1)
        self.ask(self.sender, b"short", 0)
        self.ask(self.sender, b"", 10)
        self.open()

    def test_ends_a_connection_that_breaks_the_rules(self):
        for op, options in ((self.RW, {"size": 5}), (self.RW, {"size": 0xFFFFFFFF}), (77, {}),
                            (self.REQUEST, {})):
            self.open()
            self.send(op, **options)
            self.assertEqual(self.receive()[0], self.RST, options)
        self.open(room=0)
        for _ in range(5):
            self.send(self.RW, bytes(60_000), room=0)
        self.assertEqual(self.receive()[0], self.RST)

    def test_takes_no_more_than_it_can_answer(self):
        """The replies of a guest that does not read wait in its own queue, not in ours."""
        for port in range(60):
            self.sender.add(self.HEADER.pack(3, 2, port, 8, 0, 1, self.REQUEST, 0, 0, 0), 0)
        self.sender.kick()
        self.post(self.queue, None, 10)  # no room for a header
        self.assertEqual(bytes(self.queue.wait(None).get_data()), b"")
        found = [self.receive() for _ in range(60)]
        self.assertEqual(found, [(self.RST, 0, b"")] * 60)
        ROW.seen()


if __name__ == "__main__":
    unittest.main()
