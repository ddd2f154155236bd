# SPDX-License-Identifier: BSD-3-Clause
"""A Linux guest for tests: a kernel of Debian, busybox and a shell body under QEMU (TCG).

    from guest import Guest, vhost_user
    with Guest("report size $(cat /sys/block/vda/size)", modules=["virtio_blk"],
               arguments=vhost_user("/tmp/x/blk.sock", "vhost-user-blk-pci,num-queues=1")) as guest:
        guest.wait()
        print(guest.values["size"], guest.seconds)

The body runs under `sh -e`. `report NAME VALUE…` prints a marker line, `@@ NAME VALUE…`, which
arrives in `values`; the harness itself reports `exit STATUS`. A body that fails, a panic and a
guest that never powers off raise GuestError with the end of the console.

Kernels are kept in .cache/guest: fetched once, then no network is needed. Needs the packages
qemu-system-x86, busybox-static and kmod.
"""

import contextlib
import fcntl
import glob
import hashlib
import json
import lzma
import os
import re
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache" / "guest"
CLOUD, WHOLE, OLD = "cloud-amd64", "amd64", "old-cloud-amd64"  # Debian's kernels
VERSIONS = {
    CLOUD: r"6\.12\.\d+\+deb12-cloud-amd64",
    WHOLE: r"6\.12\.\d+\+deb12-amd64",  # with all drivers
    OLD: r"6\.1\.0-\d+-cloud-amd64",  # Linux 6.1
}
LIBRARIES = "/lib/x86_64-linux-gnu"
MARKER = re.compile(r"@@ (\S+) ?(.*)")
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
TAIL = 25
# A host that is busy may not tick as often as the kernel's check of its timer expects.
COMMAND_LINE = "console=ttyS0 quiet panic=-1 no_timer_check cryptomgr.notests"

INIT = """#!/bin/sh
mkdir -p /proc /sys /dev /tmp /mnt /run
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
{modules}
sh -e /body
report exit $?
sync
poweroff -f
"""


class GuestError(Exception):
    """What went wrong with a guest, or with making one."""


def find_tool(package, name):
    path = shutil.which(name, path=PATH)
    if path is None:
        raise GuestError(f"{name} is missing (package {package})")
    return path


def run_tool(package, name, *args, cwd=None):
    """Runs a host program and returns what it printed."""
    path = find_tool(package, name)
    done = subprocess.run([path, *map(str, args)], cwd=cwd, text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode != 0:
        reason = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise GuestError(f"{name} {' '.join(map(str, args))}: {reason}")
    return done.stdout


# --- the kernel ---------------------------------------------------------------------------------

class Kernel:
    """An unpacked kernel: `image`, and its modules under `directory`/lib/modules/`version`."""

    def __init__(self, directory):
        self.directory = directory
        self.version = directory.name
        self.image = directory / "vmlinuz"

    def resolve_modules(self, names):
        """The files to load for these modules, dependencies first."""
        files = {}
        for name in names:
            for line in run_tool("kmod", "modprobe", "-d", self.directory, "-S", self.version,
                                 "--show-depends", name).splitlines():
                verb, _, path = line.strip().partition(" ")
                if verb == "insmod":
                    files[Path(path.strip())] = None
        return list(files)


def find_cached_kernel(flavour):
    versions = [path for path in CACHE.glob(f"{flavour}/6.*") if (path / "vmlinuz").exists()]
    return Kernel(max(versions, key=sort_version)) if versions else None


def sort_version(path):
    return [int(number) for number in re.findall(r"\d+", str(path.name))]


def get_kernel(flavour=CLOUD):
    """The newest cached kernel; fetches one when there is none. Two tests may ask at once."""
    cached = find_cached_kernel(flavour)
    if cached:
        return cached
    CACHE.mkdir(parents=True, exist_ok=True)
    with open(CACHE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return find_cached_kernel(flavour) or fetch_kernel(flavour)


def fetch_kernel(flavour):
    for stale in CACHE.glob("fetch-*"):
        shutil.rmtree(stale)
    with tempfile.TemporaryDirectory(prefix="fetch-", dir=CACHE) as temp:
        version, deb = download_package(flavour, temp)
        tree, made = Path(temp, "tree"), Path(temp, version)
        run_tool("dpkg", "dpkg", "-x", deb, tree)
        made.mkdir()
        (tree / "lib").rename(made / "lib")
        run_tool("kmod", "depmod", "-b", made, version)
        (tree / "boot" / f"vmlinuz-{version}").rename(made / "vmlinuz")
        (CACHE / flavour).mkdir(exist_ok=True)
        made.rename(CACHE / flavour / version)
    return Kernel(CACHE / flavour / version)


def download_package(flavour, directory):
    """Downloads the newest kernel package; refreshes apt's lists once if they are empty or old."""
    try:
        return try_download(flavour, directory)
    except GuestError:
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        with contextlib.suppress(OSError):
            subprocess.run([*sudo, "apt-get", "-qq", "update"], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return try_download(flavour, directory)


def try_download(flavour, directory):
    names = run_tool("apt", "apt-cache", "search", "--names-only", "^linux-image-6.*-unsigned$")
    package = re.compile(rf"linux-image-({VERSIONS[flavour]})-unsigned")
    found = sorted({match.group(1) for match in map(package.match, names.splitlines()) if match},
                   key=lambda version: sort_version(Path(version)))
    if not found:
        raise GuestError(f"no guest kernel: apt knows no linux-image-{VERSIONS[flavour]}")
    run_tool("apt", "apt-get", "-q", "download", f"linux-image-{found[-1]}-unsigned", cwd=directory)
    return found[-1], glob.glob(f"{directory}/*.deb")[0]


# --- the initramfs ------------------------------------------------------------------------------

class Archive:
    """A cpio archive in the "newc" form, as the kernel unpacks it."""

    def __init__(self):
        self._chunks = []
        self._names = set()

    def add(self, name, data=b"", mode=stat.S_IFREG | 0o755):
        name = str(name).strip("/")
        if name in self._names or not name:
            return
        self.add(os.path.dirname(name), mode=stat.S_IFDIR | 0o755)
        self._names.add(name)
        self._append(name, data, mode)

    def add_link(self, name, target):
        self.add(name, target.encode(), stat.S_IFLNK | 0o777)

    def add_tree(self, name, source):
        """A file, or a whole directory, of the host."""
        source = Path(source)
        if not source.exists():
            raise GuestError(f"{source} is missing")
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file():
                self.add(Path(name, path.relative_to(source)), path.read_bytes())

    def add_program(self, path):
        """A program or library of the host, at the same path, and the libraries it needs."""
        self.add_tree(path, path)
        for name, library in list_libraries(path):
            self.add_tree(name if name.startswith("/") else f"{LIBRARIES}/{name}", library)

    def pack(self):
        self._append("TRAILER!!!", b"", 0)
        return b"".join(self._chunks)

    def _append(self, name, data, mode):
        encoded = name.encode() + b"\0"
        fields = (len(self._chunks) + 1, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(encoded), 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields) + encoded
        self._chunks += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]


def list_libraries(program):
    """(name, host path) of each library that ldd names; nothing for a static program."""
    done = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines() if done.returncode == 0 else ():
        match = re.match(r"\s*(\S+)(?: => (.+?))?(?: \(0x[0-9a-f]+\))?$", line)
        if match is None:
            continue  # “statically linked”: a library that needs none
        name, path = match.group(1), match.group(2) or match.group(1)
        if path == "not found":
            raise GuestError(f"{program} needs {name}, which ldd does not find")
        if path.startswith("/"):
            yield name, path


def keep_piece(kernel, key, make):
    """A part of the initramfs that stays the same from run to run, kept beside its kernel."""
    digest = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    path = kernel.directory / f"piece-{digest}.cpio"
    if not path.exists():
        with tempfile.NamedTemporaryFile(dir=kernel.directory, delete=False) as temp:
            temp.write(make().pack())
        os.rename(temp.name, path)
    return path.read_bytes()


def make_busybox_piece(busybox):
    archive = Archive()
    archive.add("/bin/busybox", Path(busybox).read_bytes())
    for applet in run_tool("busybox-static", "busybox", "--list").split():
        archive.add_link(f"/bin/{applet}", "busybox")
    archive.add("/bin/report", b'#!/bin/sh\necho "@@ $*"\n')
    return archive


def make_module_piece(files):
    archive = Archive()
    for path in files:
        data = path.read_bytes()
        archive.add(f"/modules/{name_module(path)}",
                    lzma.decompress(data) if path.suffix == ".xz" else data)
    return archive


def name_module(path):
    return path.name.removesuffix(".xz")


def make_initramfs(kernel, body, modules, programs, files):
    busybox = find_tool("busybox-static", "busybox")
    order = kernel.resolve_modules(["virtio_pci", *modules])
    load = "\n".join(f"insmod /modules/{name_module(path)}" for path in order)
    own = Archive()
    own.add("/init", INIT.format(modules=load).encode())
    own.add("/body", body.encode() + b"\n")
    for program in programs:
        own.add_program(program)
    for name, source in files.items():
        if isinstance(source, bytes):
            own.add(name, source)
        else:
            own.add_tree(name, source)
    age = os.stat(busybox).st_mtime_ns
    return (keep_piece(kernel, ("busybox", age), lambda: make_busybox_piece(busybox))
            + keep_piece(kernel, ("modules", order), lambda: make_module_piece(order))
            + own.pack())


def compile_program(name, directory):
    """Compiles tests/guest/NAME.c for the guest, and returns the program's path."""
    program = Path(directory, name)
    source = Path(__file__).with_name(f"{name}.c")
    run_tool("gcc", "gcc", "-static", "-Os", "-Wall", "-Wextra", "-Werror", "-o", program, source)
    return program


# --- the machine --------------------------------------------------------------------------------

def get_versions(flavour=CLOUD):
    """As in “QEMU 7.2.18, Linux 6.12.117+deb12-amd64”."""
    qemu = re.search(r"version ([\d.]+)", run_tool("qemu-system-x86", "qemu-system-x86_64",
                                                  "--version"))[1]
    return f"QEMU {qemu}, Linux {get_kernel(flavour).version}"


def vhost_user(socket, device, name="vhost0", reconnect=0):
    """QEMU's arguments for one vhost-user device: `device` is "TYPE[,property=value…]"."""
    chardev = f"socket,id={name},path={str(socket).replace(',', ',,')}"
    if reconnect:
        chardev += f",reconnect={reconnect}"
    return ["-chardev", chardev, "-device", f"{device},chardev={name}"]


def vhost_user_net(socket, mac, queue_pairs=1, name="net0", **properties):
    """The same for a network card: properties of virtio-net-pci, mrg_rxbuf="off", host_mtu=9000.

    Without MSI-X: with it and without KVM, QEMU 7.2 dereferences NULL when the driver starts.
    """
    if queue_pairs > 1:
        properties["mq"] = "on"
    device = "".join(f",{key}={value}" for key, value in properties.items())
    return ["-chardev", f"socket,id={name}-c,path={str(socket).replace(',', ',,')}",
            "-netdev", f"vhost-user,id={name},chardev={name}-c,queues={queue_pairs}",
            "-device", f"virtio-net-pci,netdev={name},mac={mac},romfile=,vectors=0{device}"]


class Monitor:
    """QEMU's QMP socket, at `path`."""

    def __init__(self, path, deadline=10.0):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(deadline)
        self._connect(str(path), time.monotonic() + deadline)
        self._file = self._socket.makefile("rw", encoding="utf-8")
        self._file.readline()  # the greeting
        self.call("qmp_capabilities")

    def _connect(self, path, end):
        while True:
            try:
                return self._socket.connect(path)
            except (FileNotFoundError, ConnectionRefusedError):
                if time.monotonic() > end:
                    raise GuestError(f"QEMU made no monitor at {path}") from None
                time.sleep(0.01)

    def call(self, command, **arguments):
        """What QEMU returns; events that come before it are passed over."""
        self._file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._file.flush()
        while line := self._file.readline():
            answer = json.loads(line)
            if "error" in answer:
                raise GuestError(f"{command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
        raise GuestError(f"{command}: QEMU ended")

    def close(self):
        self._file.close()
        self._socket.close()


class Guest:
    """One guest: start() boots it, wait_for() and wait() follow it, stop() ends it at any moment.

    modules    kernel modules by name; their dependencies come by themselves
    programs   host programs and libraries, copied to the same path with what ldd names
    files      {guest path: host file, host directory or bytes}
    arguments  further arguments of QEMU
    reboots    a guest that reboots goes on, in the same QEMU; else QEMU ends
    monitor    has QEMU's monitor, so that it can migrate
    incoming   does not boot, but waits for a guest that migrates
    deadline   seconds from start to power-off
    kernel     CLOUD, which is small, WHOLE, or OLD
    accel      how QEMU runs it: "tcg", or "kvm" where there is one
    """

    def __init__(self, body, modules=(), programs=(), files=None, arguments=(), memory=512, cpus=1,
                 append="", reboots=False, monitor=False, incoming=False, deadline=180.0,
                 kernel=CLOUD, accel="tcg"):
        self.lines = []
        self.values = {}
        self.seconds = 0.0
        self._what = (body, modules, programs, files or {})
        self._kind = {"memory": memory, "cpus": cpus, "append": append, "reboots": reboots,
                      "deadline": deadline, "kernel": kernel, "accel": accel}
        self._arguments = list(map(str, arguments))
        self._monitored, self._incoming = monitor, incoming
        self._monitor = None
        self._changed = threading.Condition()
        self._process = self._reader = self._directory = None
        self._started = 0.0

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        qemu = find_tool("qemu-system-x86", "qemu-system-x86_64")
        kernel = get_kernel(self._kind["kernel"])
        initramfs = b"".join(self.make_pieces(kernel)) + make_initramfs(kernel, *self._what)
        self._directory = tempfile.TemporaryDirectory(prefix="vhost-guest-")
        initrd = Path(self._directory.name, "initrd")
        initrd.write_bytes(initramfs)
        self._started = time.monotonic()
        self._process = subprocess.Popen([qemu, *self._list_arguments(kernel, initrd)],
                                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                         stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read_console, daemon=True)
        self._reader.start()
        return self

    def make_pieces(self, kernel):
        """More pieces of the initramfs, for a guest of a special kind."""
        return []

    def _list_arguments(self, kernel, initrd):
        kind, memory = self._kind, self._kind["memory"]
        extra = [] if kind["reboots"] else ["-no-reboot"]
        if self._monitored:
            extra += ["-qmp", f"unix:{self.directory}/qmp,server=on,wait=off"]
        if self._incoming:
            extra += ["-incoming", "defer", "-S"]
        return ["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
                "-M", "q35,memory-backend=ram", "-accel", kind["accel"],
                "-m", str(memory), "-smp", str(kind["cpus"]),
                "-object", f"memory-backend-memfd,id=ram,size={memory}M,share=on",
                "-kernel", str(kernel.image), "-initrd", str(initrd),
                "-append", f"{COMMAND_LINE} {kind['append']}", *extra, *self._arguments]

    def _read_console(self):
        for raw in self._process.stdout:
            line = ESCAPES.sub("", raw.decode(errors="replace")).rstrip()
            marker = MARKER.search(line)
            with self._changed:
                self.lines.append(line)
                if marker:
                    self.values[marker.group(1)] = marker.group(2)
                self._changed.notify_all()
        self._process.wait()
        with self._changed:
            self.seconds = time.monotonic() - self._started
            self._changed.notify_all()

    @property
    def directory(self):
        """Where QEMU's sockets are."""
        return self._directory.name

    @property
    def monitor(self):
        if self._monitor is None:
            self._monitor = Monitor(Path(self.directory, "qmp"))
        return self._monitor

    def make_target(self, arguments):
        """A guest like this one, with these arguments instead, for it to migrate to."""
        return Guest(*self._what, arguments, monitor=True, incoming=True, **self._kind)

    def migrate(self, target, bandwidth=1 << 30):
        """Moves to `target`, which has been started, at so many bytes a second; there it stands
        still until its monitor is told to "cont". Returns what QEMU says about the move.
        """
        uri = f"unix:{target.directory}/stream"
        target.monitor.call("migrate-incoming", uri=uri)
        self.monitor.call("migrate-set-parameters", **{"max-bandwidth": bandwidth})
        self.monitor.call("migrate", uri=uri)
        return self._follow_migration()

    def read_memory(self):
        """All of the guest's RAM. Has a meaning only while the guest does not run."""
        return self._find_memory().read_bytes()

    def write_memory(self, pieces):
        """Changes the RAM of a guest that does not run; bytes by offset."""
        with open(self._find_memory(), "r+b", 0) as file:
            for offset, data in pieces.items():
                os.pwrite(file.fileno(), data, offset)

    def _find_memory(self):
        files = Path("/proc", str(self.pid), "fd").iterdir()
        return next(file for file in files
                    if os.readlink(file).startswith("/memfd:memory-backend-memfd"))

    def _follow_migration(self):
        end = time.monotonic() + self._kind["deadline"]
        while time.monotonic() < end:
            info = self.monitor.call("query-migrate")
            if info.get("status") == "completed":
                return info
            if info.get("status") in ("failed", "cancelled"):
                raise self._explain(f"it did not migrate: {info.get('error-desc', info['status'])}")
            time.sleep(0.02)
        raise self._explain("it did not migrate in time")

    @property
    def pid(self):
        return self._process.pid

    def is_running(self):
        """Does not wait, for a caller that runs a loop of its own."""
        return not self.seconds

    def wait_for(self, name):
        """Waits until the guest reports `name`, and returns the value."""
        self._wait_until(lambda: name in self.values or not self.is_running(), f"report “{name}”")
        if name not in self.values:
            raise self._explain(f"it ended without reporting “{name}”")
        return self.values[name]

    def wait(self):
        """Waits until the guest has powered off, its body done without a failure."""
        self._wait_until(lambda: not self.is_running(), "power off")
        status = self.values.get("exit")
        if status is None:
            raise self._explain("it never reached the end of its body")
        if status != "0":
            raise self._explain(f"its body failed with status {status}")
        return self

    def stop(self):
        """Ends QEMU, if it still runs, and leaves nothing behind. May be called twice."""
        if self._monitor:
            self._monitor.close()
        if self._process:
            self._process.kill()
            self._reader.join()
            self._process.stdout.close()
        if self._directory:
            self._directory.cleanup()

    def _wait_until(self, condition, what):
        left = self._started + self._kind['deadline'] - time.monotonic()
        with self._changed:
            if self._changed.wait_for(condition, max(left, 0)):
                return
        self.stop()
        raise self._explain(f"it did not {what} within {self._kind['deadline']:g} s")

    def _explain(self, reason):
        panic = next((line for line in self.lines if "Kernel panic" in line), None)
        tail = "\n".join(f"  | {line}" for line in self.lines[-TAIL:]) or "  | (nothing)"
        return GuestError(f"guest: {panic or reason}; the end of its console:\n{tail}")
