# SPDX-License-Identifier: BSD-3-Clause
"""Pictures as PNG files, written with the standard library alone."""

import os
import struct
import zlib


def write(path, width, height, rows):
    """Rows of RGB bytes to a file that is whole at any moment."""
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    data = (b"\x89PNG\r\n\x1a\n"
            + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows), 1))
            + chunk(b"IEND", b""))
    with open(f"{path}.new", "wb") as file:
        file.write(data)
    os.rename(f"{path}.new", path)


def pick(pixels, order):
    """Some bytes of each pixel of four, in this order."""
    picked = bytearray(len(pixels) // 4 * len(order))
    for i, place in enumerate(order):
        picked[i::len(order)] = pixels[place::4]
    return picked
