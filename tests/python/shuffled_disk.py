# SPDX-License-Identifier: BSD-3-Clause
"""blk_backend.py, but each request is served a little later, and in any order."""

import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python-examples"))
import blk_backend  # noqa: E402
from gi.repository import GLib  # noqa: E402


class Shuffled(blk_backend.Disk):
    def __init__(self, *args):
        super().__init__(*args)
        self.waiting = []

    def on_kick(self, backend, queue):
        while (chain := queue.pop()) is not None:
            self.waiting.append(chain)
            GLib.timeout_add(random.randrange(4), self.complete_any, queue)
        queue.notify()

    def complete_any(self, queue):
        chain = self.waiting.pop(random.randrange(len(self.waiting)))
        queue.push(chain, self.complete(chain))
        queue.notify()
        return GLib.SOURCE_REMOVE


blk_backend.Disk = Shuffled
blk_backend.main()
