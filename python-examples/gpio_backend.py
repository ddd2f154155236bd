#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio GPIO controller, its lines wired in pairs: what is put on one is seen on the other."""

import struct

import serve
from gi.repository import Vhost

REQUEST = struct.Struct("<HHI")  # type, line, value
GET_NAMES, GET_DIRECTION, SET_DIRECTION, GET_VALUE, SET_VALUE, IRQ_TYPE = range(1, 7)
OK, ERROR = 0, 1
NONE, OUT, IN = range(3)  # directions
RISING, FALLING, HIGH, LOW = 1, 2, 4, 8  # interrupts
IRQ_TYPES = (0, RISING, FALLING, RISING | FALLING, HIGH, LOW)
INVALID, VALID = b"\0", b"\1"
IRQ = 0  # feature
REQUESTS, EVENTS = 0, 1  # queues


class Line:
    def __init__(self):
        self.reset()

    def reset(self):
        self.direction = NONE
        self.output = self.level = 0
        self.interrupts = 0
        self.pending = False
        self.chain = None  # where the driver wants to hear of an interrupt

    def set_level(self, level):
        edge = RISING if level > self.level else FALLING if level < self.level else 0
        self.pending |= bool(edge & self.interrupts)
        self.level = level

    def wants_to_interrupt(self):
        return self.pending or bool(self.interrupts & (HIGH if self.level else LOW))


class Controller:
    def __init__(self, backend, n_lines):
        self.backend = backend
        self.lines = [Line() for _ in range(n_lines)]
        self.names = b"".join(b"line-%d\0" % number for number in range(n_lines))
        backend.set_config(struct.pack("<HxxI", n_lines, len(self.names)))
        backend.connect("kick", self.on_kick)
        backend.connect("queue-stopped", self.on_stopped)

    # --- requests

    def serve(self, kind, number, value):
        """Returns the status and the value of a response."""
        if kind == GET_NAMES:
            return OK, self.names
        if number >= len(self.lines):
            return ERROR, b"\0"
        line = self.lines[number]
        if kind == GET_DIRECTION:
            return OK, bytes([line.direction])
        if kind == GET_VALUE:
            return OK, bytes([line.output if line.direction == OUT else line.level])
        done = self.change(line, kind, value)
        self.settle(number)
        return OK if done else ERROR, b"\0"

    def change(self, line, kind, value):
        if kind == SET_DIRECTION and value in (NONE, OUT, IN):
            line.direction = value
        elif kind == SET_VALUE and value in (0, 1):
            line.output = value
        elif kind == IRQ_TYPE and value in IRQ_TYPES:
            line.interrupts, line.pending = value, False
        else:
            return False
        return True

    def settle(self, number):
        """The line, and the one that it is wired to, see what is on the wire."""
        pair = [self.lines[i] for i in (number, number ^ 1) if i < len(self.lines)]
        level = max(line.output if line.direction == OUT else 0 for line in pair)
        for line in pair:
            line.set_level(level)
            self.interrupt(line)

    def on_requests(self, queue):
        while (chain := queue.pop()) is not None:
            request = chain.read(0, REQUEST.size)
            status, value = (self.serve(*REQUEST.unpack(request)) if len(request) == REQUEST.size
                             else (ERROR, b"\0"))
            if status == OK and chain.get_writable_size() < 1 + len(value):
                status, value = ERROR, b"\0"
            queue.push(chain, chain.write(0, bytes([status]) + value))
        queue.notify()

    # --- interrupts: the driver leaves one chain for each line that may interrupt

    def on_events(self, queue):
        while (chain := queue.pop()) is not None:
            number = int.from_bytes(chain.read(0, 2), "little")
            line = self.lines[number] if number < len(self.lines) else None
            if line is None or line.chain is not None or not line.interrupts:
                self.answer(chain, INVALID)
                continue
            line.chain = chain
            self.interrupt(line)

    def interrupt(self, line):
        """Tells the driver, if there is an interrupt, or if there will be none any more."""
        if line.chain is None or (line.interrupts and not line.wants_to_interrupt()):
            return
        chain, line.chain = line.chain, None
        self.answer(chain, VALID if line.interrupts else INVALID)
        line.pending = False

    def answer(self, chain, status):
        queue = self.backend.get_queue(EVENTS)
        queue.push(chain, chain.write(0, status))
        queue.notify()

    # --- the device

    def on_kick(self, backend, queue):
        if queue.get_index() == REQUESTS:
            self.on_requests(queue)
        else:
            self.on_events(queue)

    def on_stopped(self, backend, queue):
        """Gives the waiting chains back; then the lines are as after power-on."""
        if queue.get_index() == EVENTS:
            for line in self.lines:
                if line.chain is not None:
                    self.answer(line.chain, INVALID)
                line.reset()


if __name__ == "__main__":
    parser = serve.parser(__doc__, "gpio")
    parser.add_argument("--lines", type=int, default=4, choices=range(1, 257), metavar="N",
                        help="how many, 1 to 256 (%(default)s)")
    options = parser.parse_args()
    gpio = Vhost.UserBackend(device_id=Vhost.DeviceId.GPIO, n_queues=2)
    gpio.add_feature(IRQ)
    controller = Controller(gpio, options.lines)
    serve.run(gpio, options)
