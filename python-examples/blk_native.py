#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio disk, served by the library's own device: this program only says which file it is.

A file that was resized is noticed on SIGHUP.
"""

import signal

import serve
from gi.repository import GLib, Vhost


def main():
    parser = serve.parser(__doc__, "block", ["read-only"])
    parser.add_argument("--read-only", action="store_true", help="refuse to change the image")
    parser.add_argument("--direct", action="store_true", help="past the page cache")
    parser.add_argument("--threads", action="store_true", help="do without io_uring")
    parser.add_argument("--num-queues", type=int, default=1, help="(%(default)s)")
    parser.add_argument("image", help="file or block device")
    options = parser.parse_args()
    flags = Vhost.VirtioBlkFlags(0)
    if options.read_only:
        flags |= Vhost.VirtioBlkFlags.READ_ONLY
    if options.direct:
        flags |= Vhost.VirtioBlkFlags.DIRECT
    backend = Vhost.UserBackend(device_id=Vhost.DeviceId.BLOCK, n_queues=options.num_queues)
    disk = Vhost.VirtioBlk(backend=backend)
    if options.threads:
        disk.props.engine = Vhost.VirtioBlkEngine.THREADS
    try:
        disk.open(options.image, flags)
    except GLib.Error as error:
        serve.fail(error)

    def on_hangup():
        disk.refresh_size()
        return GLib.SOURCE_CONTINUE
    GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, signal.SIGHUP, on_hangup)
    serve.run(backend, options)


if __name__ == "__main__":
    main()
