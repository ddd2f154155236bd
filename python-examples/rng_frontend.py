#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Reads random bytes from a virtio entropy source, without a VM, and prints them in hex."""

import serve
from gi.repository import GLib

if __name__ == "__main__":
    parser = serve.parser(__doc__)
    parser.add_argument("--bytes", type=int, default=64, help="how many (%(default)s)")
    options = parser.parse_args()
    frontend, driver = serve.open_driver(options, n_queues=1, queue_size=256)
    try:
        data = driver.get_queue(0).request(None, options.bytes, None)
        driver.stop(None)
    except GLib.Error as error:
        serve.fail(error)
    print(data.hex())
