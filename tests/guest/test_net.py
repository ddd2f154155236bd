# SPDX-License-Identifier: BSD-3-Clause
"""python-examples/net_switch.py between two Linux guests: ping, and streams of known content."""

import hashlib
import re
import unittest

from guest import Guest, get_versions, vhost_user_net
from helpers import TempDir, wait_for_socket
from peers import Row

ROW = Row("back-end net", "QEMU, Linux guests",
          "two guests joined by a switch: ping, streams with their sha256; "
          "MTU 9000 over mergeable buffers, plain buffers, two queue pairs")

LAST_NUMBER = 100_000
ADDRESSES = ("10.0.0.1", "10.0.0.2")
COUNTERS = re.compile(r"port (\d): from guest ([\d ]+); to guest ([\d ]+); dropped (\d+)")

START = """
ip link set eth0 up
ip addr add {own}/24 dev eth0
report mtu $(cat /sys/class/net/eth0/mtu)
report pairs $(ls -d /sys/class/net/eth0/queues/rx-* | wc -l)
send() {{
  until seq 1 {last} | $1 nc {other} $2 2>/dev/null; do sleep 0.1; done
}}
receive() {{
  report $2 $(nc -l -p $1 | sha256sum)
}}
"""

# First the second guest sends, then the first; the second tells when it is done.
FIRST = START + """
receive 5000 received
send "{placed}" 5001
nc -l -p 5002 > /dev/null
report fragments $(awk '/^Ip: [0-9]/ {{ print $17 + $18 + $19 }}' /proc/net/snmp)
"""

SECOND = START + """
until ping -c 1 -W 1 {other} > /dev/null; do :; done
report ping $(ping -c 3 -A -s {size} {other} | grep -o '[0-9]* packets received')
send "{placed}" 5000
receive 5001 received
until echo done | nc {other} 5002 2>/dev/null; do sleep 0.1; done
"""


class Joined(TempDir):
    """Two guests at one switch. What is asked of them is in the tests."""

    def join(self, mtu=1500, pairs=1, placed="", **properties):
        """Boots both, waits until they are done, and returns them with what the switch counted."""
        sockets = [self.path(f"port{n}") for n in range(2)]
        switch = self.spawn_python(
            "python-examples/net_switch.py", f"--mtu={mtu}", f"--queue-pairs={pairs}",
            *(f"--socket-path={path}" for path in sockets))
        for path in sockets:
            wait_for_socket(path, child=switch)
        guests = []
        for number, body in enumerate((FIRST, SECOND)):
            body = body.format(own=ADDRESSES[number], other=ADDRESSES[1 - number], size=mtu - 28,
                               last=LAST_NUMBER, placed=placed)
            guest = Guest(body, modules=["virtio_net"], memory=256, cpus=pairs, arguments=(
                vhost_user_net(sockets[number], f"52:54:00:00:01:0{number}", pairs,
                               host_mtu=mtu, **properties)))
            guests.append(guest.start())
            self.addCleanup(guest.stop)
        for guest in guests:
            guest.wait()
        self.assertEqual(switch.stop(), 0)
        return [guest.values for guest in guests], self.read_counters(switch)

    def read_counters(self, switch):
        """[(from guest, to guest), …] of each port, by pairs; nothing else was said or dropped."""
        lines = switch.read_output().splitlines()
        matches = [COUNTERS.fullmatch(line) for line in lines]
        self.assertTrue(len(lines) == 2 and all(matches), lines)
        self.assertEqual([match[4] for match in matches], ["0", "0"])
        return [tuple([int(n) for n in match[part].split()] for part in (2, 3))
                for match in matches]

    def assert_carried(self, values, mtu):
        content = b"".join(b"%d\n" % number for number in range(1, LAST_NUMBER + 1))
        for each in values:
            self.assertEqual(each["received"].split()[0], hashlib.sha256(content).hexdigest())
            self.assertEqual(each["mtu"], str(mtu))
        self.assertEqual(values[1]["ping"], "3 packets received")
        self.assertEqual(values[0]["fragments"], "0")


class Guests(Joined):
    def test_mergeable_buffers(self):
        values, _ = self.join(mtu=9000, mrg_rxbuf="on")
        self.assert_carried(values, 9000)

    def test_plain_buffers(self):
        values, _ = self.join(mrg_rxbuf="off")
        self.assert_carried(values, 1500)

    def test_queue_pairs(self):
        values, counters = self.join(pairs=2, placed="taskset 2")
        self.assert_carried(values, 1500)
        self.assertEqual([each["pairs"] for each in values], ["2", "2"])
        for sent, received in counters:
            self.assertTrue(all(sent) and all(received), counters)
        ROW.seen(get_versions())


if __name__ == "__main__":
    unittest.main()
