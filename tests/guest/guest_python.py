# SPDX-License-Identifier: BSD-3-Clause
"""Python with this library inside a guest: the host's interpreter, gi, typelibs and this build.

    from guest_python import PythonGuest
    with PythonGuest("inside_net.py", modules=["vhost_net", "tun"]) as guest:
        guest.wait()
        print(guest.values["frames"])

The script lies beside this file. It sees the Python files of tests/guest, tests and
python-examples, and the modules of the standard library named below. It reports as a body does:
report("NAME", VALUE), from inside.py. An exception ends the guest with GuestError.
"""

import functools
import json
import os
import py_compile
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from guest import LIBRARIES, ROOT, Archive, Guest, keep_piece, list_libraries

BUILD = Path(os.environ.get("MESON_BUILD_ROOT", ROOT / "build"))
MODULES = """argparse array contextlib copy ctypes encodings.ascii encodings.idna encodings.latin_1
    enum errno fcntl fnmatch functools hashlib io itertools json math mmap os pathlib
    platform random re select selectors shutil signal socket stat statistics string struct
    subprocess sys tempfile threading time traceback unittest weakref zlib
    gi.repository.GLib gi.repository.Gio gi.repository.GObject""".split()
TYPELIBS = ["GLib-2.0", "GObject-2.0", "GModule-2.0", "Gio-2.0"]
TYPELIB_FOLDER = Path("/usr/lib/x86_64-linux-gnu/girepository-1.0")
FOLDERS = [ROOT / "tests" / "guest", ROOT / "tests", ROOT / "python-examples"]
LIBRARY = f"{LIBRARIES}/libvhost-1.so.0"

ENVIRONMENT = f"""
export PYTHONPATH=/python:/usr/lib/python3/dist-packages PYTHONDONTWRITEBYTECODE=1
export PYTHONUNBUFFERED=1 PYTHONHASHSEED=0 G_DEBUG=fatal-criticals
ip link set lo up
"""


@functools.cache
def list_modules():
    """The files that hold MODULES and all that they import."""
    look = ("import importlib, json, sys\n"
            f"for name in {MODULES!r}: importlib.import_module(name)\n"
            "print(json.dumps([getattr(m, '__file__', None) for m in sys.modules.values()]))")
    found = json.loads(subprocess.run([sys.executable, "-c", look], check=True,
                                      stdout=subprocess.PIPE, text=True).stdout)
    return sorted({path for path in found if path and os.path.exists(path)})


def compile_module(path):
    """A module without its source: nothing is left for the guest to compile."""
    with tempfile.NamedTemporaryFile(suffix=".pyc") as temp:
        py_compile.compile(str(path), cfile=temp.name, doraise=True,
                           invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        return Path(temp.name).read_bytes()


def make_python_piece(paths):
    archive = Archive()
    for path in paths:
        if path.endswith(".py"):
            archive.add(path + "c", compile_module(path))
        else:
            archive.add_program(path)
    archive.add_program(os.path.realpath(sys.executable))
    archive.add_link("/bin/python3", os.path.realpath(sys.executable))
    for name in TYPELIBS:
        path = TYPELIB_FOLDER / f"{name}.typelib"
        archive.add_tree(path, path)
    for library in ("libgio-2.0.so.0", "libgirepository-1.0.so.1"):
        archive.add_program(f"{LIBRARIES}/{library}")
    return archive


def make_library_piece():
    """This build, without what a debugger wants, and the libraries it needs."""
    archive = Archive()
    built = BUILD / "libvhost" / "libvhost-1.so.0"
    with tempfile.NamedTemporaryFile() as temp:
        subprocess.run(["strip", "--strip-unneeded", "-o", temp.name, built], check=True)
        archive.add(LIBRARY, Path(temp.name).read_bytes())
    for name, library in list_libraries(built):
        archive.add_tree(name if name.startswith("/") else f"{LIBRARIES}/{name}", library)
    name = "Vhost-1.typelib"
    archive.add(TYPELIB_FOLDER / name, (BUILD / "introspection" / name).read_bytes())
    for folder in FOLDERS:
        for path in sorted(folder.glob("*.py")):
            archive.add(f"/python/{path.name}", path.read_bytes())
    return archive


def list_ages(paths):
    return [(str(path), os.stat(path).st_mtime_ns) for path in paths]


class PythonGuest(Guest):
    """A guest whose body is a Python script of tests/guest.

    words    arguments of the script
    before   lines of shell that come first
    """

    def __init__(self, script, *words, before="", **options):
        words = " ".join(shlex.quote(str(word)) for word in words)
        super().__init__(f"{ENVIRONMENT}{before}\npython3 /python/{script} {words}", **options)

    def make_pieces(self, kernel):
        paths = list_modules()
        key = ("python", list_ages([*paths, sys.executable]))
        return [keep_piece(kernel, key, lambda: make_python_piece(paths)),
                make_library_piece().pack()]
