#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""A virtio network card, served by the library's own device: this program only says which TAP
interface is at its other end.
"""

import serve
from gi.repository import GLib, Vhost


def main():
    parser = serve.parser(__doc__, "net")
    parser.add_argument("--tap", metavar="NAME", default="tap0", help="(%(default)s)")
    parser.add_argument("--mac", help="of the guest; it makes one up if none is given")
    parser.add_argument("--mtu", type=int, default=1500, help="bytes (%(default)s)")
    parser.add_argument("--queue-pairs", type=int, default=1, help="(%(default)s)")
    options = parser.parse_args()
    backend = Vhost.UserBackend(device_id=Vhost.DeviceId.NETWORK, n_queues=2 * options.queue_pairs)
    net = Vhost.VirtioNet(backend=backend, mac=options.mac, mtu=options.mtu)
    try:
        net.open_tap(options.tap)
    except GLib.Error as error:
        serve.fail(error)
    serve.run(backend, options)


if __name__ == "__main__":
    main()
