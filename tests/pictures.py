# SPDX-License-Identifier: BSD-3-Clause
"""Reads the plain kind of PNG file: 8 bits of red, green and blue, and perhaps of alpha."""

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {2: 3, 6: 4}  # by the colour type


def read_png(path):
    """(width, height, bytes of RGB)"""
    with open(path, "rb") as file:
        data = file.read()
    assert data.startswith(SIGNATURE), data[:8]
    chunks, place = {}, len(SIGNATURE)
    while place < len(data):
        size, kind = struct.unpack_from(">I4s", data, place)
        body = data[place + 8:place + 8 + size]
        assert struct.unpack_from(">I", data, place + 8 + size)[0] == zlib.crc32(kind + body)
        chunks[kind] = chunks.get(kind, b"") + body
        place += 12 + size
    assert chunks[b"IEND"] == b""
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, rest) == (8, [0, 0, 0]), chunks[b"IHDR"]
    lines = unfilter(zlib.decompress(chunks[b"IDAT"]), width * CHANNELS[colour], CHANNELS[colour])
    assert len(lines) == height
    return width, height, b"".join(drop_alpha(line, CHANNELS[colour]) for line in lines)


def drop_alpha(line, channels):
    if channels == 3:
        return bytes(line)
    found = bytearray(len(line) // 4 * 3)
    for i in range(3):
        found[i::3] = line[i::4]
    return bytes(found)


def unfilter(data, size, step):
    """The lines; each begins with how its bytes were predicted from the left and from above."""
    lines, above = [], bytearray(size)
    for place in range(0, len(data), size + 1):
        kind, line = data[place], bytearray(data[place + 1:place + 1 + size])
        for i in range(size if kind else 0):
            left, corner = (line[i - step], above[i - step]) if i >= step else (0, 0)
            line[i] = (line[i] + predict(kind, left, above[i], corner)) & 0xFF
        lines.append(line)
        above = line
    return lines


def predict(kind, left, above, corner):
    if kind == 3:
        return (left + above) // 2
    if kind == 4:
        distances = [abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)]
        return (left, above, corner)[distances.index(min(distances))]
    return (0, left, above)[kind]


def draw_expected(width, height):
    """What python-examples/gpu_frontend.py draws, as read_png() tells it."""
    return width, height, b"".join(
        bytes((255 * x // width, 255 * y // height, 255 * ((x // 32 + y // 32) % 2)))
        for y in range(height) for x in range(width))
