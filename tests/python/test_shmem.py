# SPDX-License-Identifier: BSD-3-Clause
"""Shared memory regions: windows into which the back-end has files mapped."""

import os
import select
import struct
import threading
import unittest

from asking import ACKED, Asking, Channel, Impersonated, make_file
from devices import Vhost, expect_error
from peers import Row
from wire import NEED_REPLY, U64, VERSION, Back, Proto, Req, word

ROW = Row("front-end, back-end", "this library",
          "shared memory regions: their sizes, maps and unmaps")

ERROR = Vhost.Error
PAGE = os.sysconf("SC_PAGESIZE")
MAP = struct.Struct("=B7xQQQQ")  # shmid, fd offset, shm offset, len, flags
SIZES = struct.Struct("=II256Q")
MAX_MAPPINGS = 1024


def pack_map(shmid=1, fd_offset=0, shm_offset=0, length=PAGE, flags=0):
    return MAP.pack(shmid, fd_offset, shm_offset, length, flags)


def pack_config(sizes, n=None):
    return SIZES.pack(len(sizes) if n is None else n, 0, *(sizes.get(i, 0) for i in range(256)))


def count_maps():
    with open("/proc/self/maps", encoding="ascii") as maps:
        return sum(1 for _ in maps)


class BothEnds(Asking):
    def setUp(self):
        super().setUp()
        self.begin(set_up=lambda backend: (backend.set_shmem_size(1, 16 * PAGE),
                                           backend.set_shmem_size(255, PAGE)))
        self.sizes = self.frontend.get_shmem_config(None)
        self.run_queue()
        self.seen = []
        self.frontend.connect("shmem-mapped", lambda _, *args: self.seen.append(("map", *args)))
        self.frontend.connect("shmem-unmapped", lambda _, *args: self.seen.append(("unmap", *args)))
        self.fd = make_file(self, b"a" * PAGE + b"b" * PAGE)

    def test_regions_are_told(self):
        self.assertEqual([(i, size) for i, size in enumerate(self.sizes) if size],
                         [(1, 16 * PAGE), (255, PAGE)])
        self.assertEqual(self.frontend.get_shmem_config(None), self.sizes)

    def test_maps_and_unmaps(self):
        self.assertTrue(self.ask("shmem_map", 1, self.fd, PAGE, 2 * PAGE, PAGE, False))
        self.assertEqual(self.seen, [("map", 1, 2 * PAGE, PAGE, False)])
        self.assertEqual(bytes(self.frontend.read_shmem(1, 2 * PAGE, 3)), b"bbb")
        self.assertEqual(self.frontend.count_shmem_mappings(1), 1)
        self.assertTrue(self.ask("shmem_unmap", 1, 2 * PAGE, PAGE))
        self.assertEqual(self.seen[1:], [("unmap", 1, 2 * PAGE, PAGE)])
        expect_error(self, ERROR.BAD_ADDRESS, self.frontend.read_shmem, 1, 2 * PAGE, 3)

    def test_writable_mapping_is_shared(self):
        self.ask("shmem_map", 1, self.fd, 0, 0, 2 * PAGE, True)
        self.frontend.write_shmem(1, PAGE - 1, b"xyz")
        self.assertEqual(os.pread(self.fd, 4, PAGE - 2), b"axyz")

    def test_reads_across_mappings_and_not_beyond(self):
        self.ask("shmem_map", 1, self.fd, PAGE, 0, PAGE, False)
        self.ask("shmem_map", 1, self.fd, 0, PAGE, PAGE, False)
        self.assertEqual(bytes(self.frontend.read_shmem(1, PAGE - 1, 2)), b"ba")
        for offset, size in ((PAGE, PAGE + 1), (16 * PAGE - 1, 2), (1 << 63, 1)):
            expect_error(self, ERROR.BAD_ADDRESS, self.frontend.read_shmem, 1, offset, size)
        expect_error(self, ERROR.BAD_ADDRESS, self.frontend.write_shmem, 1, 0, b"x")

    def test_all_go_on_reset_and_at_the_end(self):
        for offset in (0, 3 * PAGE):
            self.ask("shmem_map", 1, self.fd, 0, offset, PAGE, False)
        self.frontend.reset(None)
        self.assertEqual(self.frontend.count_shmem_mappings(1), 0)
        self.assertEqual(sorted(self.seen[2:]),
                         [("unmap", 1, 0, PAGE), ("unmap", 1, 3 * PAGE, PAGE)])
        expect_error(self, ERROR.BAD_ADDRESS, self.frontend.read_shmem, 1, 0, 1)
        self.seen.clear()
        self.driver.stop(None)
        self.run_queue()
        self.ask("shmem_map", 1, self.fd, 0, 0, PAGE, False)
        self.frontend.close()
        self.assertEqual(self.seen[-1], ("unmap", 1, 0, PAGE))

    def test_back_end_checks_first(self):
        for args in ((1, 0, 0, 0), (1, 0, 16 * PAGE, PAGE), (1, 1, 0, PAGE), (1, 0, 1, PAGE),
                     (1, 0, 0, PAGE + 1), (2, 0, 0, PAGE), (256, 0, 0, PAGE),
                     (1, (1 << 64) - PAGE, 0, PAGE), (1, 0, (1 << 64) - PAGE, 2 * PAGE)):
            shmid, fd_offset, shm_offset, length = args
            with self.subTest(args):
                self.assert_fails(ERROR.INVALID_VALUE, "shmem_map", shmid, self.fd, fd_offset,
                                  shm_offset, length, False)
        self.assert_fails(ERROR.BAD_FDS, "shmem_map", 1, -1, 0, 0, PAGE, False)

    def test_front_end_refuses_overlap_and_what_is_not_whole(self):
        self.ask("shmem_map", 1, self.fd, 0, 2 * PAGE, 2 * PAGE, False)
        for offset, length in ((PAGE, 2 * PAGE), (3 * PAGE, PAGE), (2 * PAGE, 2 * PAGE)):
            self.assert_fails(ERROR.REFUSED, "shmem_map", 1, self.fd, 0, offset, length, False)
        for offset, length in ((2 * PAGE, PAGE), (3 * PAGE, PAGE), (0, 16 * PAGE)):
            self.assert_fails(ERROR.REFUSED, "shmem_unmap", 1, offset, length)
        self.assertEqual(bytes(self.frontend.read_shmem(1, 3 * PAGE, 1)), b"b")

    def test_regions_stay_while_a_front_end_is_there(self):
        with self.assertRaises(Exception) as caught:
            self.served.call(lambda backend: backend.set_shmem_size(3, PAGE))
        self.assertTrue(caught.exception.matches(Vhost.error_quark(), ERROR.BAD_STATE))
        ROW.seen()


class Waiting(Asking):
    def test_mapping_is_made_while_a_main_request_waits(self):
        """The chain that needs it is in flight while its queue is stopped: neither side hangs."""
        done, seen, popped = [], [], threading.Event()

        def on_kick(backend, queue):
            chain = queue.pop()

            def on_mapped(backend, result):
                done.append(backend.shmem_map_finish(result))
                queue.push(chain, 0)
            if chain is not None:
                backend.shmem_map_async(1, fd, 0, 0, PAGE, False, None, on_mapped)
                popped.set()
        fd = make_file(self, b"a" * PAGE)
        self.begin(kick=on_kick, set_up=lambda backend: backend.set_shmem_size(1, PAGE))
        self.frontend.get_shmem_config(None)
        self.frontend.connect("shmem-mapped", lambda frontend, shmid, *args: seen.append(
            bytes(frontend.read_shmem(shmid, 0, 2))))
        self.run_queue()
        queue = self.driver.get_queue(0)
        queue.add(None, 16)
        queue.kick()
        self.assertTrue(popped.wait(5))
        self.driver.stop(None)
        self.assertEqual((done, seen), ([True], [b"aa"]))


class Offer(Channel):
    def test_only_with_a_region(self):
        self.assertFalse(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES) & word(Proto.SHMEM))
        self.backend.close()
        self.backend.set_shmem_size(0, PAGE)
        self.peer = self.open_pair(self.backend)
        self.assertTrue(self.peer.ask_u64(Req.GET_PROTOCOL_FEATURES) & word(Proto.SHMEM))
        self.peer.negotiate()
        self.assertEqual(self.peer.ask(Req.GET_SHMEM_CONFIG), pack_config({0: PAGE}))

    def test_refuses_odd_sizes(self):
        self.backend.close()
        for shmid, size in ((256, PAGE), (0, PAGE + 1), (0, 1)):
            expect_error(self, ERROR.INVALID_VALUE, self.backend.set_shmem_size, shmid, size)

    def test_message(self):
        self.backend.close()
        self.backend.set_shmem_size(7, PAGE)
        self.peer = self.open_pair(self.backend)
        self.begin_ring()
        self.open_channel()
        fd = make_file(self, bytes(PAGE))
        done = self.start("shmem_map", 7, fd, 0, 0, PAGE, True)
        message = self.channel.receive()
        self.assertEqual(message[:3], (Back.SHMEM_MAP, VERSION | NEED_REPLY,
                                       pack_map(7, flags=1)))
        os.close(message.fds.pop())
        self.channel.answer(Back.SHMEM_MAP, U64.pack(0))
        self.expect_result(done)

    def test_needs_descriptors_on_the_channel(self):
        self.backend.close()
        self.backend.set_shmem_size(7, PAGE)
        self.peer = self.open_pair(self.backend)
        negotiate = self.peer.negotiate
        self.peer.negotiate = lambda features: negotiate(
            features, protocol=word(Proto.SHMEM, Proto.REPLY_ACK, Proto.BACKEND_REQ))
        self.begin_ring()
        self.open_channel()
        done = self.start("shmem_map", 7, make_file(self, bytes(PAGE)), 0, 0, PAGE, True)
        self.assertIn("BACKEND_SEND_FD", self.expect_failure(done, ERROR.NOT_NEGOTIATED).message)


class HostileBackend(Impersonated):
    def open(self, config=None, **options):
        config = config or [pack_config({1: 16 * PAGE})]

        def answer(peer, message):
            peer.answer(message.request, config[0] if len(config) == 1 else config.pop(0))
        super().open(answers={Req.GET_SHMEM_CONFIG: answer}, **options)

    def setUp(self):
        super().setUp()
        self.fd = make_file(self, b"x" * (4 * PAGE))

    def map(self, fds=None, **values):
        return self.request(Back.SHMEM_MAP, pack_map(**values), [self.fd] if fds is None else fds)

    def begin(self, **options):
        self.open(**options)
        self.frontend.get_shmem_config(None)

    def test_before_the_regions_are_known_nothing_is_mapped(self):
        self.open()
        self.assertNotEqual(self.map(), 0)
        self.frontend.get_shmem_config(None)
        self.assertEqual(self.map(), 0)

    def test_H087_regions_that_make_no_sense(self):
        for config in (pack_config({1: PAGE + 1}), pack_config({1: PAGE}, n=2),
                       pack_config({1: PAGE}, n=0), pack_config({1: (1 << 64) - 1})):
            self.open(config=[config])
            expect_error(self, ERROR.INVALID_VALUE, self.frontend.get_shmem_config, None)
            self.assertNotEqual(self.map(), 0)

    def test_regions_that_change(self):
        self.open(config=[pack_config({1: PAGE}), pack_config({1: 2 * PAGE})])
        self.frontend.get_shmem_config(None)
        expect_error(self, ERROR.PROTOCOL, self.frontend.get_shmem_config, None)

    def test_H090_region_that_fits_no_address_space(self):
        self.begin(config=[pack_config({1: (1 << 64) - PAGE, 2: 1 << 62})])
        for shmid in (1, 2):
            self.assertNotEqual(self.map(shmid=shmid), 0)
        self.assertTrue(self.frontend.is_open())

    def test_H090_ranges(self):
        self.begin()
        top = (1 << 64) - PAGE
        for values in ({"shmid": 0}, {"shmid": 255}, {"length": 0}, {"length": 17 * PAGE},
                       {"shm_offset": 16 * PAGE}, {"shm_offset": top}, {"fd_offset": top},
                       {"shm_offset": top, "length": 2 * PAGE}, {"length": top},
                       {"shm_offset": 1}, {"fd_offset": 1}, {"length": PAGE - 1},
                       {"length": 5 * PAGE}, {"fd_offset": 4 * PAGE}, {"flags": 2},
                       {"flags": 1 << 63}, {"fd_offset": 1 << 62}):
            with self.subTest(values):
                self.assertNotEqual(self.map(**values), 0)
        self.assertEqual(self.frontend.count_shmem_mappings(1), 0)
        self.assertEqual(self.map(), 0)

    def test_H010_descriptors_missing_surplus_and_of_the_wrong_kind(self):
        self.begin()
        reader, writer = os.pipe()
        event = os.eventfd(0)
        directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        epoll = select.epoll()
        for fd in (reader, writer, event, directory):
            self.addCleanup(os.close, fd)
        self.addCleanup(epoll.close)
        for fds in ([], [self.fd, self.fd], [reader], [writer], [event], [directory],
                    [epoll.fileno()]):
            with self.subTest(fds):
                self.assertNotEqual(self.map(fds=fds), 0)
        self.assertNotEqual(self.request(Back.SHMEM_UNMAP, pack_map(), [self.fd]), 0)
        self.assertEqual(self.map(), 0)

    def test_read_only_file_is_not_mapped_writable(self):
        self.begin()
        fd = os.open(f"/proc/self/fd/{self.fd}", os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.assertNotEqual(self.map(fds=[fd], flags=1), 0)
        self.assertEqual(self.map(fds=[fd]), 0)

    def test_H090_storm_is_bounded_and_leaves_no_mapping(self):
        self.begin(config=[pack_config({1: 2 * MAX_MAPPINGS * PAGE})])
        before = count_maps()
        results = [self.map(shm_offset=i * PAGE, fd_offset=i % 2 * PAGE)
                   for i in range(MAX_MAPPINGS + 16)]
        self.assertEqual(results.count(0), MAX_MAPPINGS)
        self.assertEqual(self.frontend.count_shmem_mappings(1), MAX_MAPPINGS)
        self.frontend.close()
        self.assertLess(count_maps() - before, 16)

    def test_H018_mapping_and_unmapping_10000_times(self):
        self.begin()
        self.assertEqual(self.map(), 0)
        before = count_maps()
        for _ in range(5000):
            self.assertEqual(self.request(Back.SHMEM_UNMAP, pack_map()), 0)
            self.assertEqual(self.map(), 0)
        self.assertLess(count_maps() - before, 8)

    def test_H029_file_shrinks_behind_the_mapping(self):
        self.begin()
        self.assertEqual(self.map(length=2 * PAGE, flags=1), 0)
        os.ftruncate(self.fd, 0)
        expect_error(self, ERROR.BAD_MEMORY, self.frontend.read_shmem, 1, PAGE, 4)
        expect_error(self, ERROR.BAD_MEMORY, self.frontend.write_shmem, 1, 0, b"x")
        self.assertEqual(self.request(Back.SHMEM_UNMAP, pack_map(length=2 * PAGE)), 0)

    def test_not_negotiated_is_refused(self):
        for bit in (Proto.SHMEM, Proto.BACKEND_SEND_FD):
            self.open(protocol=ACKED & ~word(bit))
            if bit == Proto.BACKEND_SEND_FD:
                self.frontend.get_shmem_config(None)
            self.assertNotEqual(self.map(), 0)

    def test_reset_from_inside_the_signal(self):
        self.begin()
        self.frontend.connect("shmem-mapped", lambda frontend, *args: frontend.close())
        self.channel.send(Back.SHMEM_MAP, pack_map(), [self.fd])
        self.assert_channel_closed()


if __name__ == "__main__":
    unittest.main()
