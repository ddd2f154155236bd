# SPDX-License-Identifier: BSD-3-Clause
"""The front-end and the driver on the disk of qemu-storage-daemon."""

import hashlib
import os
import signal
import struct
import subprocess
import sys
import time
import unittest

from devices import Vhost
from helpers import TempDir, root, run_loop, wait_for_socket
from peers import Row, get_package_version, take_messages

ROW = Row("front-end, driver", "qemu-storage-daemon",
          "the whole disk read and compared; reads, writes, flushes on two queues, 100 in flight; "
          "stopped and started; killed with writes in flight, three times")

SECTOR = 512
SIZE = 8 << 20
IN, OUT, FLUSH, GET_ID = 0, 1, 4, 8
HEADER = struct.Struct("<IIQ")


class StorageDaemon(TempDir):
    def setUp(self):
        super().setUp()
        self.image, self.socket = self.path("disk.img"), self.path("blk.sock")
        self.content = os.urandom(SIZE)
        with open(self.image, "wb") as file:
            file.write(self.content)
        self.daemon = self.start_daemon()

    def start_daemon(self, n_queues=2):
        export = (f"vhost-user-blk,id=e,node-name=f,addr.type=unix,addr.path={self.socket},"
                  f"writable=on,num-queues={n_queues}")
        daemon = self.spawn("qemu-storage-daemon", "--blockdev",
                            f"file,node-name=f,filename={self.image}", "--export", export)
        wait_for_socket(self.socket, child=daemon)
        return daemon

    def open(self):
        frontend = Vhost.UserFrontend()
        frontend.open(self.socket, None)
        self.addCleanup(frontend.close)
        return frontend

    def drive(self, frontend, n_queues=1, **properties):
        driver = Vhost.Driver(device=frontend, **properties)
        driver.start(n_queues, 128, None)
        self.addCleanup(lambda: driver)
        return driver

    def request(self, queue, kind, sector, data=b"", size=0):
        answer = bytes(queue.request(HEADER.pack(kind, 0, sector) + data, size + 1, None))
        self.assertEqual(answer[-1:], b"\0", f"request {kind} at {sector}")
        return answer[:-1]

    def read_image(self):
        with open(self.image, "rb") as file:
            return file.read()

    def test_what_it_offers(self):
        frontend = self.open()
        features = frontend.get_features(None)
        offered = Vhost.features_to_string(Vhost.DeviceId.BLOCK, features)
        protocol = Vhost.user_protocol_features_to_string(frontend.props.acked_protocol_features)
        print(f"features: {offered}\nprotocol features in use: {protocol}\n"
              f"queues: {frontend.get_n_queues()}", file=sys.stderr)
        for bit in (Vhost.Feature.VERSION_1, Vhost.BlkFeature.FLUSH, Vhost.BlkFeature.MQ):
            self.assertTrue(features & 1 << bit, bit)
        self.assertTrue(frontend.has_protocol_feature(Vhost.UserProtocolFeature.CONFIG))
        self.assertEqual(frontend.get_n_queues(), 2)
        config = bytes(frontend.get_config(0, 60, None))
        self.assertEqual(struct.unpack_from("<Q", config), (SIZE // SECTOR,))

    def test_example_reads_the_whole_disk(self):
        done = subprocess.run(
            [sys.executable, root() / "python-examples/blk_frontend.py", "--socket-path",
             self.socket, "--compare", self.image], stdin=subprocess.DEVNULL, capture_output=True,
            text=True, timeout=60)
        self.assertEqual((done.returncode, take_messages(done.stderr)[1]), (0, ""))
        self.assertIn(hashlib.sha256(self.content).hexdigest(), done.stdout)

    def test_writes_on_both_queues(self):
        driver = self.drive(self.open(), n_queues=2)
        expected = bytearray(self.content)
        for index, sector in ((0, 0), (1, 1000), (0, SIZE // SECTOR - 64)):
            queue = driver.get_queue(index)
            data = os.urandom(64 * SECTOR)
            self.request(queue, OUT, sector, data)
            self.assertEqual(self.request(queue, IN, sector, size=len(data)), data)
            expected[sector * SECTOR:sector * SECTOR + len(data)] = data
        self.request(driver.get_queue(1), FLUSH, 0)
        driver.stop(None)
        self.assertEqual(self.read_image(), bytes(expected))

    def test_many_requests_in_flight(self):
        queue = self.drive(self.open()).get_queue(0)
        waiting = {queue.add(HEADER.pack(IN, 0, 8 * n), 8 * SECTOR + 1): 8 * n for n in range(100)}
        queue.kick()
        while waiting:
            buffer = queue.wait(None)
            sector = waiting.pop(buffer.get_token())
            start = sector * SECTOR
            self.assertEqual(bytes(buffer.get_data()),
                             self.content[start:start + 8 * SECTOR] + b"\0")

    def test_without_optional_features(self):
        only = 1 << Vhost.Feature.VERSION_1
        for wanted in (only, only | 1 << Vhost.Feature.EVENT_IDX,
                       only | 1 << Vhost.Feature.INDIRECT_DESC):
            frontend = self.open()
            driver = self.drive(frontend, wanted_features=wanted)
            self.assertEqual(driver.props.acked_features, wanted)
            for sector in range(20):
                self.request(driver.get_queue(0), IN, sector, size=SECTOR)
            driver.stop(None)
            frontend.close()

    def test_without_optional_protocol_features(self):
        frontend = Vhost.UserFrontend()
        for kept in (Vhost.UserProtocolFeature.MQ, Vhost.UserProtocolFeature.CONFIG):
            frontend.props.protocol_features = 1 << kept
            frontend.open(self.socket, None)
            driver = self.drive(frontend)
            self.assertEqual(self.request(driver.get_queue(0), IN, 0, size=SECTOR),
                             self.content[:SECTOR])
            driver.stop(None)
            frontend.close()

    def test_stops_and_starts_again(self):
        driver = self.drive(self.open())
        for _ in range(3):
            self.request(driver.get_queue(0), IN, 0, size=SECTOR)
            driver.stop(None)
            driver.start(1, 64, None)
        self.request(driver.get_queue(0), IN, 0, size=SECTOR)

    def test_front_ends_come_and_go(self):
        for _ in range(5):
            frontend = self.open()
            driver = self.drive(frontend)
            self.request(driver.get_queue(0), IN, 0, size=SECTOR)
            frontend.close()

    def test_daemon_is_killed_with_writes_in_flight(self):
        """The front-end reconnects; the driver loses nothing."""
        reconnected, expected, cut_short = [], bytearray(self.content), 0
        frontend = Vhost.UserFrontend(reconnect_interval=20, reconnect_timeout=20000)
        frontend.connect("reconnected", lambda _: reconnected.append(True))
        frontend.open(self.socket, None)
        self.addCleanup(frontend.close)
        queue = self.drive(frontend).get_queue(0)
        for kills in (1, 2, 3):
            waiting = set()
            for sector in range(0, 60 * 256, 256):
                data = os.urandom(256 * SECTOR)
                expected[sector * SECTOR:(sector + 256) * SECTOR] = data
                waiting.add(queue.add(HEADER.pack(OUT, 0, sector) + data, 1))
            queue.kick()
            self.assertEqual(self.daemon.stop(how=signal.SIGKILL), -signal.SIGKILL)
            cut_short += self.read_image() != expected
            self.daemon = self.start_daemon()
            while waiting:
                buffer = queue.wait(None)
                waiting.remove(buffer.get_token())
                self.assertEqual(bytes(buffer.get_data()), b"\0")
            run_loop(lambda kills=kills: len(reconnected) == kills)  # all may have been done before
        self.assertGreater(cut_short, 0)
        self.assertEqual(self.read_image(), bytes(expected))
        ROW.seen(get_package_version("qemu-system-common"))

    def test_daemon_goes_and_comes_back(self):
        frontend = self.open()
        driver = self.drive(frontend)
        self.request(driver.get_queue(0), OUT, 0, bytes(SECTOR))
        started = time.monotonic()
        self.daemon.stop()
        run_loop(lambda: not frontend.is_open())
        self.assertLess(time.monotonic() - started, 10)
        self.assertFalse(driver.is_started())
        self.daemon = self.start_daemon()
        frontend.open(self.socket, None)
        driver.start(1, 128, None)
        self.assertEqual(self.request(driver.get_queue(0), IN, 0, size=SECTOR), bytes(SECTOR))
        self.assertEqual(self.request(driver.get_queue(0), IN, 1, size=SECTOR),
                         self.content[SECTOR:2 * SECTOR])


if __name__ == "__main__":
    unittest.main()
