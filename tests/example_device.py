# SPDX-License-Identifier: BSD-3-Clause
"""A device of python-examples as a process of its own, driven without a VM."""

from devices import Vhost
from helpers import TempDir, wait_for_socket


class Device(TempDir):
    """A test that starts a device of python-examples, and a driver for it."""

    @property
    def queue(self):
        return self.driver.get_queue(0)

    def start(self, name, *arguments, n_queues=1, **options):
        """Starts python-examples/NAME_backend.py and a driver."""
        socket = self.path("device.sock")
        self.backend = self.spawn_python(f"python-examples/{name}_backend.py", "--socket-path",
                                         socket, *arguments, **options)
        wait_for_socket(socket, child=self.backend)
        self.frontend = Vhost.UserFrontend()
        self.frontend.open(socket, None)
        self.addCleanup(self.stop)
        self.driver = Vhost.Driver(device=self.frontend)
        self.driver.props.wanted_features |= 0xFFFFFF  # all of the device's own
        self.driver.start(n_queues, 64, None)

    def stop(self):
        """The device has survived, has not complained, and ends at once."""
        self.driver.stop(None)
        self.frontend.close()
        self.driver = self.frontend = None
        self.assertEqual((self.backend.stop(), self.backend.read_output()), (0, self.said()))

    def said(self):
        return ""

    def ask(self, queue, request, size):
        return bytes(queue.request(request, size, None))

    def post(self, queue, request, size):
        """Leaves a buffer with the device; returns its token."""
        token = queue.add(request, size)
        queue.kick()
        return token
