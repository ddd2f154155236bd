# SPDX-License-Identifier: BSD-3-Clause
"""Back-ends for the tests in Python: one in this thread that is spoken to by hand, and one in a
thread of its own, for a front-end or a driver that blocks.
"""

import os
import queue
import socket
import threading

import gi

gi.require_version("Vhost", "1")
from gi.repository import Gio, GLib, Vhost  # noqa: E402
from helpers import TempDir, run_loop  # noqa: E402
from rings import WRITE, Memory, Ring  # noqa: E402
from wire import Peer, Req, pack_table  # noqa: E402

SIGNALS = ("connected", "disconnected", "features-changed", "memory-changed", "queue-started",
           "queue-stopped", "config-read", "config-written", "reset", "refused", "device-failed")


def serve_random(backend, virtqueue):
    """An entropy device."""
    while (chain := virtqueue.pop()) is not None:
        virtqueue.push(chain, chain.write(0, os.urandom(chain.get_writable_size())))
    virtqueue.notify()


def serve_echo(backend, virtqueue):
    """Gives back what it is sent, as far as there is room for it."""
    while (chain := virtqueue.pop()) is not None:
        data = chain.read(0, chain.get_readable_size())
        virtqueue.push(chain, chain.write(0, bytes(data)))
    virtqueue.notify()


class Events(list):
    """The signals of a back-end, as (name, arguments…); a queue is told by its number."""

    def __init__(self, backend):
        super().__init__()
        for name in SIGNALS:
            backend.connect(name, self._note, name)

    def _note(self, backend, *args):
        *args, name = args
        self.append((name, *(arg.get_index() if isinstance(arg, Vhost.Queue) else arg
                             for arg in args)))

    def names(self):
        return [event[0] for event in self]

    def take(self, name):
        """The arguments of the signals of this name, which are forgotten."""
        found = [event[1:] for event in self if event[0] == name]
        self[:] = [event for event in self if event[0] != name]
        return found


class Session(TempDir):
    """A test with `self.backend` in this thread, `self.peer` by hand at the other end of a socket
    pair, and `self.events`. It has begun when begin() returns.
    """

    n_queues = 1
    device_id = Vhost.DeviceId.ENTROPY

    def setUp(self):
        super().setUp()
        self.backend = self.make_backend()
        self.events = Events(self.backend)
        self.peer = self.open_pair(self.backend)

    def make_backend(self, **properties):
        backend = Vhost.UserBackend(device_id=self.device_id, n_queues=self.n_queues, **properties)
        self.addCleanup(backend.close)
        return backend

    def open_pair(self, backend):
        mine, its = socket.socketpair()
        with its:
            backend.open_fd(its.fileno())
        return self.watch(mine)

    def watch(self, sock):
        """A peer whose waiting runs the main loop, where the back-end is."""
        peer = Peer(sock, pump=run_loop)
        self.addCleanup(peer.close)
        return peer

    def make_memory(self, *args, **options):
        memory = Memory(*args, **options)
        self.addCleanup(memory.close)
        return memory

    def make_ring(self, memory, *args, **options):
        ring = Ring(memory, *args, **options)
        self.addCleanup(ring.close)
        return ring

    def begin(self, features=0, serve=serve_random):
        """Negotiates, and shares one region of memory."""
        if serve:
            self.backend.connect("kick", serve)
        self.peer.negotiate(features)
        self.memory = self.make_memory()
        self.share(self.memory)

    def share(self, *memories):
        self.peer.do(Req.SET_MEM_TABLE, pack_table(*(memory.region for memory in memories)),
                     [memory.fd for memory in memories])

    def begin_ring(self, features=0, serve=serve_random, size=8):
        """The same, and queue 0 runs."""
        self.begin(features, serve)
        self.ring = self.make_ring(self.memory, size)
        self.ring.attach(self.peer)

    def offer_room(self, ring, size=16, head=0):
        """One chain that the device may write to; returns the offset of its buffer."""
        offset = ring.end + head * 4096
        ring.describe(head, ring.memory.guest + offset, size, WRITE)
        ring.offer(head)
        ring.kick()
        return offset

    def assert_served(self, ring, size=16, head=0):
        """A chain goes through the queue and comes back with bytes in it."""
        offset = self.offer_room(ring, size, head)
        ring.memory.write(offset, bytes(size))
        run_loop(lambda: ring.used_idx == ring.avail_idx)
        self.assertIn((head, size), ring.used())
        self.assertNotEqual(ring.memory.read(offset, size), bytes(size))

    def assert_refused(self, request, *words):
        """The last request was refused, with an error that names it and has these words."""
        name = Req(request).name
        run_loop(lambda: "refused" in self.events.names())
        (number, error), = self.events.take("refused")
        self.assertEqual(number, request)
        self.assertTrue(error.message.startswith(f"{name}: "), error.message)
        for each in words:
            self.assertIn(each, error.message)
        return error


class Served:
    """A back-end that runs in a thread of its own, with a main context of its own.

    make  called in that thread, returns the back-end, which is then opened by `reach`
    """

    def __init__(self, make, reach):
        self._make, self._reach = make, reach
        self._started = queue.Queue()
        self._thread = threading.Thread(target=self._run)

    def start(self):
        self._thread.start()
        error = self._started.get()
        if error is not None:
            self._thread.join()
            raise error

    def stop(self):
        if self._thread.is_alive():
            self._context.invoke_full(GLib.PRIORITY_DEFAULT, self._loop.quit)
        self._thread.join()

    def call(self, func, *args):
        """Calls func(backend, …) in the thread of the back-end, and returns what that returns."""
        done = queue.Queue()

        def on_call():
            try:
                done.put((func(self.backend, *args), None))
            except Exception as error:
                done.put((None, error))
            return GLib.SOURCE_REMOVE
        self._context.invoke_full(GLib.PRIORITY_DEFAULT, on_call)
        result, error = done.get(timeout=10)
        if error is not None:
            raise error
        return result

    def _run(self):
        self._context = GLib.MainContext.new()
        self._context.push_thread_default()
        try:
            self._loop = GLib.MainLoop.new(self._context, False)
            self.backend = self._make()
            self._reach(self.backend)
        except Exception as error:
            self._started.put(error)
        else:
            self._started.put(None)
            self._loop.run()
            self.backend.close()
        finally:
            self.backend = None
            self._context.pop_thread_default()
            self._context = self._loop = None


def serve_at(test, path, n_queues=1, kick=serve_echo, device_id=Vhost.DeviceId.ENTROPY, set_up=None,
             **properties):
    """A Served that listens at `path` until the test is over."""
    def make():
        backend = Vhost.UserBackend(device_id=device_id, n_queues=n_queues, **properties)
        if kick:
            backend.connect("kick", kick)
        if set_up:
            set_up(backend)
        return backend
    served = Served(make, lambda backend: backend.listen(str(path)))
    served.start()
    test.addCleanup(served.stop)
    return served


class Driving(TempDir):
    """A test whose device is in a thread and whose front-end and driver are in this one."""

    def setUp(self):
        super().setUp()
        self.socket = self.path("device.sock")

    def serve(self, **options):
        self.served = serve_at(self, self.socket, **options)
        return self.served

    def open_frontend(self, **properties):
        frontend = Vhost.UserFrontend(**properties)
        frontend.open(self.socket, None)
        self.addCleanup(frontend.close)
        return frontend

    def start_driver(self, n_queues=1, size=256, frontend=None, **properties):
        driver = Vhost.Driver(device=frontend or self.open_frontend(), **properties)
        driver.start(n_queues, size, None)
        self.addCleanup(lambda: driver)  # a queue does not keep its driver alive
        return driver


def expect_error(test, code, call, *args):
    """Calls, and returns the error of this code, a Vhost.Error or a Gio.IOErrorEnum."""
    with test.assertRaises(GLib.Error) as caught:
        call(*args)
    domain = Vhost.error_quark() if isinstance(code, Vhost.Error) else Gio.io_error_quark()
    test.assertTrue(caught.exception.matches(domain, code), f"{caught.exception!r}: not {code}")
    return caught.exception
