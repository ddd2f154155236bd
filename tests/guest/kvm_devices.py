# SPDX-License-Identifier: BSD-3-Clause
"""Devices that QEMU 7.2 wants KVM for, in guests: test_kvm.py runs this file where there is one."""

import json
import os
import socket
import struct
import unittest

from guest import WHOLE, Guest, vhost_user
from helpers import TempDir, wait_for_socket, wait_until
from pictures import read_png

QUIET = "no_timer_check"  # the check may find that no tick came, when all is slow
START = 200  # seconds for a Python program, where all is slow


class Monitor:
    """QEMU's, in JSON."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._answers = self._socket.makefile()
        self._answers.readline()
        self.do("qmp_capabilities")

    def do(self, command, **arguments):
        request = {"execute": command, "arguments": arguments}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while "event" in (answer := json.loads(self._answers.readline())):
            pass
        assert "return" in answer, answer

    def close(self):
        self._answers.close()
        self._socket.close()


class Keyboard(TempDir):
    BODY = """
        for name in /sys/class/input/event*/device/name; do
          grep -q libvhost $name && event=$(echo $name | cut -d / -f 5)
        done
        report name $(cat /sys/class/input/$event/device/name)
        exec 3<> /dev/input/$event
        report ready
        report typed $(dd bs=24 count=12 <&3 2>/dev/null | od -An -v -w24 -t u2 |
          awk '{ print $9 ":" $10 ":" $11 }')
        cat /caps-lock-1 >&3
        cat /caps-lock-0 >&3
        """

    def test_what_is_typed_arrives(self):
        path = self.path("input.sock")
        stdin, typing = os.pipe()
        self.addCleanup(os.close, typing)
        keyboard = self.spawn_python("python-examples/input_backend.py", "--socket-path", path,
                                     stdin=stdin)
        os.close(stdin)
        wait_for_socket(path, START, keyboard)
        arguments = ["-cpu", "max", *vhost_user(path, "vhost-user-input-pci")]
        lamps = {f"/caps-lock-{n}": struct.pack("<16xHHI", 17, 1, n) for n in (0, 1)}
        with Guest(self.BODY, modules=["virtio_input", "evdev"], memory=192, accel="kvm",
                   deadline=600, files=lamps,
                   append=QUIET, arguments=arguments) as guest:
            guest.wait_for("ready")
            os.write(typing, b"Hi")
            guest.wait()
        self.assertEqual(guest.values["name"], "libvhost keyboard")
        shift_h_i = "1:42:1 1:35:1 1:35:0 1:42:0 1:23:1 1:23:0"
        self.assertEqual(guest.values["typed"], shift_h_i.replace(" ", " 0:0:0 ") + " 0:0:0")
        self.assertEqual(keyboard.stop(START), 0)
        self.assertEqual(keyboard.read_output(), "caps lock on\ncaps lock off\n")


class Graphics(TempDir):
    SIZE = WIDTH, HEIGHT = 320, 200
    BODY = """
        while ! [ -e /dev/fb0 ]; do sleep 0.1; done
        report size $(cat /sys/class/graphics/fb0/virtual_size)
        report stride $(cat /sys/class/graphics/fb0/stride)
        cat /picture > /dev/fb0
        report drawn
        sleep 600
        """

    def test_qemu_shows_what_is_drawn(self):
        path, monitor = self.path("gpu.sock"), self.path("qmp.sock")
        gpu = self.spawn_python("python-examples/gpu_backend.py", "--socket-path", path)
        wait_for_socket(path, START, gpu)
        pixels = os.urandom(self.WIDTH * self.HEIGHT * 4)
        device = f"vhost-user-gpu-pci,id=gpu,xres={self.WIDTH},yres={self.HEIGHT}"
        arguments = ["-cpu", "max", "-qmp", f"unix:{monitor},server=on,wait=off",
                     *vhost_user(path, device)]
        with Guest(self.BODY, modules=["virtio-gpu"], files={"/picture": pixels}, memory=320,
                   kernel=WHOLE, accel="kvm", deadline=600,
                   append=f"{QUIET} vt.global_cursor_default=0", arguments=arguments) as guest:
            guest.wait_for("drawn")
            self.assertEqual(guest.values["size"], f"{self.WIDTH},{self.HEIGHT}")
            self.assertEqual(guest.values["stride"], str(self.WIDTH * 4))
            qemu = Monitor(monitor)
            self.addCleanup(qemu.close)
            expected = b"".join(pixels[i:i + 3][::-1] for i in range(0, len(pixels), 4))
            wait_until(lambda: self.dump(qemu) == (*self.SIZE, expected), "picture", START)
        self.assertEqual((gpu.stop(START), gpu.read_output()), (0, ""))

    def dump(self, qemu):
        qemu.do("screendump", filename=self.path("screen.png"), device="gpu", format="png")
        return read_png(self.path("screen.png"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
