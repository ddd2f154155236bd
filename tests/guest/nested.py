# SPDX-License-Identifier: BSD-3-Clause
"""A machine with KVM, whatever this one has: a guest under TCG, for which QEMU emulates the
virtualization of AMD's processors. It sees the files of this machine through
python-examples/fs_backend.py, and what it writes goes no further than its own memory.
"""

import os
import shlex
import sys

from guest import Guest, vhost_user
from helpers import root, wait_for_socket

BODY = """
    mount -t virtiofs host /mnt
    mkdir /layer /machine
    mount -t tmpfs layer /layer
    mkdir /layer/upper /layer/work
    mount -t overlay -o lowerdir=/mnt,upperdir=/layer/upper,workdir=/layer/work machine /machine
    for place in dev proc sys; do mount -o bind /$place /machine/$place; done
    chroot /machine /usr/bin/env {environment} {command} 2>&1
    """
NAMES = ("PATH", "PYTHONPATH", "GI_TYPELIB_PATH", "LD_LIBRARY_PATH", "MESON_BUILD_ROOT",
         "MESON_SOURCE_ROOT", "PYTHONDONTWRITEBYTECODE", "G_DEBUG", "VHOST_DEBUG")

PYTHON = os.path.realpath(sys.executable)  # a link on the way may be replaced while the test runs


def run_with_kvm(test, *arguments, deadline=900):
    """Runs a Python program of this machine in the other one; returns what was on its console."""
    socket = test.path("host.sock")
    backend = test.spawn_python("python-examples/fs_backend.py", "--socket-path", socket, "/")
    wait_for_socket(socket, child=backend)
    environment = [f"{name}={os.environ[name]}" for name in NAMES if name in os.environ]
    body = BODY.format(environment=shlex.join(environment),
                       command=shlex.join([PYTHON, *map(str, arguments)]))
    arguments = ["-cpu", "max", *vhost_user(socket, "vhost-user-fs-pci,tag=host")]
    with Guest(body, modules=["virtiofs", "overlay", "kvm-amd"], memory=1280, deadline=deadline,
               arguments=arguments) as guest:
        guest.wait()
    test.assertEqual((backend.stop(), backend.read_output()), (0, ""))
    return guest.lines


def locate(name):
    """A file of this folder, as the other machine sees it."""
    return root() / "tests" / "guest" / name
