#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes what the built library exports and what its GIR says to the lists that the tests compare.

update_symbols.py [BUILD], from ./build unless another one is named. Look at the difference well:
within one major version a line may be added, but none may change or go.
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
if len(sys.argv) > 1:
    os.environ["MESON_BUILD_ROOT"] = str(Path(sys.argv[1]).resolve())

import gir  # noqa: E402
import library  # noqa: E402

if __name__ == "__main__":
    symbols = "".join(f"{name}\n" for name in library.list_exports())
    (HERE / "libvhost-1.symbols").write_text(symbols)
    (HERE / "Vhost-1.api").write_text(gir.describe(gir.read_namespace(library.GIR)))
