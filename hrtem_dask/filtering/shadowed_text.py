"""Text beside a scale bar whose letters are gray and have a drop shadow of the bar's ink.

The letters themselves have the gray values of the specimen, so that no rule about ink finds them. Their shadows are
thin lines of the gray value of the bar, in a row beside it, on one base line.
"""

from __future__ import annotations

import cv2
import numpy as np

from hrtem_dask.filtering.ink import Grays, Piece

__all__ = ["shadowed_text"]

REACH = (1.5, 12.0)
"""Text lies within these multiples of the thickness of the bar: above and below it, and beside it."""
THICKEST_SHADOW = 0.25
"""Largest thickness of a shadow over that of the bar."""
LEAST_PIECES = 3
FARTHEST = 1.5
"""Largest gap between shadows, and between the bar and the first one, over the thickness of the bar."""
BASE_LINE = 0.12
"""Letters on one line end within this share of the height of the text."""
FACE = 0.3
"""A letter extends beyond its shadow by at most this share of the height of the text."""


def shadowed_text(bar: Piece, grays: Grays) -> list[tuple[slice, slice]]:
    """Find text with a shadow on the left and on the right of a scale bar.

    Parameters
    ----------
    bar : Piece
        A scale bar.
    grays : Grays
        The image.

    Returns
    -------
    list of (slice, slice)
        Rows and columns of each text.

    Examples
    --------
    >>> import cv2
    >>> import numpy as np
    >>> from hrtem_dask.filtering.ink import Piece, gray_levels
    >>> image = np.random.default_rng(0).normal(200, 5, (300, 500)).clip(0, 255).astype(np.uint8)
    >>> image[260:280, 100:250] = 0
    >>> for at, gray in ((2, 0), (0, 190)):
    ...     _ = cv2.putText(image, "100 nm", (262 + at, 280 + at), cv2.FONT_HERSHEY_SIMPLEX, 1.2, gray, 4)
    >>> bar = Piece(260, 100, 280, 250, np.ones((20, 150), bool), 0.0, 1.0, 20.0, True, "bar")
    >>> [(rows, columns)] = shadowed_text(bar, gray_levels(image))
    >>> rows.start < 260 and columns.start < 265 and columns.stop > 380
    True
    """
    thick = bar.height
    rows = slice(max(0, round(bar.y0 - REACH[0] * thick)), round(bar.y1 + REACH[0] * thick))
    reach = round(REACH[1] * thick)
    right = slice(bar.x1 + 2, bar.x1 + 2 + reach)
    left = slice(max(0, bar.x0 - 2 - reach), max(0, bar.x0 - 2))
    found = []
    for columns, is_left in ((right, False), (left, True)):
        box = _text_box(grays, rows, columns, bar, is_left=is_left)
        if box is not None:
            found.append(box)
    return found


def _text_box(grays: Grays, rows: slice, columns: slice, bar: Piece, *, is_left: bool) -> tuple[slice, slice] | None:
    """Return the rows and columns of a text in a window beside the bar; None without one."""
    window = grays.values[rows, columns]
    if min(window.shape) < 2:
        return None
    dark = (np.abs(window - bar.level) <= 3 * grays.tolerance).view(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    radius = cv2.distanceTransform(dark, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    shadows = []
    for i, (x, y, w, h, _) in enumerate(stats[1:].tolist(), start=1):
        part = np.s_[y : y + h, x : x + w]
        own = labels[part] == i
        is_whole = x > 0 and y > 0 and x + w < window.shape[1] and y + h < window.shape[0]
        is_ink = np.abs(window[part][own] - bar.level).min() <= grays.tolerance
        is_thin = 2 * radius[part][own].max() - 1 <= max(THICKEST_SHADOW * bar.height, 2.0)
        if is_whole and is_ink and is_thin and max(w, h) > 2 and h <= 2 * bar.height:
            shadows.append((x, y, x + w, y + h))
    line = _beside(shadows, window.shape[1], FARTHEST * bar.height, is_left=is_left)
    if len(line) < LEAST_PIECES:
        return None
    x0, y0, x1, y1 = (int(f(values)) for f, values in zip((min, min, max, max), zip(*line, strict=True), strict=True))
    height = y1 - y0
    ends = np.array([end for _, _, _, end in line])
    on_line = int((np.abs(ends - np.median(ends)) <= BASE_LINE * height + 1).sum())
    if on_line < LEAST_PIECES or height < 0.4 * bar.height or x1 - x0 < 1.2 * height:
        return None
    face = round(FACE * height)
    return (
        slice(max(0, rows.start + y0 - face), rows.start + y1 + 1),
        slice(max(0, columns.start + x0 - face), columns.start + x1 + 1),
    )


def _beside(
    boxes: list[tuple[int, int, int, int]], width: int, farthest: float, *, is_left: bool
) -> list[tuple[int, int, int, int]]:
    """Return the boxes that follow one another from the side of the bar, without a gap that is too wide."""
    line: list[tuple[int, int, int, int]] = []
    reached = 0.0
    ordered = sorted((width - x1 if is_left else x0, box) for box in boxes for x0, x1 in [(box[0], box[2])])
    for near, box in ordered:
        if near - reached > farthest:
            break
        line.append(box)
        reached = max(reached, float(width - box[0] if is_left else box[2]))
    return line
