#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio entropy source: gives random bytes to whoever asks."""

import os

import serve
from gi.repository import Vhost


def on_kick(backend, queue):
    while (chain := queue.pop()) is not None:
        written = chain.write(0, os.urandom(chain.get_writable_size()))
        queue.push(chain, written)
    queue.notify()


if __name__ == "__main__":
    options = serve.parser(__doc__, "rng").parse_args()
    rng = Vhost.UserBackend(device_id=Vhost.DeviceId.ENTROPY, n_queues=1)
    rng.connect("kick", on_kick)
    serve.run(rng, options)
