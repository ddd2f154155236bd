#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio keyboard: what comes on stdin is typed in the guest; its lamps are told on stdout."""

import os
import struct

import serve
from gi.repository import GLib, Vhost

EVENT = struct.Struct("<HHI")  # type, code, value
EV_SYN, EV_KEY, EV_LED, EV_REP = 0x00, 0x01, 0x11, 0x14
ID_NAME, ID_SERIAL, ID_DEVIDS, EV_BITS = 0x01, 0x02, 0x03, 0x11  # of the configuration space
CONFIG_SIZE = 8 + 128
EVENTS, STATUS = 0, 1  # queues
LAMPS = ("num lock", "caps lock", "scroll lock")
KEY_LEFTSHIFT = 42
ROWS = {2: "1234567890-=", 16: "qwertyuiop[]\n", 30: "asdfghjkl;'`", 43: "\\zxcvbnm,./", 57: " "}
SHIFTED = {2: "!@#$%^&*()_+", 16: "QWERTYUIOP{}", 30: 'ASDFGHJKL:"~', 43: "|ZXCVBNM<>?"}
KEYS = {char: (first + i, layer is SHIFTED) for layer in (ROWS, SHIFTED)
        for first, row in layer.items() for i, char in enumerate(row)}


def make_bitmap(codes):
    bits = sum(1 << code for code in codes)
    return bits.to_bytes((bits.bit_length() + 7) // 8, "little")


# What the driver may ask for: (select, subsel): answer
ANSWERS = {
    (ID_NAME, 0): b"libvhost keyboard",
    (ID_SERIAL, 0): b"1",
    (ID_DEVIDS, 0): struct.pack("<4H", 6, 0, 0, 1),  # BUS_VIRTUAL, vendor, product, version
    (EV_BITS, EV_KEY): make_bitmap({code for code, _ in KEYS.values()} | {KEY_LEFTSHIFT}),
    (EV_BITS, EV_LED): make_bitmap(range(len(LAMPS))),
    (EV_BITS, EV_REP): make_bitmap(range(2)),
}


def list_events(text):
    """The keys that go down and up for a text. Characters that no key has are left out."""
    for char in text:
        if char not in KEYS:
            continue
        code, shifted = KEYS[char]
        keys = [KEY_LEFTSHIFT, code] if shifted else [code]
        for key, value in [(key, 1) for key in keys] + [(key, 0) for key in reversed(keys)]:
            yield EVENT.pack(EV_KEY, key, value)
            yield EVENT.pack(EV_SYN, 0, 0)


class Keyboard:
    def __init__(self, backend):
        self.backend = backend
        self.events = []
        backend.set_config(bytes(CONFIG_SIZE))
        backend.set_config_writable(0, CONFIG_SIZE)  # front-ends write all that they have
        backend.connect("config-written", self.on_config_written)
        backend.connect("kick", self.on_kick)
        self.listen_to_stdin()

    def on_config_written(self, backend, offset, size):
        """The driver wrote what it wants to know; the rest of the space becomes the answer."""
        select, subsel = backend.get_config()[:2]
        answer = ANSWERS.get((select, subsel), b"")
        backend.set_config(struct.pack("<BBB5x128s", select, subsel, len(answer), answer))

    def listen_to_stdin(self):
        GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, 0, GLib.IOCondition.IN | GLib.IOCondition.HUP,
                              self.on_stdin)

    def on_stdin(self, fd, condition):
        """Takes what is there, and no more before the guest has it."""
        text = os.read(fd, 256).decode(errors="replace")
        self.events += list_events(text)
        if text:
            self.type_keys(self.backend.get_queue(EVENTS))
        return GLib.SOURCE_REMOVE

    def type_keys(self, queue):
        if not self.events:
            return
        while self.events and (chain := queue.pop()) is not None:
            queue.push(chain, chain.write(0, self.events.pop(0)))
        queue.notify()
        if not self.events:
            self.listen_to_stdin()

    def show_lamps(self, queue):
        while (chain := queue.pop()) is not None:
            event = chain.read(0, EVENT.size)
            queue.push(chain, 0)
            if len(event) < EVENT.size:
                continue
            kind, code, value = EVENT.unpack(event)
            if kind == EV_LED and code < len(LAMPS):
                print(LAMPS[code], "on" if value else "off", flush=True)
        queue.notify()

    def on_kick(self, backend, queue):
        if queue.get_index() == EVENTS:
            self.type_keys(queue)
        else:
            self.show_lamps(queue)


if __name__ == "__main__":
    options = serve.parser(__doc__, "input").parse_args()
    backend = Vhost.UserBackend(device_id=Vhost.DeviceId.INPUT, n_queues=2)
    keyboard = Keyboard(backend)
    serve.run(backend, options)
