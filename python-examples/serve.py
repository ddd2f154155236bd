# SPDX-License-Identifier: BSD-3-Clause
"""What the examples share: the command line of a vhost-user program, and its way out."""

import argparse
import os
import signal
import sys

import gi

gi.require_version("Vhost", "1")
from gi.repository import GLib, Vhost  # noqa: E402


def parser(description):
    """Options that every vhost-user program has: where its socket is."""
    options = argparse.ArgumentParser(description=description)
    where = options.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket-path", metavar="PATH", help="the Unix socket")
    where.add_argument("--fd", type=int, metavar="FDNUM", help="an inherited socket")
    return options


def fail(error):
    """One line that says what is wrong, exit code 1."""
    message = getattr(error, "message", None) or str(error)
    sys.exit(f"{sys.argv[0]}: {message}")


def reach(backend, options, loop):
    """Makes a device reachable; on a socket that is connected already it ends with its peer."""
    if options.fd is None:
        backend.listen(options.socket_path)
        return
    backend.open_fd(options.fd)
    os.close(options.fd)  # the device has its own
    if backend.is_connected():
        backend.connect("disconnected", lambda _: loop.quit())


def run(backend, options):
    """Serves a device until SIGTERM or SIGINT."""
    loop = GLib.MainLoop()
    for number in (signal.SIGTERM, signal.SIGINT):
        GLib.unix_signal_add(GLib.PRIORITY_DEFAULT, number, loop.quit)
    backend.connect("refused", lambda _, request, error: print(error.message, file=sys.stderr))
    backend.connect("device-failed", lambda _, error: print(error.message, file=sys.stderr))
    try:
        reach(backend, options, loop)
    except GLib.Error as error:
        fail(error)
    loop.run()
    backend.close()


def open_driver(options, n_queues, queue_size, features=()):
    """A driver, started on the device behind the socket."""
    frontend = Vhost.UserFrontend()
    driver = Vhost.Driver(device=frontend)
    for bit in features:
        driver.props.wanted_features |= 1 << bit
    try:
        if options.fd is not None:
            frontend.open_fd(options.fd, None)
        else:
            frontend.open(options.socket_path, None)
        driver.start(n_queues, queue_size, None)
    except GLib.Error as error:
        fail(error)
    return frontend, driver
