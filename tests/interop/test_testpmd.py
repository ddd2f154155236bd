# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's testpmd at the other end: as a front-end whose packets our back-end sends back, and as a
back-end that sends our driver's packets back.
"""

import os
import struct
import unittest

import gi

gi.require_version("Vhost", "1")
from devices import Served  # noqa: E402
from gi.repository import GLib, Vhost  # noqa: E402
from helpers import TempDir, is_listening, wait_for_socket, wait_until  # noqa: E402
from peers import Row  # noqa: E402
from testpmd import Testpmd  # noqa: E402

HEADER = 12
ENOUGH = 2000  # packets
Net = Vhost.NetFeature
PACKED = Vhost.Feature.RING_PACKED


class Echo:
    """A network card that sends each frame back by the pair it came from, and counts."""

    def __init__(self, pairs):
        self.received = [0] * pairs
        self.lost = 0

    def make(self):
        card = Vhost.UserBackend(device_id=Vhost.DeviceId.NETWORK, n_queues=2 * len(self.received))
        for bit in (Net.MRG_RXBUF, Net.MQ):
            card.add_feature(bit)
        card.connect("kick", self.on_kick)
        return card

    def on_kick(self, card, queue):
        if queue.get_index() % 2 == 0:
            return
        receiver = card.get_queue(queue.get_index() - 1)
        while (chain := queue.pop()) is not None:
            self.received[queue.get_index() // 2] += 1
            buffer = receiver.pop()
            if buffer is None:
                self.lost += 1
            else:
                buffer.write(0, struct.pack("<10xH", 1))
                buffer.write_from_chain(HEADER, GLib.MAXSIZE, chain, HEADER)
                receiver.push(buffer, GLib.MAXSIZE)
            queue.push(chain, 0)
        queue.notify()
        receiver.notify()


class FrontEnd(TempDir):
    """testpmd drives, our back-end serves."""

    row = Row("back-end net", "DPDK testpmd, net_virtio_user",
              "split rings, 1 and 2 queue pairs; packets counted equal; either side restarted")
    device = "net_virtio_user0,queue_size=256"
    packed = False

    def setUp(self):
        super().setUp()
        self.socket = self.path("net.sock")

    def start_back_end(self, pairs, reach):
        echo = Echo(pairs)
        served = Served(echo.make, reach)
        served.start()
        self.addCleanup(served.stop)
        return echo, served

    def listen(self, pairs=1):
        return self.start_back_end(pairs, lambda card: card.listen(self.socket))

    def dial(self):
        wait_until(lambda: is_listening(self.socket), "listening testpmd")
        return self.start_back_end(1, lambda card: card.open(self.socket, None))

    def make_front_end(self, pairs=1, server=0):
        return Testpmd(self, f"{self.device},path={self.socket},queues={pairs},server={server}",
                       pairs)

    def exchange(self, pmd, echo):
        """Packets go round and round; in the end each one was seen on both sides."""
        before = pmd.read_counters()
        pmd.ask("set fwd io")
        pmd.ask("start tx_first 4")
        wait_until(lambda: min(echo.received) > ENOUGH, "traffic")
        pmd.ask("stop")
        pmd.ask("set fwd rxonly")
        pmd.ask("start")

        def are_equal():
            now = pmd.read_counters()
            counts = {now[0] - before[0], now[1] - before[1], sum(echo.received)}
            return len(counts) == 1
        wait_until(are_equal, "agreement on how many")
        pmd.ask("stop")
        self.assertEqual(echo.lost, 0)

    def test_packets_are_counted_equal(self):
        echo, served = self.listen()
        pmd = self.make_front_end().wait_ready()
        self.assertEqual(served.call(lambda card: card.has_feature(PACKED)), self.packed)
        self.exchange(pmd, echo)
        pmd.quit()
        self.row.seen(pmd.version)

    def test_two_queue_pairs(self):
        echo, _ = self.listen(pairs=2)
        pmd = self.make_front_end(pairs=2).wait_ready()
        self.exchange(pmd, echo)
        pmd.quit()

    def test_front_end_is_killed_and_comes_back(self):
        echo, served = self.listen()
        self.make_front_end().wait_ready().kill()
        pmd = self.make_front_end().wait_ready()
        self.exchange(pmd, echo)

    def test_back_end_goes_and_another_comes(self):
        pmd = self.make_front_end(server=1)
        echo, served = self.dial()
        pmd.wait_ready()
        self.exchange(pmd, echo)
        served.stop()
        pmd.wait_link("down")
        echo, served = self.dial()
        pmd.wait_link("up")
        self.exchange(pmd, echo)


class PackedFrontEnd(FrontEnd):
    row = Row("back-end net", "DPDK testpmd, net_virtio_user",
              "packed rings, 1 and 2 queue pairs; packets counted equal; either side restarted")
    device = "net_virtio_user0,queue_size=256,packed_vq=1"
    packed = True


class BackEnd(TempDir):
    """testpmd serves, our driver drives."""

    row = Row("front-end, driver", "DPDK testpmd, net_vhost",
              "split rings; the content of packets compared; either side restarted")
    packed = False

    def setUp(self):
        super().setUp()
        self.socket = self.path("net.sock")
        self.addCleanup(self.forget)

    def forget(self):
        self.frontend = self.driver = None

    def serve(self):
        pmd = Testpmd(self, f"net_vhost0,iface={self.socket},queues=1").wait_ready()
        wait_for_socket(self.socket)
        pmd.ask("set fwd io")
        pmd.ask("start")
        return pmd

    def begin(self):
        self.frontend = Vhost.UserFrontend()
        self.frontend.open(self.socket, None)
        self.addCleanup(self.frontend.close)
        self.driver = Vhost.Driver(device=self.frontend)
        if not self.packed:
            self.driver.props.wanted_features &= ~(1 << PACKED)
        self.driver.start(2, 256, None)
        self.assertEqual(self.driver.has_feature(PACKED), self.packed)

    def exchange(self, count=600):
        """Each packet comes back as it was sent, in order."""
        receiver, transmitter = map(self.driver.get_queue, range(2))
        for start in range(0, count, 100):
            frames = [os.urandom(60 + number) for number in range(start, start + 100)]
            for frame in frames:
                receiver.add(None, HEADER + 1518)
                transmitter.add(bytes(HEADER) + frame, 0)
            receiver.kick()
            transmitter.kick()
            for frame in frames:
                self.assertEqual(receiver.wait(None).get_data()[HEADER:], frame)
                transmitter.wait(None)

    def test_packets_come_back_unchanged(self):
        pmd = self.serve()
        self.begin()
        self.exchange()
        self.driver.stop(None)
        self.frontend.close()
        pmd.quit()
        self.row.seen(pmd.version)

    def test_back_end_is_killed_and_comes_back(self):
        pmd = self.serve()
        self.begin()
        self.exchange(100)
        pmd.kill()
        os.unlink(self.socket)
        self.serve()
        self.begin()
        self.exchange(100)

    def test_front_end_leaves_and_comes_back(self):
        self.serve()
        for _ in range(2):
            self.begin()
            self.exchange(100)
            self.frontend.close()


class PackedBackEnd(BackEnd):
    row = Row("front-end, driver", "DPDK testpmd, net_vhost",
              "packed rings; the content of packets compared; either side restarted")
    packed = True


if __name__ == "__main__":
    unittest.main()
