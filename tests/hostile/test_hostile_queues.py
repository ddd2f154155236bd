# SPDX-License-Identifier: BSD-3-Clause
"""A front-end attacks a back-end with how it sets its queues up."""

import os
import random
import unittest

from attack import Attack, count_fds
from devices import GLib
from helpers import run_idle, run_loop
from wire import ADDR, NO_FD, STATE, U64, Req

PAGE = 4096


class Setup(Attack):
    """What is rejected leaves the queue as it was: it can be started afterwards."""

    n_queues = 2

    def setUp(self):
        super().setUp()
        self.begin()
        self.ring = self.make_ring(self.memory)

    def tearDown(self):
        self.ring.attach(self.peer)
        self.assert_served(self.ring)
        self.assertFalse(self.backend.get_queue(1).is_started())
        super().tearDown()

    def reject_addr(self, *words, **moved):
        self.assert_rejected(Req.SET_VRING_ADDR, self.ring.pack_addr(**moved), words=words)

    def test_H038_index_that_is_no_queues(self):
        for index in (2, 255, 256, 0x10000, 0x10001, 0xFFFFFFFF):
            for request, num in ((Req.SET_VRING_NUM, 8), (Req.SET_VRING_BASE, 0),
                                 (Req.SET_VRING_ENABLE, 1)):
                self.assert_rejected(request, STATE.pack(index, num), words=[str(index)])
            self.assert_rejected(Req.SET_VRING_ADDR, self.ring.pack_addr(index), words=[str(index)])
            self.peer.send(Req.GET_VRING_BASE, STATE.pack(index, 0))
            self.assert_closed("refused", says=str(index))
            self.begin()
            self.ring.memory = self.memory

    def test_H038_index_of_a_descriptor(self):
        event = os.eventfd(0)
        self.addCleanup(os.close, event)
        for request in (Req.SET_VRING_KICK, Req.SET_VRING_CALL, Req.SET_VRING_ERR):
            for value in (2, 255, 0x200, 0x10000, 1 << 32, 1 << 63):
                self.assert_rejected(request, U64.pack(value), [event])
                self.assert_rejected(request, U64.pack(value | NO_FD))

    def test_H039_sizes_that_no_split_ring_has(self):
        for size in (0, 3, 6, 255, 32769, 65535, 0x10000, 0x10008, 1 << 31, 0xFFFFFFFF):
            self.assert_rejected(Req.SET_VRING_NUM, STATE.pack(0, size), words=[str(size)])

    def test_H039_base_of_more_than_16_bits(self):
        for base in (0x10000, 0x80008000, 0xFFFFFFFF):
            self.assert_rejected(Req.SET_VRING_BASE, STATE.pack(0, base), words=[f"{base:x}"])

    def test_H040_unaligned(self):
        user = self.memory.user
        for moved in ({"desc": user + 8}, {"avail": user + 0x801}, {"used": user + 0x902}):
            self.reject_addr("alignment", **moved)

    def set_size(self):
        self.peer.do(Req.SET_VRING_NUM, STATE.pack(0, self.ring.size))

    def test_H040_not_in_memory(self):
        self.set_size()
        for address in (0, 0x1000, self.memory.user - 16, self.memory.user + self.memory.size,
                        (1 << 64) - 16):
            for part in ("desc", "avail", "used"):
                self.reject_addr("0x", **{part: address})

    def test_H040_ends_outside(self):
        """The whole of each part counts, its event field too."""
        self.set_size()
        end = self.memory.user + self.memory.size
        for part, size, step in (("desc", 128, 16), ("avail", 22, 2), ("used", 70, 4)):
            for address in range(end - size // step * step, end, step):
                if address + size > end:
                    self.reject_addr("0x", **{part: address})

    def test_H040_kick_of_a_ring_that_does_not_fit_any_more(self):
        """Addresses were right for the size that was told then."""
        self.set_size()
        end = self.memory.user + self.memory.size
        self.peer.do(Req.SET_VRING_ADDR, self.ring.pack_addr(desc=end - 128))
        self.peer.do(Req.SET_VRING_NUM, STATE.pack(0, 16))
        self.assert_rejected(Req.SET_VRING_KICK, U64.pack(0), [self.ring.kick_fd], ["0x"])
        self.assertFalse(self.backend.get_queue(0).is_started())

    def test_flags_that_are_not_known(self):
        self.assert_rejected(Req.SET_VRING_ADDR, self.ring.pack_addr(flags=2), words=["flags"])

    def test_H043_descriptor_and_its_bit_disagree(self):
        for request in (Req.SET_VRING_KICK, Req.SET_VRING_CALL, Req.SET_VRING_ERR):
            self.assert_rejected(request, U64.pack(0), words=["0 file descriptors"])
            self.assert_rejected(request, U64.pack(NO_FD), [self.ring.kick_fd],
                                 ["1 file descriptors"])


class Late(Attack):
    """Memory that makes a waiting ring impossible is told as a failure of the device."""

    def test_H040_ring_that_waited_for_its_memory(self):
        self.begin()
        self.backend.close()
        self.peer = self.open_pair(self.backend)
        self.peer.negotiate()
        ring = self.make_ring(self.memory)
        nowhere = ADDR.pack(0, 0, 0x1000, 0x3000, 0x2000, 0)
        self.peer.do(Req.SET_VRING_NUM, STATE.pack(0, 8))
        self.peer.do(Req.SET_VRING_ADDR, nowhere)
        self.peer.do(Req.SET_VRING_KICK, U64.pack(0), [ring.kick_fd])
        self.share(self.memory)
        (error,), = self.events.take("device-failed")
        self.assertIn("queue 0", error.message)
        self.assertFalse(self.backend.get_queue(0).is_started())
        self.peer.do(Req.SET_VRING_ADDR, ring.pack_addr())
        self.peer.do(Req.SET_VRING_ENABLE, STATE.pack(0, 1))
        self.assert_served(ring)


class Running(Attack):
    def setUp(self):
        super().setUp()
        self.begin_ring()

    def tearDown(self):
        self.peer.do(Req.SET_VRING_KICK, U64.pack(0), [self.ring.kick_fd])
        self.assert_served(self.ring)
        super().tearDown()

    def test_H041_num_and_base_of_a_running_ring(self):
        for request, num in ((Req.SET_VRING_NUM, 4), (Req.SET_VRING_NUM, 8),
                             (Req.SET_VRING_BASE, 5)):
            self.assert_rejected(request, STATE.pack(0, num), words=["running"])

    def test_H041_addresses_of_a_running_ring(self):
        user = self.memory.user
        for moved in ({"desc": user + PAGE}, {"avail": user + PAGE}, {"used": user + PAGE}):
            self.assert_rejected(Req.SET_VRING_ADDR, self.ring.pack_addr(**moved),
                                 words=["running"])

    def test_second_kick_does_not_start_it_again(self):
        self.assert_served(self.ring)
        self.peer.do(Req.SET_VRING_KICK, U64.pack(0), [self.ring.kick_fd])
        self.assertEqual(self.events.take("queue-started"), [(0,)])

    def test_H014_saturated_call_never_blocks(self):
        for blocking in (True, False):
            self.ring.take_calls()
            os.eventfd_write(self.ring.call_fd, 0xFFFFFFFFFFFFFFFE)
            os.set_blocking(self.ring.call_fd, blocking)
            self.assert_served(self.ring)
            os.set_blocking(self.ring.call_fd, False)

    def test_H014_blocking_kick_never_blocks(self):
        os.set_blocking(self.ring.kick_fd, True)
        for _ in range(3):
            self.assert_served(self.ring)

    def test_H013_semaphore_as_a_kick_does_not_spin(self):
        fd = os.eventfd(0, os.EFD_SEMAPHORE)
        self.addCleanup(os.close, fd)
        os.eventfd_write(fd, 1 << 40)
        self.peer.do(Req.SET_VRING_KICK, U64.pack(0), [fd])
        self.assert_idle()
        self.offer_room(self.ring)
        os.eventfd_write(fd, 1)
        self.ring.wait_used((0, 16))

    def test_H013_full_pipe_as_a_kick_does_not_spin(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read), self.addCleanup(os.close, write)
        os.set_blocking(write, False)
        self.fill(write)
        self.peer.do(Req.SET_VRING_KICK, U64.pack(0), [read])
        self.assert_idle()
        self.offer_room(self.ring)
        os.write(write, bytes(8))
        self.ring.wait_used((0, 16))

    def test_H013_full_pipe_as_a_call(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read), self.addCleanup(os.close, write)
        os.set_blocking(write, False)
        self.fill(write)
        os.set_blocking(write, True)
        self.peer.do(Req.SET_VRING_CALL, U64.pack(0), [write])
        self.assert_served(self.ring)

    def test_H013_pipe_without_a_reader_as_a_call(self):
        read, write = os.pipe()
        os.close(read)
        self.peer.do(Req.SET_VRING_CALL, U64.pack(0), [write])
        os.close(write)
        self.assert_served(self.ring)

    def test_H013_pipe_without_a_writer_as_a_kick(self):
        read, write = os.pipe()
        os.close(write)
        self.peer.do(Req.SET_VRING_KICK, U64.pack(0), [read])
        os.close(read)
        self.assert_idle()

    @staticmethod
    def fill(fd):
        try:
            while True:
                os.write(fd, bytes(4096))
        except BlockingIOError:
            pass

    def assert_idle(self):
        """The loop comes to rest."""
        context = GLib.MainContext.default()
        for _ in range(100):
            if not context.iteration(False):
                return
        self.fail("the loop never comes to rest")

    def test_H096_kicks_without_end_starve_nobody(self):
        for _ in range(50):
            for _ in range(100):
                self.ring.kick()
            self.bystander.assert_serves()


class Overlapping(Attack):
    def test_H045_parts_of_a_ring_on_top_of_each_other(self):
        """Whatever is read there, no memory of ours is touched and the process lives."""
        self.begin()
        user = self.memory.user
        for n, (desc, avail, used) in enumerate(((0, 0, 0), (0, 0, 16), (0, 4, 0), (16, 0, 0),
                                                 (0, 130, 128), (64, 2, 4))):
            with self.subTest(desc=desc, avail=avail, used=used):
                ring = self.make_ring(self.memory)
                self.memory.write(0, os.urandom(512) if n % 2 else bytes(512))
                self.peer.do(Req.SET_VRING_NUM, STATE.pack(0, 8))
                self.peer.do(Req.SET_VRING_BASE, STATE.pack(0, 0))
                self.peer.do(Req.SET_VRING_ADDR, ring.pack_addr(
                    desc=user + desc, avail=user + avail, used=user + used))
                ring.give_fds(self.peer)
                self.peer.do(Req.SET_VRING_ENABLE, STATE.pack(0, 1))
                for _ in range(20):
                    ring.kick()
                    run_idle()
                self.peer.ask_base(0)


class Chaos(Attack):
    """Many sessions, each of them nonsense."""

    def test_random_messages(self):
        source = random.Random(1)
        before = count_fds()
        memory = self.make_memory()
        for _ in range(300):
            self.peer.negotiate()
            for _ in range(20):
                request = source.choice(list(Req))
                body = source.choice((source.randbytes(source.choice((0, 4, 8, 12, 16, 24, 40))),
                                      STATE.pack(source.randrange(2), source.randrange(10)),
                                      U64.pack(source.randrange(2))))
                fds = [memory.fd] * source.choice((0, 0, 0, 1, 2))
                try:
                    self.peer.send(request, body, fds, source.choice((1, 9)))
                except OSError:
                    break
                run_idle()
            self.peer.close()
            run_loop(lambda: not self.backend.is_connected())
            self.peer = self.open_pair(self.backend)
        self.peer.close()
        self.backend.close()
        self.assertLessEqual(count_fds(), before)
        self.peer = self.open_pair(self.backend)


if __name__ == "__main__":
    unittest.main()
