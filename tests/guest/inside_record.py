# SPDX-License-Identifier: BSD-3-Clause
"""Inside a guest: one short session with each device, for VHOST_DEBUG=ioctl to record."""

import os

import inside
import inside_scsi
from gi.repository import Vhost
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


inside_scsi.make_target()
for session in (run_net, run_vsock, run_scsi):
    session()
inside.report("passed", 3)
