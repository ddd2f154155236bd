# SPDX-License-Identifier: BSD-3-Clause
"""Each request made of real kernels, and what it gave: a table, build/kernel.md, against which that
of docs/kernel.md is held.
"""

import re
import unittest

from guest import CLOUD, OLD, find_tool
from guest_python import BUILD, PythonGuest
from helpers import root

LINE = re.compile(r"device \d+: (\w+)(?: [<>] \w+)* = (\S+)")
ROW = re.compile(r"\| ([A-Z_0-9]+) \| (.+?) \| (.+?) \|")
VHOST = ["vhost_net", "vhost_vsock", "vhost_scsi", "tun"]
VDPA = ["virtio_vdpa", "vhost_vdpa", "vduse", "virtio_blk"]
MISSING = "no module"


def read_rows():
    return ROW.findall((root() / "docs" / "kernel.md").read_text(encoding="utf-8"))


def is_of_vdpa(name):
    """VDPA_… is vhost_vdpa's; of VDUSE's the names begin with what they are about."""
    return name.startswith(("VDPA_", "IOTLB_", "DEV_", "VQ_")) or name in (
        "GET_API_VERSION", "SET_API_VERSION", "CREATE_DEV", "DESTROY_DEV")


def collect(lines):
    """Request → “works”, or the errors it ended with."""
    results = {}
    for match in filter(None, (LINE.search(line) for line in lines)):
        name, result = match.groups()
        results.setdefault(name, set()).add("works" if result.isdigit() else result)
    return {name: "works" if "works" in found else ", ".join(sorted(found))
            for name, found in results.items()}


class Requests(unittest.TestCase):
    def run_inside(self, script, at_least, **options):
        with PythonGuest(script, deadline=500.0, **options) as guest:
            guest.wait()
        self.assertGreaterEqual(int(guest.values["passed"]), at_least)
        return collect(guest.lines)

    def record_vhost(self, kernel):
        return self.run_inside(
            "inside_record.py", 4, kernel=kernel, modules=VHOST,
            before="export VHOST_DEBUG=ioctl; mount -t configfs none /sys/kernel/config")

    def record_vdpa(self):
        return self.run_inside("inside_requests.py", 2, kernel=CLOUD, modules=VDPA, memory=768,
                               programs=[find_tool("iproute2", "vdpa")],
                               before="export VHOST_DEBUG=ioctl; ulimit -l unlimited")

    def test_table(self):
        names = [row[0] for row in read_rows()]
        old, new = self.record_vhost(OLD), self.record_vhost(CLOUD) | self.record_vdpa()
        old |= {name: MISSING for name in names if is_of_vdpa(name)}  # see guest-vduse
        made = [(name, old.get(name), new.get(name)) for name in names]
        lines = ["| Request | Linux 6.1 | Linux 6.12 |", "|---|---|---|",
                 *(f"| {name} | {first} | {second} |" for name, first, second in made)]
        (BUILD / "kernel.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
        for column, results in (("6.1", old), ("6.12", new)):
            n = sum(results.get(name) == "works" for name in names)
            print(f"# Linux {column}: {n} of {len(names)} requests work")
        self.assertEqual(len(names), 36 + 19 + 16)
        self.assertEqual(made, read_rows())


if __name__ == "__main__":
    unittest.main()
