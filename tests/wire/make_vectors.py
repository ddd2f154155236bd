# SPDX-License-Identifier: BSD-3-Clause
"""Makes vectors.txt: each vhost-user message once, byte for byte, from the specification alone.

`make_vectors.py` prints the file. A line has seven fields between tabs: whose request (frontend,
backend), its name, "request" or "reply", protocol features in force (hexadecimal), number of file
descriptors, the bytes of the message (hexadecimal), and the line that shows it.
"""

import struct
import sys

VERSION, REPLY, NEED_REPLY = 1, 4, 8
LOG_SHMFD, XEN_MMAP = 1 << 1, 1 << 17

FRONTEND = """
GET_FEATURES SET_FEATURES SET_OWNER RESET_OWNER SET_MEM_TABLE SET_LOG_BASE SET_LOG_FD SET_VRING_NUM
SET_VRING_ADDR SET_VRING_BASE GET_VRING_BASE SET_VRING_KICK SET_VRING_CALL SET_VRING_ERR
GET_PROTOCOL_FEATURES SET_PROTOCOL_FEATURES GET_QUEUE_NUM SET_VRING_ENABLE SEND_RARP NET_SET_MTU
SET_BACKEND_REQ_FD IOTLB_MSG SET_VRING_ENDIAN GET_CONFIG SET_CONFIG CREATE_CRYPTO_SESSION
CLOSE_CRYPTO_SESSION POSTCOPY_ADVISE POSTCOPY_LISTEN POSTCOPY_END GET_INFLIGHT_FD SET_INFLIGHT_FD
GPU_SET_SOCKET RESET_DEVICE VRING_KICK GET_MAX_MEM_SLOTS ADD_MEM_REG REM_MEM_REG SET_STATUS
GET_STATUS GET_SHARED_OBJECT SET_DEVICE_STATE_FD CHECK_DEVICE_STATE GET_SHMEM_CONFIG
""".split()

BACKEND = """
IOTLB_MSG CONFIG_CHANGE_MSG VRING_HOST_NOTIFIER_MSG VRING_CALL VRING_ERR SHARED_OBJECT_ADD
SHARED_OBJECT_REMOVE SHARED_OBJECT_LOOKUP SHMEM_MAP SHMEM_UNMAP
""".split()

UUID = bytes.fromhex("00112233445566778899aabbccddeeff")
UUID_TEXT = "uuid=00112233-4455-6677-8899-aabbccddeeff"

lines = []


def add(role, name, flags=VERSION, body=b"", text="", fds=0, features=0):
    number = {"frontend": FRONTEND, "backend": BACKEND}[role].index(name) + 1
    reply = flags & REPLY
    shown = name + (" reply" if reply else "") + (" " + text if text else "")
    if flags & NEED_REPLY:
        shown += ", need_reply"
    if fds:
        shown += f", {fds} fd{'s' * (fds > 1)} ({', '.join(['eventfd'] * fds)})"
    message = struct.pack("=III", number, flags, len(body)) + body
    lines.append((role, name, "reply" if reply else "request", f"{features:x}", str(fds),
                  message.hex(), shown))


def ask(name, body=b"", text="", **more):
    add("frontend", name, VERSION, body, text, **more)


def answer(name, body=b"", text="", **more):
    add("frontend", name, VERSION | REPLY, body, text, **more)


def ack(name, result=0, **more):
    answer(name, u64(result), f"value={result}", **more)


def u64(value):
    return struct.pack("=Q", value)


def state(index, num):
    return struct.pack("=II", index, num), f"index={index} num={num}"


def region(gpa, size, uva, offset, prefix=""):
    text = (f"{prefix}guest_address=0x{gpa:x} {prefix}size=0x{size:x} "
            f"{prefix}user_address=0x{uva:x} {prefix}mmap_offset=0x{offset:x}")
    return struct.pack("=QQQQ", gpa, size, uva, offset), text


def table(regions, xen=None):
    body, texts = struct.pack("=II", len(regions), 0), [f"n_regions={len(regions)}"]
    for i, one in enumerate(regions):
        data, text = region(*one, prefix=f"region[{i}].")
        if xen:
            data += struct.pack("=II", *xen)
            text += f" region[{i}].xen_flags=0x{xen[0]:x} region[{i}].xen_domid={xen[1]}"
        body, texts = body + data, texts + [text]
    return body, " ".join(texts)


def config(offset, flags, data):
    shown = " data=" + data[:16].hex() + ("…" if len(data) > 16 else "") if data else ""
    return (struct.pack("=III", offset, len(data), flags) + data,
            f"offset={offset} size={len(data)} flags=0x{flags:x}{shown}")


def iotlb(iova, size, uva, perm, kind):
    return (struct.pack("=QQQBB6x", iova, size, uva, perm, kind),
            f"iova=0x{iova:x} size=0x{size:x} user_address=0x{uva:x} perm={perm} type={kind}")


def inflight(size, offset, queues, queue_size):
    return (struct.pack("=QQHH4x", size, offset, queues, queue_size),
            f"mmap_size=0x{size:x} mmap_offset=0x{offset:x} "
            f"num_queues={queues} queue_size={queue_size}")


def crypto(session):
    return struct.pack("=Q1056xq", 1, session), f"op_code=1 session_id={session}"


def shmem_map(shmid, fd_offset, shm_offset, length, flags):
    return (struct.pack("=B7xQQQQ", shmid, fd_offset, shm_offset, length, flags),
            f"shmid={shmid} fd_offset=0x{fd_offset:x} shm_offset=0x{shm_offset:x} len=0x{length:x} "
            f"flags=0x{flags:x}")


def make_setup():
    ask("GET_FEATURES")
    answer("GET_FEATURES", u64(1 << 32 | 1 << 30 | 1 << 26),
           "features=0x144000000 (LOG_ALL, PROTOCOL_FEATURES, VERSION_1)")
    ask("SET_FEATURES", u64(1 << 34 | 1 << 32),
        "features=0x500000000 (VERSION_1, RING_PACKED)")
    add("frontend", "SET_FEATURES", VERSION | NEED_REPLY, u64(0), "features=0x0")
    ack("SET_FEATURES")
    ask("SET_OWNER")
    ack("SET_OWNER", 1)
    ask("RESET_OWNER")
    ask("GET_PROTOCOL_FEATURES")
    answer("GET_PROTOCOL_FEATURES", u64(0x8 | 1 << 22 | 1 << 40),
           "features=0x10000400008 (REPLY_ACK, SHMEM, bit 40)")
    ask("SET_PROTOCOL_FEATURES", u64(0x200b),
        "features=0x200b (MQ, LOG_SHMFD, REPLY_ACK, RESET_DEVICE)")
    ask("GET_QUEUE_NUM")
    answer("GET_QUEUE_NUM", u64(256), "value=256")
    ask("SET_BACKEND_REQ_FD", fds=1)
    ask("GPU_SET_SOCKET", fds=1)
    ask("RESET_DEVICE")
    ask("SET_STATUS", u64(15), "value=15")
    ask("GET_STATUS")
    answer("GET_STATUS", u64(11), "value=11")
    ask("SEND_RARP", b"\x52\x54\x00\x12\x34\x56\x00\x00", f"value={0x563412005452}")
    ask("NET_SET_MTU", u64(9000), "value=9000")
    ack("NET_SET_MTU", 22)


def make_memory():
    low = (0, 0xa0000, 0x7f0000000000, 0)
    high = (0x100000000, 0x40000000, 0x7f1000000000, 0x1000)
    ask("SET_MEM_TABLE", *table([low]), fds=1)
    ask("SET_MEM_TABLE", *table([low, high]), fds=2)
    ask("SET_MEM_TABLE", *table([(i << 30, 1 << 30, i << 40, i << 12) for i in range(8)]), fds=8)
    ask("SET_MEM_TABLE", *table([low, high], xen=(0x101, 7)), fds=2, features=XEN_MMAP)
    ack("SET_MEM_TABLE")
    data, text = region(*high)
    ask("ADD_MEM_REG", u64(0) + data, text, fds=1)
    ask("ADD_MEM_REG", u64(0) + data + struct.pack("=II", 2, 5),
        text + " xen_flags=0x2 xen_domid=5", fds=1, features=XEN_MMAP)
    ask("REM_MEM_REG", u64(0) + data, text)
    ask("REM_MEM_REG", u64(0) + data, text, fds=1)
    ask("GET_MAX_MEM_SLOTS")
    answer("GET_MAX_MEM_SLOTS", u64(509), "value=509")
    log, text = struct.pack("=QQ", 0x8000, 0x1000), "mmap_size=0x8000 mmap_offset=0x1000"
    ask("SET_LOG_BASE", log, text, fds=1, features=LOG_SHMFD)
    ask("SET_LOG_BASE", log, text)
    ask("SET_LOG_BASE", u64(4096), "value=4096")
    answer("SET_LOG_BASE", features=LOG_SHMFD)
    answer("SET_LOG_BASE", u64(0), "value=0", features=LOG_SHMFD)
    answer("SET_LOG_BASE", log, text, features=LOG_SHMFD)
    ask("SET_LOG_FD", fds=1)
    ask("IOTLB_MSG", *iotlb(0x1000, 0x2000, 0x7f0000003000, 3, 2))
    ack("IOTLB_MSG", 0)
    ask("POSTCOPY_ADVISE")
    answer("POSTCOPY_ADVISE", fds=1)
    ask("POSTCOPY_LISTEN")
    ack("POSTCOPY_LISTEN")
    ask("POSTCOPY_END")
    ack("POSTCOPY_END")
    ask("GET_SHMEM_CONFIG")
    sizes = [0] * 256
    sizes[0], sizes[255] = 0x1000, 0x40000000
    answer("GET_SHMEM_CONFIG", struct.pack("=II256Q", 2, 0, *sizes),
           "n_regions=2 memory_sizes[0]=0x1000 memory_sizes[255]=0x40000000")


def make_rings():
    ask("SET_VRING_NUM", *state(0, 256))
    ask("SET_VRING_ADDR", struct.pack("=IIQQQQ", 1, 1, 0x1000, 0x3000, 0x2000, 0x5000),
        "index=1 flags=0x1 desc=0x1000 used=0x3000 avail=0x2000 log=0x5000")
    ask("SET_VRING_BASE", *state(1, 0x80008000))
    ask("GET_VRING_BASE", *state(3, 0))
    answer("GET_VRING_BASE", *state(3, 65535))
    ask("SET_VRING_KICK", u64(2), "index=2", fds=1)
    ask("SET_VRING_KICK", u64(0x102), "index=2 nofd=1")
    ask("SET_VRING_CALL", u64(255), "index=255", fds=1)
    ask("SET_VRING_CALL", u64(0x1ff), "index=255 nofd=1")
    ask("SET_VRING_ERR", u64(0), "index=0", fds=1)
    ask("SET_VRING_ERR", u64(0x100), "index=0 nofd=1")
    add("frontend", "SET_VRING_ENABLE", VERSION | NEED_REPLY, *state(0, 1))
    ask("SET_VRING_ENDIAN", *state(0, 1))
    ask("VRING_KICK", *state(7, 0))
    ask("GET_INFLIGHT_FD", *inflight(0, 0, 4, 128))
    answer("GET_INFLIGHT_FD", *inflight(0x8400, 0, 4, 128), fds=1)
    answer("GET_INFLIGHT_FD", *inflight(0, 0, 4, 128))
    ask("SET_INFLIGHT_FD", *inflight(0x8400, 64, 4, 128), fds=1)


def make_device():
    ask("GET_CONFIG", *config(0, 0, bytes(60)))
    answer("GET_CONFIG", *config(0, 0, bytes(range(60))))
    answer("GET_CONFIG", *config(0, 0, b""))
    answer("GET_CONFIG")
    ask("GET_CONFIG", *config(0, 0, bytes(256)))
    ask("SET_CONFIG", *config(32, 1, b"\1"))
    ask("CREATE_CRYPTO_SESSION", *crypto(0))
    answer("CREATE_CRYPTO_SESSION", *crypto(-1))
    ask("CLOSE_CRYPTO_SESSION", u64(5), "value=5")
    ask("GET_SHARED_OBJECT", UUID, UUID_TEXT)
    answer("GET_SHARED_OBJECT", fds=1)
    answer("GET_SHARED_OBJECT")
    ask("SET_DEVICE_STATE_FD", struct.pack("=II", 1, 0), "direction=1 phase=0", fds=1)
    answer("SET_DEVICE_STATE_FD", u64(0x100), "value=256")
    answer("SET_DEVICE_STATE_FD", u64(0), "value=0", fds=1)
    ask("CHECK_DEVICE_STATE")
    answer("CHECK_DEVICE_STATE", u64(0), "value=0")


def make_backend():
    def request(name, body=b"", text="", **more):
        add("backend", name, VERSION, body, text, **more)

    request("IOTLB_MSG", *iotlb(0x1000, 0, 0, 1, 1))
    add("backend", "IOTLB_MSG", VERSION | REPLY, u64(0), "value=0")
    add("backend", "CONFIG_CHANGE_MSG", VERSION | NEED_REPLY)
    request("VRING_HOST_NOTIFIER_MSG", struct.pack("=QQQ", 1, 4096, 0),
            "index=1 size=0x1000 offset=0x0", fds=1)
    request("VRING_HOST_NOTIFIER_MSG", struct.pack("=QQQ", 0x101, 0, 0),
            "index=1 nofd=1 size=0x0 offset=0x0")
    request("VRING_CALL", *state(0, 0))
    request("VRING_ERR", *state(1, 0))
    request("SHARED_OBJECT_ADD", UUID, UUID_TEXT)
    request("SHARED_OBJECT_REMOVE", UUID, UUID_TEXT)
    request("SHARED_OBJECT_LOOKUP", UUID, UUID_TEXT)
    add("backend", "SHARED_OBJECT_LOOKUP", VERSION | REPLY, u64(0), "value=0", fds=1)
    add("backend", "SHARED_OBJECT_LOOKUP", VERSION | REPLY, u64(2), "value=2")
    request("SHMEM_MAP", *shmem_map(3, 0x1000, 0x2000, 0x3000, 1), fds=1)
    request("SHMEM_UNMAP", *shmem_map(3, 0, 0x2000, 0x3000, 0))


def make():
    """The whole file as text."""
    lines.clear()
    for part in (make_setup, make_memory, make_rings, make_device, make_backend):
        part()
    return "".join("\t".join(line) + "\n" for line in lines)


if __name__ == "__main__":
    sys.stdout.reconfigure(encoding="utf-8")
    sys.stdout.write(make())
