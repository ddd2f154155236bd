# SPDX-License-Identifier: BSD-3-Clause
"""Inside a guest whose kernel has neither VDUSE nor vDPA."""

import unittest

import inside
from gi.repository import Gio, GLib, Vhost


class Missing(unittest.TestCase):
    def check(self, call, *words):
        with self.assertRaises(GLib.Error) as caught:
            call()
        self.assertTrue(caught.exception.matches(Gio.io_error_quark(), Gio.IOErrorEnum.NOT_FOUND))
        for word in words:
            self.assertIn(word, caught.exception.message)

    def test_vduse(self):
        backend = Vhost.VduseBackend(device_id=Vhost.DeviceId.BLOCK, n_queues=1)
        self.check(lambda: backend.open("disk0"), "/dev/vduse/control", "module vduse")

    def test_vdpa(self):
        self.check(lambda: Vhost.KernelVdpa().open("/dev/vhost-vdpa-0"), "vhost_vdpa")


if __name__ == "__main__":
    inside.run_tests()
