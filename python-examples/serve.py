# SPDX-License-Identifier: BSD-3-Clause
"""What the examples share: Vhost.UserProgram reads the options that every vhost-user program has,
argparse those of each.
"""

import argparse
import sys

import gi

gi.require_version("Vhost", "1")
from gi.repository import GLib, Vhost  # noqa: E402


class Parser(argparse.ArgumentParser):
    def __init__(self, description, kind, features):
        super().__init__(description=description, allow_abbrev=False)
        self.program = Vhost.UserProgram(device_type=kind, features=features)
        self.add_argument("--socket-path", metavar="PATH", help="the Unix socket")
        self.add_argument("--fd", metavar="FDNUM", help="an inherited socket, instead")
        if kind:
            self.add_argument("--print-capabilities", action="store_true", help="and do no more")

    def parse_args(self):
        try:
            arguments = self.program.parse(sys.argv)
        except GLib.Error as error:
            self.error(error.message)
        if self.program.print_capabilities():
            self.exit()
        options = super().parse_args(arguments[1:])
        if not self.program.has_socket():
            self.error("one of the arguments --socket-path --fd is required")
        options.program = self.program
        return options


def parser(description, kind=None, features=()):
    """kind, features: what --print-capabilities says of a back-end."""
    return Parser(description, kind, list(features))


def size(text):
    """The type of an option that is a size, as in “640x480”."""
    width, height = map(int, text.split("x"))
    return width, height


def fail(error):
    """One line that says what is wrong, exit code 1."""
    message = getattr(error, "message", None) or str(error)
    sys.exit(f"{sys.argv[0]}: {message}")


def run(backend, options):
    """Serves a device until SIGTERM or SIGINT."""
    sys.exit(options.program.run(backend))


def open_driver(options, n_queues, queue_size, features=()):
    """A driver, started on the device behind the socket."""
    frontend = Vhost.UserFrontend()
    driver = Vhost.Driver(device=frontend)
    for bit in features:
        driver.props.wanted_features |= 1 << bit
    try:
        options.program.open(frontend, None)
        driver.start(n_queues, queue_size, None)
    except GLib.Error as error:
        fail(error)
    return frontend, driver
