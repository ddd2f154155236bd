# SPDX-License-Identifier: BSD-3-Clause
"""Draws the rows of a benchmark as SVG: figures as bars, those with an `x` as curves."""

from html import escape
from math import log2

OURS, THEIRS, INK, GRID = "#0a7d6c", "#b9c0c7", "#222", "#ddd"
WIDTH, LABEL, LINE = 860, 330, 34  # pixels: of all, of a row's name, of a row's height
CURVE = 260  # height of a set of curves
STYLE = f"text {{ font: 12px sans-serif; fill: {INK} }} .head {{ font-weight: bold }}"


def text(x, y, string, anchor="start", style=""):
    extra = f' class="{style}"' if style else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{extra}>{escape(string)}</text>'


def bar(y, spread, scale, color):
    """A bar as long as the median, with its quartiles as a whisker."""
    middle, low, high = (LABEL + spread[key] * scale for key in ("median", "low", "high"))
    return (f'<rect x="{LABEL}" y="{y}" width="{middle - LABEL:.1f}" height="11" fill="{color}"/>'
            f'<path d="M{low:.1f} {y + 5.5}H{high:.1f}" stroke="{INK}"/>'
            + text(max(middle, high) + 5, y + 10, f"{spread['median']:.3g}"))


def draw_bars(rows, top):
    """The rows of one unit share a scale."""
    most = {}
    for row in rows:
        highest = max(row[side]["high"] for side in ("ours", "theirs") if side in row)
        most[row["unit"]] = max(most.get(row["unit"], 0), highest)
    for number, row in enumerate(rows):
        y = top + number * LINE
        scale = (WIDTH - LABEL - 60) / (most[row["unit"]] or 1)
        yield text(LABEL - 8, y + 16, f"{row['figure']} ({row['unit']})", "end")
        for offset, side, color in ((0, "ours", OURS), (12, "theirs", THEIRS)):
            if side in row:
                yield bar(y + offset, row[side], scale, color)


def draw_curves(title, rows, top):
    """Points over a logarithmic x; the axis from 0 up."""
    left, right, bottom = 70, WIDTH - 40, top + CURVE - 50
    most = max(row[side]["high"] for row in rows for side in ("ours", "theirs") if side in row) or 1
    first, last = log2(min(row["x"] for row in rows) + 1), log2(max(row["x"] for row in rows) + 1)

    def place(row, spread):
        along = (log2(row["x"] + 1) - first) / ((last - first) or 1)
        return left + along * (right - left), bottom - spread["median"] / most * (bottom - top - 30)

    yield text(left, top + 8, f"{title} ({rows[0]['unit']}) along {rows[0]['along']}", style="head")
    for step in range(5):
        y = bottom - step / 4 * (bottom - top - 30)
        yield f'<path d="M{left} {y:.1f}H{right}" stroke="{GRID}"/>'
        yield text(left - 6, y + 4, f"{most * step / 4:.3g}", "end")
    for side, color in (("theirs", THEIRS), ("ours", OURS)):
        points = [(*place(row, row[side]), row) for row in rows if side in row]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
        yield f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>'
        for x, y, row in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>'
            yield text(x, bottom + 16, str(row["x"]), "middle")


def draw(name, rows):
    rows = [row for row in rows if "ours" in row]
    bars = [row for row in rows if "x" not in row]
    curves = {}
    for row in rows:
        if "x" in row:
            curves.setdefault((row["figure"], row.get("peer")), []).append(row)
    height = 50 + len(bars) * LINE + len(curves) * CURVE
    parts = [text(12, 22, name, style="head"),
             f'<rect x="{WIDTH - 190}" y="12" width="11" height="11" fill="{OURS}"/>',
             text(WIDTH - 174, 22, "libvhost"),
             f'<rect x="{WIDTH - 100}" y="12" width="11" height="11" fill="{THEIRS}"/>',
             text(WIDTH - 84, 22, "peer"), *draw_bars(bars, 40)]
    for number, ((title, peer), points) in enumerate(curves.items()):
        top = 50 + len(bars) * LINE + number * CURVE
        points.sort(key=lambda row: row["x"])
        parts.extend(draw_curves(f"{title}: {peer}" if peer else title, points, top))
    body = "\n".join(parts)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}">\n'
            f"<style>{STYLE}</style>\n"
            f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n{body}\n</svg>\n')
