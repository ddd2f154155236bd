#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The disk of blk_backend.py, served to this kernel: `vdpa dev add name NAME mgmtdev vduse` makes
it /dev/vda, or another letter.
"""

import argparse
import signal

import serve
from blk_backend import Disk
from gi.repository import GLib, Vhost


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--read-only", action="store_true", help="refuse to change the image")
    parser.add_argument("--num-queues", type=int, default=1, help="(%(default)s)")
    parser.add_argument("--recovery-file", help="survives a crash: what is in flight is kept there")
    parser.add_argument("name", help="of the VDUSE device; one that nobody serves is gone on with")
    parser.add_argument("image", help="file or block device")
    options = parser.parse_args()
    blk = Vhost.VduseBackend(device_id=Vhost.DeviceId.BLOCK, n_queues=options.num_queues,
                             recovery_file=options.recovery_file)
    try:
        Disk(options.image, options.read_only, options.num_queues).attach(blk)
        blk.open(options.name)
    except (OSError, GLib.Error) as error:
        serve.fail(error)
    loop = GLib.MainLoop()
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGTERM, loop.quit)
    loop.run()
    try:
        blk.destroy()
    except GLib.Error as error:
        serve.fail(error)  # still on the vDPA bus: the device stays, and waits for its next server


if __name__ == "__main__":
    main()
