# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's testpmd, told what to do at its prompt.

    pmd = Testpmd(test, "net_virtio_user0,path=/tmp/x/sock,queues=1").wait_ready()
    pmd.ask("set fwd rxonly")
    pmd.ask("start tx_first 10")
    pmd.read_counters()                      # (received, sent)

Without huge pages and devices of the host. Packages dpdk-dev, librte-net-virtio23 and
librte-net-vhost23.
"""

import os
import re
import subprocess
import tempfile
import threading

from helpers import wait_until

PROMPT = "testpmd> "
VERSION = re.compile(r"RTE Version: 'DPDK ([\d.]+)'")
COUNTERS = re.compile(r"RX-packets: (\d+).*?TX-packets: (\d+)", re.DOTALL)
START, ANSWER = 30.0, 10.0  # seconds


class Testpmd:
    """A testpmd with one port, `device`: driver and its arguments."""

    def __init__(self, test, device, queue_pairs=1):
        runtime = tempfile.mkdtemp(dir=test.directory)
        self._process = subprocess.Popen(
            ["stdbuf", "-oL", "dpdk-testpmd", "-l", "0,1", "-v", "--no-huge", "-m", "256",
             "--no-pci", "--iova-mode=va", "--no-telemetry", "--file-prefix=test",
             f"--vdev={device}", "--", "-i", "--total-num-mbufs=4096",
             f"--rxq={queue_pairs}", f"--txq={queue_pairs}"],
            env={**os.environ, "RUNTIME_DIRECTORY": str(runtime)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._changed = threading.Condition()
        self._output = ""
        self._ended = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        test.addCleanup(self.kill)

    def wait_ready(self):
        """Until it can be asked. Some devices are not ready before the other side is there."""
        self.version = VERSION.search(self._wait_prompt(0, START))[1]
        return self

    def ask(self, command):
        """What it prints in answer to a command."""
        with self._changed:
            start = len(self._output)
        self._write(command)
        return self._wait_prompt(start, ANSWER)

    def read_counters(self):
        """(received, sent): packets of its port since it started."""
        match = COUNTERS.search(self.ask("show port stats 0"))
        return int(match[1]), int(match[2])

    def wait_link(self, state):
        """Looks for the other side, which is when net_virtio_user notices, until it is there."""
        wait_until(lambda: f"Link status: {state}" in self.ask("show port info 0"), f"link {state}")

    def quit(self):
        """Leaves as it should."""
        self._write("quit")
        try:
            status = self._process.wait(ANSWER)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"testpmd did not quit:\n{self._output[-2000:]}") from None
        if status != 0:
            raise AssertionError(f"testpmd ended with {status}:\n{self._output[-2000:]}")
        self.kill()

    def kill(self):
        """Ends it at once. May be called twice."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._process.stdin.close()
        self._process.stdout.close()

    def _write(self, line):
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def _read(self):
        while data := self._process.stdout.read1(65536):
            with self._changed:
                self._output += data.decode(errors="replace")
                self._changed.notify_all()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _wait_prompt(self, start, seconds):
        def is_there():  # the command is echoed first, behind a prompt of its own
            echoed = self._output.find("\n", start)
            return self._ended or (echoed >= 0 and self._output.find(PROMPT, echoed) >= 0)
        with self._changed:
            came = self._changed.wait_for(is_there, seconds)
            if not came or self._ended:
                raise AssertionError(f"testpmd {'ended' if self._ended else 'says nothing'}:\n"
                                     + self._output[-2000:])
            return self._output[start:]
