#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio console: what the guest prints goes to stdout, what comes on stdin goes to the guest."""

import os
import sys

import serve
from gi.repository import GLib, Vhost

TO_GUEST, FROM_GUEST = 0, 1


class Console:
    def __init__(self, backend):
        self.backend = backend
        self.input = b""
        self.source = 0
        self.listen_to_stdin()

    def listen_to_stdin(self):
        if not self.source:
            self.source = GLib.unix_fd_add_full(
                GLib.PRIORITY_DEFAULT, 0, GLib.IOCondition.IN | GLib.IOCondition.HUP, self.on_stdin)

    def on_stdin(self, fd, condition):
        """Takes what is there, and no more before the guest has it."""
        self.source = 0
        self.input = os.read(fd, 4096)
        if self.input:
            self.feed(self.backend.get_queue(TO_GUEST))
        return GLib.SOURCE_REMOVE

    def feed(self, queue):
        while self.input and (chain := queue.pop()) is not None:
            written = chain.write(0, self.input)
            self.input = self.input[written:]
            queue.push(chain, written)
        queue.notify()
        if not self.input:
            self.listen_to_stdin()

    def show(self, queue):
        while (chain := queue.pop()) is not None:
            sys.stdout.buffer.write(chain.read(0, chain.get_readable_size()))
            queue.push(chain, 0)
        sys.stdout.buffer.flush()
        queue.notify()

    def on_kick(self, backend, queue):
        if queue.get_index() == TO_GUEST:
            self.feed(queue)
        elif queue.get_index() == FROM_GUEST:
            self.show(queue)


if __name__ == "__main__":
    options = serve.parser(__doc__, "console").parse_args()
    backend = Vhost.UserBackend(device_id=Vhost.DeviceId.CONSOLE, n_queues=2)
    backend.connect("kick", Console(backend).on_kick)
    serve.run(backend, options)
