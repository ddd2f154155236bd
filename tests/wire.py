# SPDX-License-Identifier: BSD-3-Clause
"""vhost-user spoken by hand, with nothing from the library under test: any bytes, any descriptors.

    peer = Peer(sock, pump=run_loop)         # the loop runs while an answer is waited for
    features = peer.ask_u64(Req.GET_FEATURES)
    peer.ack(Req.SET_VRING_NUM, STATE.pack(0, 256))   # 0: done, else refused
"""

import array
import collections
import contextlib
import enum
import os
import select
import socket
import struct
import threading

HEADER = struct.Struct("=III")  # request, flags, size of the payload
U64 = struct.Struct("=Q")
STATE = struct.Struct("=II")  # index, num
INFLIGHT = struct.Struct("=QQHH4x")  # size, offset, queues, descriptors of each
ADDR = struct.Struct("=IIQQQQ")  # index, flags, descriptors, used, available, log
TABLE = struct.Struct("=II")  # regions, padding; the regions follow
REGION = struct.Struct("=QQQQ")  # guest address, size, user address, file offset
SINGLE = struct.Struct("=QQQQQ")  # padding, region
CONFIG = struct.Struct("=III")  # offset, size, flags; the bytes follow
XEN_REGION = struct.Struct("=QQQQII")  # a region, flags, domain
AREA = struct.Struct("=QQQ")  # index and no-fd bit, size, offset

VERSION, REPLY, NEED_REPLY = 1, 4, 8
NO_FD = 0x100
MIGRATION = 1  # flags of SET_CONFIG
PATIENCE = 5.0  # seconds

Message = collections.namedtuple("Message", "request flags body fds")


class Req(enum.IntEnum):
    """Requests of the front-end."""
    (GET_FEATURES, SET_FEATURES, SET_OWNER, RESET_OWNER, SET_MEM_TABLE, SET_LOG_BASE, SET_LOG_FD,
     SET_VRING_NUM, SET_VRING_ADDR, SET_VRING_BASE, GET_VRING_BASE, SET_VRING_KICK,
     SET_VRING_CALL, SET_VRING_ERR, GET_PROTOCOL_FEATURES, SET_PROTOCOL_FEATURES, GET_QUEUE_NUM,
     SET_VRING_ENABLE, SEND_RARP, NET_SET_MTU, SET_BACKEND_REQ_FD, IOTLB_MSG, SET_VRING_ENDIAN,
     GET_CONFIG, SET_CONFIG, CREATE_CRYPTO_SESSION, CLOSE_CRYPTO_SESSION, POSTCOPY_ADVISE,
     POSTCOPY_LISTEN, POSTCOPY_END, GET_INFLIGHT_FD, SET_INFLIGHT_FD, GPU_SET_SOCKET,
     RESET_DEVICE, VRING_KICK, GET_MAX_MEM_SLOTS, ADD_MEM_REG, REM_MEM_REG, SET_STATUS,
     GET_STATUS, GET_SHARED_OBJECT, SET_DEVICE_STATE_FD, CHECK_DEVICE_STATE,
     GET_SHMEM_CONFIG) = range(1, 45)


class Back(enum.IntEnum):
    """Requests of the back-end, on its channel."""
    (IOTLB_MSG, CONFIG_CHANGE_MSG, VRING_HOST_NOTIFIER_MSG, VRING_CALL, VRING_ERR,
     SHARED_OBJECT_ADD, SHARED_OBJECT_REMOVE, SHARED_OBJECT_LOOKUP, SHMEM_MAP,
     SHMEM_UNMAP) = range(1, 11)


class Proto(enum.IntEnum):
    """Bit numbers of the protocol features."""
    (MQ, LOG_SHMFD, RARP, REPLY_ACK, MTU, BACKEND_REQ, CROSS_ENDIAN, CRYPTO_SESSION, PAGEFAULT,
     CONFIG, BACKEND_SEND_FD, HOST_NOTIFIER, INFLIGHT_SHMFD, RESET_DEVICE, INBAND_NOTIFICATIONS,
     CONFIGURE_MEM_SLOTS, STATUS, XEN_MMAP, SHARED_OBJECT, DEVICE_STATE, GET_VRING_BASE_INFLIGHT,
     GPA_ADDRESSES, SHMEM) = range(23)


class Feature(enum.IntEnum):
    """Bit numbers of VIRTIO features."""
    LOG_ALL, INDIRECT_DESC, EVENT_IDX, PROTOCOL_FEATURES = 26, 28, 29, 30
    VERSION_1, ACCESS_PLATFORM, RING_PACKED = 32, 33, 34


def word(*bits):
    """The feature word with these bits set."""
    return sum(1 << bit for bit in bits)


def pack(request, body=b"", flags=VERSION):
    return HEADER.pack(request, flags, len(body)) + body


def pack_table(*regions):
    return TABLE.pack(len(regions), 0) + b"".join(REGION.pack(*region) for region in regions)


def pack_config(offset, data, flags=0):
    return CONFIG.pack(offset, len(data), flags) + data


def is_readable(sock):
    return bool(select.select([sock], [], [], 0)[0])


def wait_readable(is_ready, sock):
    """The way to wait for a peer in another thread or process."""
    if not is_ready() and not select.select([sock], [], [], PATIENCE)[0]:
        raise AssertionError(f"nothing came within {PATIENCE:g} s")


class Peer:
    """One end of a vhost-user socket, with no rule but those that the test wants to keep.

    pump  runs whoever has to answer: called with a condition, returns when it holds
    """

    def __init__(self, sock, pump=None):
        self.sock = sock
        self._pump = pump or (lambda is_ready: wait_readable(is_ready, sock))

    def close(self):
        self.sock.close()

    def send(self, request, body=b"", fds=(), flags=VERSION):
        self.send_bytes(pack(request, body, flags), fds)

    def send_bytes(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.sock.sendmsg([data], rights)

    def wait(self):
        """Until there is something to receive, if only the end."""
        self._pump(lambda: is_readable(self.sock))

    def receive(self):
        """The next message, or None when the other end has closed."""
        header, fds = self._read(HEADER.size)
        if not header:
            return None
        request, flags, size = HEADER.unpack(header)
        body, more = self._read(size)
        return Message(request, flags, body, fds + more)

    def _read(self, size):
        data, fds = b"", []
        while len(data) < size:
            self.wait()
            try:
                part, more, _, _ = socket.recv_fds(self.sock, size - len(data), 8)
            except ConnectionResetError:
                part, more = b"", []
            fds += more
            if not part:
                break
            data += part
        return data, fds

    def answer(self, request, body, fds=()):
        self.send(request, body, fds, VERSION | REPLY)

    def expect(self, request):
        """The payload of the answer to this request, which must be the next message."""
        message = self.receive()
        if message is None:
            raise AssertionError(f"the connection was closed instead of answering {request!r}")
        if message[:2] != (request, VERSION | REPLY):
            raise AssertionError(f"{message} came instead of the answer to {request!r}")
        return message.body

    def ask(self, request, body=b"", fds=()):
        """Sends a request that has an answer of its own, and returns that."""
        self.send(request, body, fds)
        return self.expect(request)

    def ask_u64(self, request, body=b""):
        return U64.unpack(self.ask(request, body))[0]

    def ask_base(self, index):
        """Stops a queue."""
        answered, base = STATE.unpack(self.ask(Req.GET_VRING_BASE, STATE.pack(index, 0)))
        if answered != index:
            raise AssertionError(f"the base of queue {answered} came, not that of {index}")
        return base

    def ack(self, request, body=b"", fds=()):
        """Sends a request with need_reply, and returns what the ack says: 0, or that it failed."""
        self.send(request, body, fds, VERSION | NEED_REPLY)
        return U64.unpack(self.expect(request))[0]

    def do(self, request, body=b"", fds=()):
        """A request that must succeed."""
        if self.ack(request, body, fds) != 0:
            raise AssertionError(f"{request!r} was refused")

    def set_fd(self, request, index, fd):
        """SET_VRING_KICK, _CALL or _ERR with need_reply; returns what the ack says."""
        if fd is None:
            return self.ack(request, U64.pack(index | NO_FD))
        return self.ack(request, U64.pack(index), [fd])

    def negotiate(self, features=0, protocol=None, own=True):
        """Begins a session as QEMU does, with all protocol features that are offered but
        GPA_ADDRESSES: user addresses are not guest addresses here, unless a test says so.
        """
        self.ask(Req.GET_FEATURES)
        offered = self.ask_u64(Req.GET_PROTOCOL_FEATURES)
        if protocol is None:
            protocol = offered & ~word(Proto.GPA_ADDRESSES)
        self.send(Req.SET_PROTOCOL_FEATURES, U64.pack(protocol))
        if own:
            self.send(Req.SET_OWNER)
        self.send(Req.SET_FEATURES, U64.pack(features | word(Feature.PROTOCOL_FEATURES,
                                                             Feature.VERSION_1)))
        return offered


class FakeBackend:
    """A back-end by hand, in a thread: answers as one should, but for what `odd` says.

    features, protocol   what it offers
    odd                  {request: function(peer, message) that answers instead}
    requests             all that came, in order
    """

    def __init__(self, sock, features=0, protocol=0, odd=None):
        self.peer = Peer(sock)
        self.requests = []
        self.channel = None
        self._features, self._protocol = features, protocol
        self.odd = odd or {}
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self):
        """Leaves, and waits for the thread."""
        with contextlib.suppress(OSError):
            self.peer.sock.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self.peer.close()
        if self.channel:
            self.channel.close()
        for message in self.requests:
            for fd in message.fds:
                os.close(fd)

    def names(self):
        return [Req(message.request).name for message in self.requests]

    def find(self, request):
        """The messages with this request."""
        return [message for message in self.requests if message.request == request]

    def _run(self):
        with contextlib.suppress(OSError, AssertionError):
            while (message := self._receive()) is not None:
                self._answer(message)

    def _receive(self):
        select.select([self.peer.sock], [], [])
        return self.peer.receive()

    def _answer(self, message):
        self.requests.append(message)
        if message.request == Req.SET_BACKEND_REQ_FD:
            self.channel = Peer(socket.socket(fileno=message.fds.pop()))
        if message.request in self.odd:
            self.odd[message.request](self.peer, message)
        elif (body := self._find_body(message)) is not None:
            self.peer.answer(message.request, body)
        elif message.flags & NEED_REPLY:
            self.peer.answer(message.request, U64.pack(0))

    def _find_body(self, message):
        numbers = {Req.GET_FEATURES: self._features, Req.GET_PROTOCOL_FEATURES: self._protocol,
                   Req.GET_QUEUE_NUM: 2, Req.GET_MAX_MEM_SLOTS: 8, Req.GET_STATUS: 0}
        if message.request in numbers:
            return U64.pack(numbers[message.request])
        return message.body if message.request in (Req.GET_CONFIG, Req.GET_VRING_BASE) else None
