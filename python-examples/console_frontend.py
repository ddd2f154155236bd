#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The guest's end of a virtio console, without a VM: says one line and prints the answer."""

import sys

import serve
from gi.repository import GLib

TO_GUEST, FROM_GUEST = 0, 1

if __name__ == "__main__":
    parser = serve.parser(__doc__)
    parser.add_argument("line", help="what to say")
    options = parser.parse_args()
    frontend, driver = serve.open_driver(options, n_queues=2, queue_size=64)
    try:
        receiver = driver.get_queue(TO_GUEST)
        receiver.add(None, 4096)
        receiver.kick()
        driver.get_queue(FROM_GUEST).request(options.line.encode() + b"\n", 0, None)
        answer = receiver.wait(None)
        driver.stop(None)
    except GLib.Error as error:
        serve.fail(error)
    sys.stdout.write(answer.get_data().decode(errors="replace"))
