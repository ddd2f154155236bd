# SPDX-License-Identifier: BSD-3-Clause
"""A vDPA device, which qemu-storage-daemon serves through VDUSE, driven inside a guest."""

import unittest

from guest import CLOUD, find_tool
from guest_python import PythonGuest
from peers import Row, get_package_version

ROW = Row("driver, vhost-vdpa", "qemu-storage-daemon, vduse-blk",
          "blocks written, read and compared; stopped and started with other memory")


class Vdpa(unittest.TestCase):
    def test_storage_daemon(self):
        programs = [find_tool("iproute2", "vdpa"),
                    find_tool("qemu-system-common", "qemu-storage-daemon")]
        with PythonGuest("inside_vdpa.py", modules=["vhost_vdpa", "vduse"], programs=programs,
                         kernel=CLOUD, deadline=300.0) as guest:
            guest.wait()
        self.assertEqual(guest.values["passed"], "4")
        ROW.seen(get_package_version("qemu-system-common"))


if __name__ == "__main__":
    unittest.main()
