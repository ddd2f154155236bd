# SPDX-License-Identifier: BSD-3-Clause
"""The front-end and the driver on the file system of QEMU's virtiofsd (C, 7.2)."""

import errno
import hashlib
import os
import struct
import unittest

from devices import Vhost
from fuse import Fuse
from helpers import TempDir, wait_for_socket
from peers import Row, get_package_version

ROW = Row("front-end, driver", "virtiofsd (C)",
          "FUSE: INIT, LOOKUP, READ, READDIR, FORGET; 16 reads in flight; "
          "another one after it ended")

VIRTIOFSD = "/usr/lib/qemu/virtiofsd"
PIECE = 64 << 10


@unittest.skipUnless(os.geteuid() == 0, "virtiofsd 7.2 wants to be root")
class Virtiofsd(Fuse, TempDir):
    def setUp(self):
        super().setUp()
        self.tree = self.directory / "tree"
        (self.tree / "sub").mkdir(parents=True)
        self.content = os.urandom(1_000_003)
        (self.tree / "sub" / "data").write_bytes(self.content)
        (self.tree / "link").symlink_to("sub/data")
        self.frontend = Vhost.UserFrontend()
        self.driver = Vhost.Driver(device=self.frontend)
        self.begin()

    def begin(self):
        """A session; with its end the daemon ends too."""
        socket = self.path("fs.sock")
        self.daemon = self.spawn(VIRTIOFSD, f"--socket-path={socket}", "-o", f"source={self.tree}",
                                 "-o", "sandbox=chroot")
        wait_for_socket(socket, child=self.daemon)
        self.frontend.open(socket, None)
        self.driver.start(2, 128, None)
        data = self.get(self.INIT, data=struct.pack("<4I", 7, 31, 1 << 17, 0))
        self.version = struct.unpack_from("<II", data)

    def tearDown(self):
        self.driver.stop(None)
        self.frontend.close()
        self.driver = self.frontend = None
        self.assertEqual(self.daemon.wait(), 0, self.daemon.read_output())
        super().tearDown()

    def test_what_it_offers(self):
        for bit in (Vhost.Feature.VERSION_1, Vhost.Feature.INDIRECT_DESC, Vhost.Feature.EVENT_IDX):
            self.assertTrue(self.driver.has_feature(bit), bit)
        self.assertTrue(self.frontend.has_protocol_feature(Vhost.UserProtocolFeature.REPLY_ACK))
        self.assertEqual(self.version[0], 7)
        self.assertGreaterEqual(self.version[1], 31)

    def test_reads_a_file(self):
        handle = self.open(self.look_up(b"data", self.look_up(b"sub")))
        found = [self.read(handle, offset, PIECE)
                 for offset in range(0, len(self.content) + PIECE, PIECE)]
        self.assertEqual({error for error, _ in found}, {0})
        self.assertEqual(hashlib.sha256(b"".join(data for _, data in found)).digest(),
                         hashlib.sha256(self.content).digest())
        self.get(self.RELEASE, self.ROOT, struct.pack("<Q16x", handle))

    def test_another_session(self):
        for _ in range(3):
            handle = self.open(self.look_up(b"data", self.look_up(b"sub")))
            self.assertEqual(self.read(handle, 1000, PIECE), (0, self.content[1000:1000 + PIECE]))
            self.driver.stop(None)
            self.frontend.close()
            self.assertEqual(self.daemon.wait(), 0, self.daemon.read_output())
            self.begin()
        ROW.seen(get_package_version("qemu-system-common"))

    def test_many_reads_in_flight(self):
        handle = self.open(self.look_up(b"data", self.look_up(b"sub")))
        queue, waiting = self.driver.get_queue(1), {}
        for offset in range(0, len(self.content), PIECE):
            request = self.IN.pack(80, self.READ, 1 + offset, self.ROOT, 0, 0, 0, 0, 0)
            request += struct.pack("<QQI20x", handle, offset, PIECE)
            waiting[queue.add(request, 16 + PIECE)] = offset
        queue.kick()
        while waiting:
            buffer = queue.wait(None)
            offset, data = waiting.pop(buffer.get_token()), bytes(buffer.get_data())
            self.assertEqual(self.OUT.unpack_from(data), (len(data), 0, 1 + offset))
            self.assertEqual(data[16:], self.content[offset:offset + PIECE])

    def test_names(self):
        attributes = self.get_attributes(self.look_up(b"sub"))
        self.assertEqual(struct.unpack_from("<I", attributes, 60)[0],
                         os.stat(self.tree / "sub").st_mode)
        self.assertEqual(self.get(self.READLINK, self.look_up(b"link")), b"sub/data")
        self.assertEqual(self.call(self.LOOKUP, data=b"nothing\0")[0], errno.ENOENT)
        handle = self.open(self.ROOT, self.OPENDIR)
        data = self.get(self.READDIR, self.ROOT, struct.pack("<QQI20x", handle, 0, 4096))
        for name in (b"sub", b"link"):
            self.assertIn(name, data)

    def test_forgets(self):
        """The queue for urgent requests: nothing comes back but the buffer."""
        node = self.look_up(b"sub")
        self.forget(node, 1)
        self.assertEqual(self.driver.get_queue(0).get_n_outstanding(), 0)
        self.look_up(b"sub")


if __name__ == "__main__":
    unittest.main()
