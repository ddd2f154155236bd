# SPDX-License-Identifier: BSD-3-Clause
"""The names that the headers give away, and those that belong to somebody else."""

import re
import unittest

import declarations

KERNEL_PREFIXES = ("VHOST_GET_", "VHOST_SET_", "VHOST_NET_", "VHOST_VSOCK_", "VHOST_SCSI_",
                   "VHOST_VDPA_", "VHOST_BACKEND_F_", "VHOST_VRING_", "VHOST_F_", "VHOST_IOTLB_",
                   "VHOST_ACCESS_")
DEVICE_FEATURE = re.compile("VHOST_[A-Z0-9]+_FEATURE_")  # the kernel says VHOST_NET_F_
LIBVHOST_USER = {"VhostUserMsg", "VhostUserRequest", "VhostUserMemory", "VhostUserConfig",
                 "VhostUserInflight", "VhostUserLog"}


def to_upper(camel):
    """VhostDeviceId: VHOST_DEVICE_ID"""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", camel).upper()


class Names(unittest.TestCase):
    def setUp(self):
        self.headers = declarations.read_headers()
        self.names = {name for header in self.headers for name in header.list_names()}
        self.assertGreater(len(self.names), 200)

    def test_every_name_is_ours(self):
        foreign = [name for name in self.names if not re.match("vhost_|Vhost|VHOST_", name)]
        self.assertEqual(foreign, [])

    def test_the_kernel_keeps_its_prefixes(self):
        self.assertEqual([name for name in self.names if name.startswith(KERNEL_PREFIXES)
                          and not DEVICE_FEATURE.match(name)], [])

    def test_libvhost_user_keeps_its_types(self):
        self.assertEqual(self.names & LIBVHOST_USER, set())

    def test_enumerators_carry_the_name_of_their_type(self):
        enums = {name: values for header in self.headers for name, values in header.enums.items()}
        self.assertGreater(len(enums), 5)
        for name, values in enums.items():
            with self.subTest(name):
                prefix = to_upper(name) + "_"
                self.assertEqual([value for value in values if not value.startswith(prefix)], [])

    def test_a_function_is_named_after_its_type(self):
        """In a header of one type, its functions: vhost_queue_pop (VhostQueue *queue)."""
        for header in self.headers:
            stem = header.name.rpartition("/")[2].removesuffix(".h").replace("-", "_")
            with self.subTest(header.name):
                if f"{stem}_get_type" in header.functions and len(header.types) == 1:
                    self.assertEqual([name for name in header.functions
                                      if not name.startswith(f"{stem}_")], [])


if __name__ == "__main__":
    unittest.main()
