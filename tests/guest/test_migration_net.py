# SPDX-License-Identifier: BSD-3-Clause
"""A guest moves to another port of python-examples/net_switch.py, and its peer keeps pinging it.

Both know each other's address, and the one that moves sends nothing of itself, so that the switch
would go on sending to the port where it was: only SEND_RARP, or what the guest's driver announces
when QEMU asks for it, makes the pings arrive again.
"""

import os
import re
import unittest

from guest import Guest, get_versions, vhost_user_net
from helpers import TempDir, wait_for_socket
from peers import Row

ROW = Row("back-end net", "QEMU to QEMU, Linux guests",
          "live migration to another port of the switch: SEND_RARP, or the guest announces itself; "
          "its peer's pings follow it there and back")
MACS = ("52:54:00:00:02:00", "52:54:00:00:02:01")
START = """
ip link set eth0 up
ip addr add 10.0.0.{own}/24 dev eth0
arp -s 10.0.0.{other} {mac}
"""
PINGS = START + """
count=0
while :; do
  if ping -c 1 -W 1 10.0.0.{other} > /dev/null; then count=$((count + 1)); report answers $count; fi
  usleep 100000
done
"""
ANSWERS = START + """
while :; do sleep 100; done
"""


class Moves(TempDir):
    def start_switch(self):
        self.paths = [self.path(f"port{n}") for n in range(3)]
        self.switch = self.spawn_python("python-examples/net_switch.py",
                                        *(f"--socket-path={path}" for path in self.paths),
                                        env={**os.environ, "VHOST_DEBUG": "message"})
        for path in self.paths:
            wait_for_socket(path, child=self.switch)

    def connect(self, port, number):
        """QEMU's arguments for guest `number` at `port`."""
        return vhost_user_net(self.paths[port], MACS[number], **self.properties)

    def start_guest(self, body, number):
        body = body.format(own=number + 1, other=2 - number, mac=MACS[1 - number])
        guest = Guest(body, modules=["virtio_net"], memory=128, append="ipv6.disable=1",
                      arguments=self.connect(number, number), monitor=number == 1)
        self.addCleanup(guest.stop)
        return guest.start()

    def move(self, source, port):
        """The source stays at its port, silent, so that the switch does not forget it."""
        target = source.make_target(self.connect(port, 1))
        self.addCleanup(target.stop)
        source.migrate(target.start())
        self.pings.values.pop("answers", None)
        target.monitor.call("cont")
        self.pings.wait_for("answers")
        source.stop()
        return target

    def move_there_and_back(self, **properties):
        """Returns the address in each SEND_RARP."""
        self.properties = properties
        self.start_switch()
        self.pings = self.start_guest(PINGS, 0)
        guest = self.start_guest(ANSWERS, 1)
        self.pings.wait_for("answers")
        for port in (2, 1):
            guest = self.move(guest, port)
        guest.stop()
        self.pings.stop()
        self.assertEqual(self.switch.stop(), 0)
        words = re.findall(r"SEND_RARP value=(\d+)", self.switch.read_messages())
        return [int(word).to_bytes(6, "little").hex(":") for word in words]

    def test_rarp(self):
        """QEMU repeats it some times."""
        announced = self.move_there_and_back(guest_announce="off")
        self.assertGreaterEqual(len(announced), 2)
        self.assertEqual(set(announced), {MACS[1]})

    def test_guest_announces_itself(self):
        self.assertEqual(self.move_there_and_back(guest_announce="on"), [])
        ROW.seen(get_versions())


if __name__ == "__main__":
    unittest.main()
