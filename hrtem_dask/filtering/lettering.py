"""Which pieces of ink are bars, letters and text: by their shape, their rows, and what lies around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from hrtem_dask.filtering.ink import (
    LARGEST_HEIGHT,
    LEAST_CORE,
    LEAST_HEIGHT_PX,
    LEAST_LENGTH,
    THICKEST,
    Grays,
    Piece,
)
from hrtem_dask.medians import median

__all__ = ["lettering"]

CROWD = 60
"""With more pieces than that, one bar or letter is no evidence: particles look like them by chance."""
NEAR_WEIGHT = 3
"""How many pieces of ink a piece that is nearly ink stands for: where gray values are continuous, there is no ink."""
LEAST_INK = 0.6
"""Least share of the characters of a text that have the gray value of ink; of text at a bar, thin ones need not."""
FILL = (0.2, 0.85)
"""Share of its bounding box that a character fills, from and to."""
LEAST_BAR_FILL = 0.7
"""A bar that fills less of its bounding box (end ticks, arrows) does not support a text; a slanted one fills 0.75."""
MOST_CONVEX = 0.85
"""A piece that fills more of its convex hull is no character."""
BORDER_PX = 2
"""Particles that the border cuts have odd shapes: no mark is recognized by a piece this near to it."""
MARGIN = 0.25
"""Bars without text lie within this share of the height from the upper or lower border."""
CORNER = (0.16, 0.25)
"""Single letters lie within these shares of the height and of the width from a corner."""
CONSTANT_CORE = 0.75
"""Characters with this share of one gray value are drawn, however many other pieces there are."""
FAR, NEAR, DOT = 0.9, 0.4, 0.15
"""Broken characters and dots are looked for within 0.9 of the height of a text beside it. Blobs that are no ink, and
higher than 0.15 of it, may be particles, and so may all that is beside a single letter: within 0.4."""
LEAST_LETTER_PX = 9
CLEAR_LETTER = 0.03
"""A letter of this height over the shorter side of the image is told from small particles, however many these are."""
MOST_LETTERS = 4

Box = tuple[int, int, int, int]


def lettering(pieces: Sequence[Piece], grays: Grays) -> list[tuple[str, list[Piece]]]:
    """Choose the pieces that are marks.

    Parameters
    ----------
    pieces : sequence of Piece
        From `ink_pieces`.
    grays : Grays
        The image.

    Returns
    -------
    list of (str, list of Piece)
        Kind of mark (text, letter, bar) and its pieces. A row of three characters is text. Two are text beside a bar.
        Up to four in a corner are a panel's letter. A bar is a mark beside text, or alone near the upper or lower
        border.
    """
    shape = grays.values.shape
    pieces = [replace(p, kind=p.kind or _kind(p, shape)) for p in pieces]
    solid = [p for p in pieces if p.core >= LEAST_CORE or p.kind == "bar"]
    bars = [p for p in solid if p.kind == "bar" and p.is_ink and p.mask.mean() >= LEAST_BAR_FILL]
    crowd = _crowd(solid, LEAST_HEIGHT_PX)
    marks: list[tuple[str, list[Piece]]] = []
    used: set[int] = set()
    for row in _rows(solid, grays):
        beside = [bar for bar in bars if _belongs(bar, row, grays)]
        kind = _kind_of_row(row, solid, beside, crowd, shape)
        if kind is not None:
            marks.append((kind, row))
            new = [bar for bar in beside if id(bar) not in used]
            marks += [("bar", [bar]) for bar in new]
            used |= {id(p) for p in (*row, *new)}
    for bar in bars:
        if id(bar) not in used and _stands_alone(bar, solid, crowd, shape):
            marks.append(("bar", [bar]))
            used.add(id(bar))
    return marks + _punctuation(marks, pieces, used)


def _crowd(pieces: Sequence[Piece], least_height: float, largest_height: float = np.inf) -> int:
    """Count the pieces of some heights that are no bars, those that are nearly ink with their weight."""
    counted = [p for p in pieces if least_height <= p.height <= largest_height]
    n_ink = sum(p.is_ink and p.kind != "bar" for p in counted)
    return n_ink + NEAR_WEIGHT * sum(not p.is_ink and p.core >= LEAST_CORE for p in counted)


def _kind(p: Piece, shape: tuple[int, ...]) -> str:
    """Name the shape of a piece."""
    shorter, width = min(shape), shape[1]
    h, w = p.height, p.width
    fill = float(p.mask.mean())
    if LEAST_LENGTH * width <= w and h <= THICKEST * shorter and w >= 3 * h and _straight(p) >= 0.85:
        return "bar"
    if not LEAST_HEIGHT_PX <= h <= LARGEST_HEIGHT * shorter:
        return "speck"
    is_stroke = p.stroke_px <= 0.42 * h + 1 and FILL[0] <= fill <= FILL[1] and _hull_share(p) <= MOST_CONVEX
    if w <= 1.8 * h and is_stroke:
        return "character"
    if 2 * w <= h:
        return "stem"
    if 1.8 * h < w <= 14 * h and is_stroke:
        return "word"
    return "speck"


def _hull_share(p: Piece) -> float:
    """Return the share of its convex hull that a piece fills: rods are convex, characters are not."""
    points = np.argwhere(p.mask)
    corners = np.concatenate([points + np.array(step) for step in ((0, 0), (0, 1), (1, 0), (1, 1))]).astype(np.int32)
    return float(p.mask.sum() / cv2.contourArea(cv2.convexHull(corners)))


def _straight(p: Piece) -> float:
    """Return the share of columns whose height is that of the median column, within a pixel."""
    heights = p.mask.sum(axis=0)
    return float(np.mean(np.abs(heights - median(heights)) <= 1))


def _is_whole(p: Piece, shape: tuple[int, ...]) -> bool:
    """Return whether a piece does not reach the border of the image."""
    return min(p.y0, p.x0) >= BORDER_PX and p.y1 <= shape[0] - BORDER_PX and p.x1 <= shape[1] - BORDER_PX


def _rows(pieces: Sequence[Piece], grays: Grays) -> list[list[Piece]]:
    """Join characters that stand side by side, in one ink, on one line."""
    letters = [p for p in pieces if p.kind in ("character", "stem", "word") and _is_whole(p, grays.values.shape)]
    letters.sort(key=lambda p: p.x0)
    parent = list(range(len(letters)))

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    tallest = max((p.height for p in letters), default=0)
    for i, a in enumerate(letters):
        for j in range(i + 1, len(letters)):
            b = letters[j]
            if b.x0 - a.x1 > 0.9 * tallest + 2:
                break
            if _on_one_line(a, b) and abs(a.level - b.level) <= 2 * grays.tolerance:
                parent[root(i)] = root(j)
    rows: dict[int, list[Piece]] = {}
    for i, p in enumerate(letters):
        rows.setdefault(root(i), []).append(p)
    return list(rows.values())


def _on_one_line(a: Piece, b: Piece) -> bool:
    """Return whether two characters, the left one first, can be neighbors in a line."""
    tall, low = max(a.height, b.height), min(a.height, b.height)
    if b.x0 - a.x1 > 0.9 * tall + 2 or low < 0.45 * tall:
        return False
    if min(a.y1, b.y1) - max(a.y0, b.y0) < 0.7 * low:
        return False
    offset = min(abs(a.y1 - b.y1), abs(a.y0 - b.y0), abs(a.y0 + a.y1 - b.y0 - b.y1) / 2)
    return offset <= 0.2 * tall + 1.5


def _box(pieces: Sequence[Piece]) -> Box:
    """Return the bounding box: first row and column, row and column after the last."""
    return (
        min(p.y0 for p in pieces), min(p.x0 for p in pieces), max(p.y1 for p in pieces), max(p.x1 for p in pieces)
    )  # fmt: skip


def _gaps(a: Box, b: Box) -> tuple[int, int]:
    """Return the vertical and the horizontal gap of two boxes."""
    return max(a[0] - b[2], b[0] - a[2], 0), max(a[1] - b[3], b[1] - a[3], 0)


def _belongs(bar: Piece, row: Sequence[Piece], grays: Grays) -> bool:
    """Return whether a bar can be that of a text."""
    box = _box(row)
    height = box[2] - box[0]
    gap_y, gap_x = _gaps(_box([bar]), box)
    same_ink = abs(bar.level - float(np.mean([p.level for p in row]))) <= 4 * grays.tolerance
    return same_ink and gap_y <= 1.5 * height + 4 and gap_x <= 1.2 * height and bar.width >= 0.25 * (box[3] - box[1])


def _kind_of_row(
    row: Sequence[Piece], pieces: Sequence[Piece], bars: Sequence[Piece], crowd: int, shape: tuple[int, ...]
) -> str | None:
    """Decide whether a row of characters is a mark."""
    is_ink = float(np.mean([p.is_ink for p in row])) >= LEAST_INK
    n = sum(max(2, round(p.width / p.height / 0.8)) if p.kind == "word" else 1 for p in row)
    n_strokes = sum(p.kind in ("character", "word") for p in row)
    isolated = _is_isolated(row, pieces)
    if is_ink and n >= 3 and n_strokes >= 2 and isolated and (crowd < CROWD or n >= 5):
        return "text"
    if bars and n >= 2 and n_strokes >= 1 and (isolated or n >= 3) and crowd < 2 * CROWD:
        return "text"
    core = float(np.mean([p.core for p in row]))
    if bars and n >= 3 and n_strokes >= 2 and isolated and core >= CONSTANT_CORE:
        return "text"
    y0, x0, y1, x1 = _box(row)
    y, x = (y0 + y1) / 2 / shape[0], (x0 + x1) / 2 / shape[1]
    in_corner = min(y, 1 - y) < CORNER[0] and min(x, 1 - x) < CORNER[1]
    is_large = y1 - y0 >= LEAST_LETTER_PX and core >= 0.5
    if core >= CONSTANT_CORE and y1 - y0 >= CLEAR_LETTER * min(shape):  # only pieces of its size can be taken for it
        crowd = min(crowd, _crowd(pieces, (y1 - y0) / 2, 2 * (y1 - y0)))
    if (
        is_ink
        and in_corner
        and is_large
        and isolated
        and n_strokes >= 1
        and n <= MOST_LETTERS
        and crowd < CROWD * 2 / 3
    ):
        return "letter"
    return None


def _is_isolated(row: Sequence[Piece], pieces: Sequence[Piece]) -> bool:
    """Return whether hardly any other piece of such a size lies around a row."""
    y0, x0, y1, x1 = _box(row)
    height = y1 - y0
    pad = 0.8 * height + 2
    own = {id(p) for p in row}
    n_others = 0
    for p in pieces:
        is_near = p.x1 > x0 - pad and p.x0 < x1 + pad and p.y1 > y0 - pad and p.y0 < y1 + pad
        if not is_near or id(p) in own or p.kind == "bar" or p.height > 1.2 * height:
            continue
        is_dot = p.height < 0.5 * height and p.y0 >= y0 - 2 and p.y1 <= y1 + 0.3 * height + 2
        n_others += not is_dot
    return n_others <= 0.34 * len(row)


def _stands_alone(bar: Piece, pieces: Sequence[Piece], crowd: int, shape: tuple[int, ...]) -> bool:
    """Return whether a bar is a mark without text beside it."""
    y = (bar.y0 + bar.y1) / 2 / shape[0]
    if (
        not _is_whole(bar, shape)
        or min(y, 1 - y) > MARGIN
        or bar.core < 0.75
        or bar.height < 2
        or bar.width < 0.06 * shape[1]
    ):
        return False
    heights = bar.mask.sum(axis=0)
    # rods have round ends
    has_square_ends = min(heights[1], heights[-2]) >= 0.8 * float(np.median(heights))
    if float(bar.mask.mean()) >= 0.97 and has_square_ends and bar.core >= 0.85 and bar.height >= 3:
        return True
    pad = 1.5 * bar.height + 3
    near = [
        p for p in pieces
        if p.kind != "bar" and max(_gaps(_box([p]), _box([bar]))) < pad
    ]  # fmt: skip
    return len(near) <= 1 and crowd < CROWD and float(bar.mask.mean()) >= 0.85


def _punctuation(
    marks: Sequence[tuple[str, list[Piece]]], pieces: Sequence[Piece], used: set[int]
) -> list[tuple[str, list[Piece]]]:
    """Return the dots, dashes and broken characters within and beside the lines of text."""
    found = []
    for kind, row in marks:
        if kind == "bar":
            continue
        y0, x0, y1, x1 = _box(row)
        height = y1 - y0
        for p in pieces:
            if id(p) in used or p.height > 1.3 * height or p.width > 2 * height or p.kind == "bar":
                continue
            gap_y, gap_x = _gaps(_box([p]), (y0, x0, y1, x1))
            # beside text there may be particles
            is_blob = p.kind == "speck" and not p.is_ink and p.height > DOT * height
            reach = (NEAR if is_blob or kind == "letter" else FAR) * height
            if gap_y == 0 and gap_x <= reach and p.y0 >= y0 - 0.4 * height and p.y1 <= y1 + 0.4 * height:
                found.append((kind, [p]))
                used.add(id(p))
    return found
