# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's testpmd behind an IOMMU of ours: it asks for each page, and our driver's packets come back
while pages are taken away.
"""

import os
import unittest

import gi

gi.require_version("Vhost", "1")
from gi.repository import GLib, GObject, Vhost  # noqa: E402
from helpers import TempDir, wait_for_socket  # noqa: E402
from peers import Row  # noqa: E402
from testpmd import Testpmd  # noqa: E402

ROW = Row("front-end, driver", "DPDK testpmd, net_vhost",
          "iommu-support=1: misses answered page by page; pages invalidated between packets")
HEADER = 12
PAGE = 4096
OFFSET = 0x10_0000_0000
ALL = Vhost.IommuAccess.READ | Vhost.IommuAccess.WRITE


class Iommu(GObject.Object, Vhost.Iommu):
    def __init__(self):
        super().__init__()
        self.asked = []

    def do_translate(self, iova, access):
        self.asked.append(iova)
        page = iova // PAGE * PAGE
        return Vhost.IommuMapping.new(page, PAGE, page - OFFSET, ALL)


class BehindIommu(TempDir):
    def setUp(self):
        super().setUp()
        path = self.path("net.sock")
        self.pmd = Testpmd(self, f"net_vhost0,iface={path},queues=1,iommu-support=1").wait_ready()
        wait_for_socket(path)
        self.pmd.ask("set fwd io")
        self.pmd.ask("start")
        self.frontend = Vhost.UserFrontend()
        self.frontend.open(path, None)
        self.addCleanup(self.frontend.close)
        self.iommu = Iommu()
        self.frontend.set_iommu(self.iommu)
        self.driver = Vhost.Driver(
            device=self.frontend, iova_offset=OFFSET,
            wanted_features=1 << Vhost.Feature.VERSION_1 | 1 << Vhost.Feature.ACCESS_PLATFORM)
        self.addCleanup(setattr, self, "driver", None)

    def send(self, frame):
        """Until it comes back: a packet whose page testpmd has to ask for first is dropped."""
        receiver, transmitter = map(self.driver.get_queue, range(2))
        for _ in range(50):
            transmitter.add(bytes(HEADER) + frame, 0)
            transmitter.kick()
            transmitter.wait(None)
            while (found := self.receive(receiver)) is not None:
                self.assertIn(found, self.sent)
                if found == frame:
                    return
            self.n_lost += 1
        self.fail("a packet never came back")

    def receive(self, queue):
        try:
            found = queue.wait(None).get_data()[HEADER:]
        except GLib.Error as error:
            self.assertTrue(error.matches(Vhost.error_quark(), Vhost.Error.TIMED_OUT), error)
            return None
        queue.add(None, HEADER + 1518)
        queue.kick()
        return bytes(found)

    def test_packets_come_back_while_pages_go(self):
        self.driver.start(2, 256, None)
        self.assertTrue(self.driver.has_feature(Vhost.Feature.ACCESS_PLATFORM))
        receiver = self.driver.get_queue(0)
        receiver.set_timeout(100)
        for _ in range(64):
            receiver.add(None, HEADER + 1518)
        receiver.kick()
        self.sent, self.n_lost = set(), 0
        for turn in range(200):
            frame = os.urandom(60 + turn)
            self.sent.add(frame)
            self.send(frame)
            if turn % 4 == 0:
                page = self.iommu.asked[-1 - turn % 3] // PAGE * PAGE
                self.frontend.invalidate_iotlb(page, PAGE, None)
        self.assertGreater(len(self.iommu.asked), 60)
        self.driver.stop(None)
        self.frontend.close()
        self.pmd.quit()
        ROW.seen(self.pmd.version)


if __name__ == "__main__":
    unittest.main()
