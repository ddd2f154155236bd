# SPDX-License-Identifier: BSD-3-Clause
"""A device whose requests must not be served twice: it appends each to a journal. It takes up to
four at a time, completes the last one first, and kills itself at the step of its work that the
command line says (0: never).

usage: dying_backend.py SOCKET JOURNAL STEP
"""

import os
import signal
import struct
import sys

import gi

gi.require_version("Vhost", "1")
from gi.repository import GLib, Vhost  # noqa: E402

BATCH = 4


class Device:
    def __init__(self, journal, last_step):
        self.journal = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        self.left = last_step

    def step(self):
        """A numbered point of a request's life."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def note(self, what, number):
        os.write(self.journal, b"%s %d\n" % (what, number))

    def take(self, queue):
        batch = []
        while len(batch) < BATCH and (chain := queue.pop()) is not None:
            self.step()  # fetched
            number, = struct.unpack("<I", chain.read(0, 4))
            self.note(b"fetch", number)
            batch.append((number, chain))
        return batch

    def on_kick(self, backend, queue):
        while batch := self.take(queue):
            for number, chain in reversed(batch):
                self.step()  # before it is done
                self.note(b"do", number)
                self.step()  # before its answer is written
                written = chain.write(0, struct.pack("<I", number))
                self.step()  # before it is completed
                queue.push(chain, written)
                self.step()  # completed, and nobody was told
            queue.notify()
            self.step()


def main():
    path, journal, last_step = sys.argv[1:]
    device = Device(journal, int(last_step))
    backend = Vhost.UserBackend(device_id=Vhost.DeviceId.ENTROPY, n_queues=1)
    backend.connect("kick", device.on_kick)
    backend.listen(path)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
