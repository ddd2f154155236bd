# SPDX-License-Identifier: BSD-3-Clause
"""Every program in python-examples, run as its reader would run it."""

import hashlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
import unittest

from devices import Vhost
from helpers import TempDir, is_listening, root, run_loop, wait_for_socket, wait_until
from peers import Row
from pictures import draw_expected, read_png

ROW = Row("front-end, back-end", "this library",
          "console: lines in both directions, one guest after the other")

FOLDER = root() / "python-examples"
BACKENDS = sorted(path.name for path in FOLDER.glob("*_backend.py")
                  if path.name != "net_backend.py")  # wants a network of its own: test_tap.py
FRONTENDS = sorted(path.name for path in FOLDER.glob("*_frontend.py"))
SECTOR = 512


class Example(TempDir):
    """A test that runs examples."""

    def setUp(self):
        super().setUp()
        self.socket = self.path("device.sock")
        self.image = self.make_image(1 << 20)

    def make_image(self, size, name="disk.img"):
        with open(self.path(name), "wb") as file:
            file.write(os.urandom(size))
        return self.path(name)

    def list_arguments(self, name):
        """What each needs beside its socket."""
        return {"blk_backend.py": [self.image], "scsi_backend.py": [self.image],
                "fs_backend.py": [self.directory], "gpu_backend.py": [self.path("out.png")],
                "console_frontend.py": ["hello"],
                "gpu_frontend.py": [self.path("out.png")],
                "net_frontend.py": ["10.0.0.1"]}.get(name, [])

    def run_example(self, name, *arguments, **options):
        return subprocess.run([sys.executable, FOLDER / name, *map(str, arguments)], timeout=20,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)

    def ask(self, name, *arguments):
        """Runs a front-end on the socket, and returns what it prints."""
        done = self.run_example(name, "--socket-path", self.socket, *arguments)
        self.assertEqual((done.returncode, done.stderr), (0, ""), name)
        return done.stdout

    def serve(self, name, *arguments, path=None):
        """Runs a back-end until the test is over."""
        path = path or self.socket
        child = self.spawn_python(f"python-examples/{name}", "--socket-path", path, *arguments)
        wait_for_socket(path, child=child)
        return child

    def make_pair(self):
        pair = socket.socketpair()
        for sock in pair:
            self.addCleanup(sock.close)
        return pair

    def assert_fails(self, name, *arguments, says="", **options):
        """One line on stderr that says what is wrong, nothing on stdout, exit code 1."""
        done = self.run_example(name, *arguments, **options)
        self.assertEqual((done.returncode, done.stdout), (1, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(name, done.stderr)
        self.assertIn(says, done.stderr)


class CommandLine(Example):
    def test_there_are_examples(self):
        self.assertEqual(BACKENDS, [f"{name}_backend.py" for name in (
            "blk", "console", "fs", "gpio", "gpu", "i2c", "input", "rng", "scsi", "vsock")])
        self.assertEqual(FRONTENDS, ["blk_frontend.py", "console_frontend.py", "gpu_frontend.py",
                                     "net_frontend.py", "rng_frontend.py"])

    def test_help(self):
        for name in BACKENDS + FRONTENDS:
            done = self.run_example(name, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            for option in ("--socket-path", "--fd"):
                self.assertIn(option, done.stdout, name)

    def test_one_socket_must_be_named(self):
        for name in BACKENDS + FRONTENDS:
            for where in ((), ("--socket-path", self.socket, "--fd", "3")):
                done = self.run_example(name, *where, *self.list_arguments(name))
                self.assertEqual(done.returncode, 2, name)
                self.assertIn("--fd", done.stderr, name)

    def test_every_program_can_be_executed(self):
        for name in BACKENDS + FRONTENDS:
            self.assertTrue(os.access(FOLDER / name, os.X_OK), name)
            self.assertTrue((FOLDER / name).read_text().startswith("#!/usr/bin/env python3\n"))


class Ending(Example):
    """A back-end ends at once and cleanly when it is told to."""

    def check(self, name, how, is_busy):
        child = self.serve(name, *self.list_arguments(name))
        with socket.socket(socket.AF_UNIX) as peer:
            if is_busy:
                peer.connect(self.socket)
                peer.send(bytes(4))
            started = time.monotonic()
            status = child.stop(how=how)
        self.assertEqual((status, child.read_output()), (0, ""), name)
        self.assertLess(time.monotonic() - started, 1, name)
        self.assertFalse(os.path.lexists(self.socket), name)

    def test_on_sigterm(self):
        for name in BACKENDS:
            self.check(name, signal.SIGTERM, False)

    def test_on_sigint(self):
        self.check("rng_backend.py", signal.SIGINT, False)

    def test_while_a_front_end_is_there(self):
        self.check("rng_backend.py", signal.SIGTERM, True)


class WrongPlace(Example):
    def test_back_end_at_a_busy_path(self):
        first = self.serve("rng_backend.py")
        for name in BACKENDS:
            self.assert_fails(name, "--socket-path", self.socket, *self.list_arguments(name),
                              says=self.socket)
        self.assertTrue(first.is_running() and is_listening(self.socket))
        self.assertEqual(len(self.ask("rng_frontend.py")), 129)

    def test_back_end_at_a_foreign_file(self):
        for name in BACKENDS:
            self.assert_fails(name, "--socket-path", self.image, *self.list_arguments(name),
                              says=self.image)
        self.assertEqual(os.path.getsize(self.image), 1 << 20)

    def test_back_end_in_no_directory(self):
        missing = self.path("no/such/path")
        self.assert_fails("rng_backend.py", "--socket-path", missing, says=missing)

    def test_back_end_on_a_descriptor_that_is_no_socket(self):
        with open("/dev/null", "rb") as file:
            self.assert_fails("rng_backend.py", "--fd", file.fileno(), pass_fds=[file.fileno()],
                              says="socket")

    def test_back_end_that_was_killed_leaves_a_path_that_can_be_used(self):
        self.serve("rng_backend.py").stop(how=signal.SIGKILL)
        self.assertTrue(os.path.lexists(self.socket))
        self.serve("rng_backend.py")
        self.assertEqual(len(self.ask("rng_frontend.py")), 129)

    def test_missing_image(self):
        missing = self.path("missing.img")
        self.assert_fails("blk_backend.py", "--socket-path", self.socket, missing, says=missing)
        self.assertFalse(os.path.lexists(self.socket))

    def test_directory_as_an_image(self):
        self.assert_fails("blk_backend.py", "--socket-path", self.socket, self.directory,
                          says=str(self.directory))

    def test_empty_image(self):
        self.assert_fails("scsi_backend.py", "--socket-path", self.socket,
                          self.make_image(0, "empty.img"), says="less than one block")

    def test_front_end_and_nobody_there(self):
        for name in FRONTENDS:
            self.assert_fails(name, "--socket-path", self.socket, *self.list_arguments(name),
                              says=self.socket)

    def test_front_end_and_somebody_else_there(self):
        """Who answers with anything but vhost-user, or leaves."""
        for name in FRONTENDS:
            for data in (b"HTTP/1.1 400 Bad Request\r\n\r\n", b""):
                mine, its = socket.socketpair()
                with mine, its:
                    mine.send(data)
                    mine.shutdown(socket.SHUT_WR)
                    self.assert_fails(name, "--fd", its.fileno(), *self.list_arguments(name),
                                      pass_fds=[its.fileno()], says="GET_FEATURES")

    def test_front_end_and_another_device(self):
        self.serve("rng_backend.py")
        for name, words in (("blk_frontend.py", "CONFIG"), ("console_frontend.py", "2 queues")):
            self.assert_fails(name, "--socket-path", self.socket, *self.list_arguments(name),
                              says=words)
        self.assertEqual(len(self.ask("rng_frontend.py")), 129)


class Descriptors(Example):
    def test_connected(self):
        """A back-end and a front-end that somebody else introduced to each other."""
        mine, its = self.make_pair()
        child = self.spawn_python("python-examples/rng_backend.py", "--fd", its.fileno(),
                                  pass_fds=[its.fileno()])
        its.close()
        done = self.run_example("rng_frontend.py", "--fd", mine.fileno(), pass_fds=[mine.fileno()])
        self.assertEqual((done.returncode, len(done.stdout)), (0, 129), done.stderr)
        mine.close()
        self.assertEqual((child.wait(), child.read_output()), (0, ""), "it ends with its peer")

    def test_refused_peer_is_left(self):
        """The inherited descriptor is not kept open behind the session."""
        mine, its = self.make_pair()
        self.spawn_python("python-examples/rng_backend.py", "--fd", its.fileno(),
                          pass_fds=[its.fileno()])
        its.close()
        mine.send(b"\xff" * 12)
        mine.settimeout(10)
        self.assertEqual(mine.recv(1), b"")

    def test_listening(self):
        listener = socket.socket(socket.AF_UNIX)
        self.addCleanup(listener.close)
        listener.bind(self.socket)
        listener.listen()
        child = self.spawn_python("python-examples/rng_backend.py", "--fd", listener.fileno(),
                                  pass_fds=[listener.fileno()])
        listener.close()
        for _ in range(2):
            self.assertEqual(len(self.ask("rng_frontend.py")), 129)
        self.assertTrue(child.is_running())


class Entropy(Example):
    def test_gives_as_many_bytes_as_are_asked_for(self):
        self.serve("rng_backend.py")
        found = [bytes.fromhex(self.ask("rng_frontend.py", "--bytes", size))
                 for size in (1, 64, 64, 100_000)]
        self.assertEqual([len(data) for data in found], [1, 64, 64, 100_000])
        self.assertNotEqual(found[1], found[2])
        self.assertEqual(len(set(found[3])), 256)


class Console(Example):
    def serve_console(self):
        self.stdin, child_stdin = os.pipe()[::-1]
        self.output = open(self.path("console.out"), "wb+")
        self.addCleanup(self.output.close)
        self.console = subprocess.Popen(
            [sys.executable, FOLDER / "console_backend.py", "--socket-path", self.socket],
            stdin=child_stdin, stdout=self.output, stderr=subprocess.STDOUT)
        os.close(child_stdin)
        self.addCleanup(self.end_console)
        wait_for_socket(self.socket)

    def end_console(self):
        os.close(self.stdin)
        self.console.terminate()
        self.assertEqual(self.console.wait(10), 0)

    def printed(self):
        return (self.directory / "console.out").read_text()

    def test_both_directions(self):
        self.serve_console()
        os.write(self.stdin, "grüß dich\n".encode())
        self.assertEqual(self.ask("console_frontend.py", "hello there"), "grüß dich\n")
        wait_until(lambda: self.printed() == "hello there\n", "output of the console")

    def test_second_guest_gets_the_next_line(self):
        self.serve_console()
        for line in ("one\n", "two\n"):
            os.write(self.stdin, line.encode())
            self.assertEqual(self.ask("console_frontend.py", "next"), line)
        wait_until(lambda: self.printed() == "next\nnext\n", "output of the console")

    def test_end_of_input_is_not_the_end_of_the_device(self):
        child = self.serve("console_backend.py")
        self.assertTrue(child.is_running())
        self.assert_driver_is_heard(child)
        ROW.seen()

    def assert_driver_is_heard(self, child):
        frontend = Vhost.UserFrontend()
        frontend.open(self.socket, None)
        driver = Vhost.Driver(device=frontend)
        driver.start(2, 16, None)
        driver.get_queue(1).request(b"still there?\n", 0, None)
        driver.stop(None)
        frontend.close()
        wait_until(lambda: child.read_output() == "still there?\n", "output of the console")


class Graphics(Example):
    def test_display_and_file_show_the_same(self):
        self.serve("gpu_backend.py", self.path("file.png"))
        for size in ((300, 200), (65, 33)):
            self.ask("gpu_frontend.py", "--size", "{}x{}".format(*size), self.path("display.png"))
            self.assertEqual(read_png(self.path("display.png")), draw_expected(*size))
            self.assertEqual(read_png(self.path("file.png")), draw_expected(*size))

    def test_screen_of_no_size(self):
        for size in ("", "640", "x", "1x2x3"):
            done = self.run_example("gpu_frontend.py", "--socket-path", self.socket, "--size", size,
                                    self.path("display.png"))
            self.assertEqual((done.returncode, "--size" in done.stderr), (2, True), size)


class Disk(Example):
    """What blk_backend.py does, seen through blk_frontend.py and through a driver."""

    IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES = 0, 1, 4, 8, 11, 13
    OK, IOERR, UNSUPP = 0, 1, 2

    def start(self, *arguments, n_queues=1, queue=0):
        self.backend = self.serve("blk_backend.py", *arguments, self.image)
        self.frontend = Vhost.UserFrontend()
        self.frontend.open(self.socket, None)
        self.addCleanup(self.frontend.close)
        self.driver = Vhost.Driver(device=self.frontend)
        self.driver.start(n_queues, 64, None)
        return self.driver.get_queue(queue)

    def tearDown(self):
        self.driver = None
        super().tearDown()

    def read_image(self):
        with open(self.image, "rb") as file:
            return file.read()

    def request(self, queue, kind, sector, data=b"", size=0):
        """(status, bytes) of one request."""
        answer = bytes(queue.request(struct.pack("<IIQ", kind, 0, sector) + data, size + 1, None))
        return answer[-1], answer[:-1]

    def test_reads_the_same_as_the_file(self):
        for n_queues in (1, 4):
            path = self.path(f"{n_queues}.sock")
            self.serve("blk_backend.py", "--num-queues", n_queues, self.image, path=path)
            for more in ((), ("--block-size", "4096", "--depth", "1"),
                         ("--block-size", "65536", "--depth", "64")):
                done = self.run_example("blk_frontend.py", "--socket-path", path, "--compare",
                                        self.image, *more)
                self.assertEqual((done.returncode, done.stderr), (0, ""), more)
                self.assertIn(hashlib.sha256(self.read_image()).hexdigest(), done.stdout)
                self.assertTrue(re.match(r"1048576 bytes in \d+\.\d\d s", done.stdout))

    def test_a_difference_is_found(self):
        self.serve("blk_backend.py", self.image)
        other = self.make_image(1 << 20, "other.img")
        done = self.run_example("blk_frontend.py", "--socket-path", self.socket, "--compare", other)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn(other, done.stderr)

    def test_last_part_of_a_sector_is_not_there(self):
        self.image = self.make_image(10 * SECTOR + 100)
        self.start()
        self.assertEqual(struct.unpack("<Q", self.frontend.get_config(0, 8, None)), (10,))

    def test_configuration(self):
        self.start("--num-queues", "4")
        config = bytes(self.frontend.get_config(0, 60, None))
        self.assertEqual(struct.unpack_from("<Q", config, 0), (2048,))
        self.assertEqual(struct.unpack_from("<I", config, 20), (SECTOR,))
        self.assertEqual(struct.unpack_from("<H", config, 34), (4,))

    def test_writes(self):
        queue = self.start()
        data = os.urandom(8 * SECTOR)
        self.assertEqual(self.request(queue, self.OUT, 16, data), (self.OK, b""))
        self.assertEqual(self.request(queue, self.FLUSH, 0), (self.OK, b""))
        self.assertEqual(self.request(queue, self.IN, 16, size=len(data)), (self.OK, data))
        self.assertEqual(self.read_image()[16 * SECTOR:24 * SECTOR], data)

    def test_writes_on_every_queue(self):
        self.start("--num-queues", "4", n_queues=4)
        for index in range(4):
            data = bytes([index + 1]) * SECTOR
            queue = self.driver.get_queue(index)
            self.assertEqual(self.request(queue, self.OUT, index, data), (self.OK, b""))
        self.assertEqual(self.read_image()[:4 * SECTOR],
                         b"".join(bytes([n]) * SECTOR for n in (1, 2, 3, 4)))

    def test_refuses_what_is_beyond_the_end(self):
        queue = self.start()
        before = self.read_image()
        for sector in (2048, 2047, 1 << 55, (1 << 64) - 1):
            status, _ = self.request(queue, self.OUT, sector, bytes(2 * SECTOR))
            self.assertEqual(status, self.IOERR, sector)
            status, data = self.request(queue, self.IN, sector, size=2 * SECTOR)
            self.assertEqual((status, data), (self.IOERR, bytes(2 * SECTOR)), sector)
        self.assertEqual(self.read_image(), before)

    def test_refuses_parts_of_a_sector(self):
        queue = self.start()
        self.assertEqual(self.request(queue, self.OUT, 0, bytes(100))[0], self.IOERR)
        self.assertEqual(self.request(queue, self.IN, 0, size=100)[0], self.IOERR)

    def test_refuses_what_it_does_not_know(self):
        queue = self.start()
        for kind in (2, 7, 99):
            self.assertEqual(self.request(queue, kind, 0)[0], self.UNSUPP)

    def test_survives_nonsense(self):
        queue = self.start()
        self.assertEqual(bytes(queue.request(b"short", 1, None)), bytes([self.IOERR]))
        self.assertEqual(bytes(queue.request(b"no room for a status", 0, None)), b"")
        self.assertEqual(bytes(queue.request(None, 5, None)), bytes(4) + bytes([self.IOERR]))
        self.assertEqual(self.request(queue, self.DISCARD, 0, b"short")[0], self.IOERR)
        self.assertEqual(self.request(queue, self.FLUSH, 0), (self.OK, b""))
        self.assertEqual(self.backend.read_output(), "")

    def test_tells_its_name(self):
        queue = self.start()
        self.assertEqual(self.request(queue, self.GET_ID, 0, size=20),
                         (self.OK, b"disk.img".ljust(20, b"\0")))

    def test_discards_and_writes_zeroes(self):
        queue = self.start()
        before = self.read_image()
        for kind, sector, flags in ((self.DISCARD, 8, 0), (self.WRITE_ZEROES, 32, 0),
                                    (self.WRITE_ZEROES, 64, 1)):
            part = struct.pack("<QII", sector, 16, flags)
            self.assertEqual(self.request(queue, kind, 0, part), (self.OK, b""))
        expected = bytearray(before)
        for sector in (8, 32, 64):
            expected[sector * SECTOR:(sector + 16) * SECTOR] = bytes(16 * SECTOR)
        self.assertEqual(self.read_image(), bytes(expected))
        beyond = struct.pack("<QII", 2047, 2, 0)
        self.assertEqual(self.request(queue, self.DISCARD, 0, beyond)[0], self.IOERR)
        for kind, flags in ((self.DISCARD, 1), (self.WRITE_ZEROES, 2)):
            part = struct.pack("<QII", 0, 1, flags)
            self.assertEqual(self.request(queue, kind, 0, part)[0], self.UNSUPP)
        self.assertEqual(self.read_image(), bytes(expected))

    def test_tells_when_the_image_has_another_size(self):
        queue = self.start()
        told = []
        self.frontend.connect("config-changed", lambda frontend: told.append(
            struct.unpack("<Q", bytes(frontend.get_config(0, 8, None)))[0]))
        for sectors in (4096, 1024):
            os.truncate(self.image, sectors * SECTOR)
            run_loop(lambda sectors=sectors: told[-1:] == [sectors])
            self.assertEqual(self.request(queue, self.IN, sectors - 1, size=SECTOR)[0], self.OK)
            self.assertEqual(self.request(queue, self.IN, sectors, size=SECTOR)[0], self.IOERR)

    def test_read_only(self):
        queue = self.start("--read-only")
        before = self.read_image()
        self.assertTrue(self.frontend.get_features(None) & 1 << Vhost.BlkFeature.RO)
        self.assertEqual(self.request(queue, self.OUT, 0, bytes(SECTOR))[0], self.IOERR)
        part = struct.pack("<QII", 0, 1, 0)
        self.assertEqual(self.request(queue, self.WRITE_ZEROES, 0, part)[0], self.IOERR)
        self.assertEqual(self.request(queue, self.IN, 0, size=SECTOR), (self.OK, before[:SECTOR]))
        self.assertEqual(self.read_image(), before)


if __name__ == "__main__":
    unittest.main()
