# SPDX-License-Identifier: BSD-3-Clause
"""Inside a guest: short sessions with each device, for VHOST_DEBUG=ioctl to record.

The first three are those of tests/unit/recordings; the others make what is left of the requests.
"""

import contextlib
import os

import inside
import inside_scsi
from gi.repository import GLib, Vhost
from kernel_net import open_tap


def start(device):
    driver = Vhost.Driver(device=device)
    driver.start(3 if isinstance(device, Vhost.KernelScsi) else 2, 256, None)
    return driver


def run_net():
    tap = open_tap("tap0")
    net = Vhost.KernelNet()
    net.open(None)
    net.set_backend(tap)
    driver = start(net)
    queue = driver.get_queue(1)
    queue.set_timeout(20_000)
    for _ in range(3):
        queue.request(bytes(12 + 60), 0, None)
    driver.stop(None)
    net.close()
    os.close(tap)


def run_vsock():
    vsock = Vhost.KernelVsock()
    vsock.open(None)
    vsock.set_guest_cid(42)
    driver = start(vsock)
    vsock.stop()
    vsock.start()
    driver.stop(None)
    vsock.close()


def run_scsi():
    scsi = Vhost.KernelScsi()
    scsi.open(None)
    scsi.set_endpoint(inside_scsi.WWPN, 1)
    driver = start(scsi)
    driver.stop(None)
    scsi.close()


def try_each(*calls):
    """What a kernel does not have is in the record too."""
    for call, *arguments in calls:
        with contextlib.suppress(GLib.Error):
            call(*arguments)


def run_rest():
    net, scsi = Vhost.KernelNet(fork_from_owner=False), Vhost.KernelScsi()
    log, event = os.memfd_create("log"), os.eventfd(0)
    os.ftruncate(log, 4096)
    try_each((net.open, None))
    net.close()
    net.props.fork_from_owner = True
    net.open(None)
    try_each((net.set_vring_busyloop_timeout, 0, 10), (net.get_vring_busyloop_timeout, 0),
             (net.set_vring_endian, 0, False, None), (net.is_vring_big_endian, 0),
             (net.set_log_base, log, 4096, 0, None), (net.set_log_fd, event, None),
             (net.get_features_array,), (net.set_features_array, [0, 1]),
             (net.reset_owner, None), (net.set_owner, None))
    scsi.open(None)
    try_each((scsi.get_abi_version,), (scsi.set_events_missed, 1), (scsi.get_events_missed,),
             (scsi.add_worker,), (scsi.attach_vring_worker, 2, 1), (scsi.get_vring_worker, 2),
             (scsi.attach_vring_worker, 2, 0), (scsi.remove_worker, 1))
    net.close()
    scsi.close()
    os.close(log)
    os.close(event)


inside_scsi.make_target()
for session in (run_net, run_vsock, run_scsi, run_rest):
    session()
inside.report("passed", 4)
