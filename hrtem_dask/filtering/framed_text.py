"""Text on paper of its own: boxes, and information strips along a side of the image."""

from __future__ import annotations

import cv2
import numpy as np

from hrtem_dask.filtering.ink import Grays
from hrtem_dask.medians import median

__all__ = ["find_boxes", "find_strips"]

LEAST_SIDES_PX = (12, 14)
"""Least height and width of a box."""
NEIGHBORS = np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], np.uint8)
"""The four neighbors of a pixel, without itself."""
LARGEST_AREA = 0.2
"""Largest area of a box over that of the image."""
LEAST_PAPER = 0.35
"""Least share of its bounding box that is paper, the text not included."""
LEAST_FILL = 0.93
"""Least share of its bounding box that a box fills, its text included."""
INK_CONTRAST = 0.45
"""Contrast of the text to its paper, as a share of the range of the image."""
INK_SHARE = (0.015, 0.5)
"""Share of a box that is text, from and to."""
STRIP_INK_SHARE = (0.003, 0.45)
LEAST_STRIP = (8, 0.02)
"""Least thickness of a strip: in px, and as a share of the side of the image."""
LARGEST_STRIP = 0.4
RIM_PX = 3
"""Rows along the side that may have another gray value than the paper, where an image was resized."""
LEAST_PAPER_BESIDE_TEXT = 0.35
"""Least share of the rows of a strip that is paper, where text fills them."""
N_PARTS, LEAST_PAPER_OF_PART = 16, 0.1
"""Parts of the length of a strip, each of which has at least this share of paper."""
MOST_PAPER_BEYOND = 0.02
"""Largest share of what lies beyond such a strip that has the gray value of its paper."""


def find_boxes(grays: Grays, level: float) -> list[tuple[slice, slice]]:
    """Find upright boxes of one gray value with text on them.

    Parameters
    ----------
    grays : Grays
        The image.
    level : float
        Gray value of the paper.

    Returns
    -------
    list of (slice, slice)
        Rows and columns of each box.
    """
    if grays.n_near(level) < LEAST_PAPER * LEAST_SIDES_PX[0] * LEAST_SIDES_PX[1]:
        return []
    paper: np.ndarray = (np.abs(grays.values - level) <= grays.tolerance).view(np.uint8)
    # where noise reaches this gray value, most pieces are single pixels, and each would take 50 bytes
    paper = cv2.bitwise_and(paper, cv2.dilate(paper, NEIGHBORS))
    labels, stats = cv2.connectedComponentsWithStats(paper, connectivity=4)[1:3]
    large = np.flatnonzero(
        (stats[:, cv2.CC_STAT_HEIGHT] >= LEAST_SIDES_PX[0]) & (stats[:, cv2.CC_STAT_WIDTH] >= LEAST_SIDES_PX[1])
    )
    boxes = []
    for i in large[large > 0]:
        x0, y0, w, h, area = map(int, stats[i])
        if w * h > LARGEST_AREA * paper.size or area < LEAST_PAPER * w * h:
            continue
        mask = labels[y0 : y0 + h, x0 : x0 + w] == i
        inner = _filled_rectangle(mask)
        if inner is None:
            continue
        box = (slice(y0 + inner[0].start, y0 + inner[0].stop), slice(x0 + inner[1].start, x0 + inner[1].stop))
        ink = ~mask[inner] & (np.abs(grays.values[box] - level) > INK_CONTRAST * grays.scale)
        if _is_text(ink):
            boxes.append(box)
    return boxes


def find_strips(grays: Grays) -> list[tuple[slice, slice]]:
    """Find information strips: along a whole side of the image, of one gray value, with text.

    Parameters
    ----------
    grays : Grays
        The image.

    Returns
    -------
    list of (slice, slice)
        Rows and columns of each strip.
    """
    values, (height, width) = grays.values, grays.values.shape
    everything = slice(0, None)
    strips = []
    for side, inwards in (
        ("top", values), ("bottom", values[::-1]), ("left", values.T), ("right", values.T[::-1])
    ):  # fmt: skip
        n = _strip_thickness(inwards, grays)
        if n and side in ("top", "bottom"):
            strips.append((slice(0, n) if side == "top" else slice(height - n, None), everything))
        elif n:
            strips.append((everything, slice(0, n) if side == "left" else slice(width - n, None)))
    return strips


def _filled_rectangle(mask: np.ndarray) -> tuple[slice, slice] | None:
    """Return the rectangle that a piece fills if its holes are closed; None where it fills none."""
    closed = np.zeros((mask.shape[0] + 2, mask.shape[1] + 2), np.uint8)
    outlines, _ = cv2.findContours(np.pad(mask, 1).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(closed, outlines, -1, 1, -1)
    filled = closed[1:-1, 1:-1].astype(bool)
    rows, columns = (np.flatnonzero(filled.mean(axis=axis) > 0.6) for axis in (1, 0))
    if rows.size < LEAST_SIDES_PX[0] - 2 or columns.size < LEAST_SIDES_PX[1] - 2:
        return None
    inner = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    # the rest of the piece, outside of the rectangle, must be small: a jagged border, not a particle
    if filled[inner].mean() < LEAST_FILL or filled[inner].sum() < 0.9 * filled.sum():
        return None
    return inner


def _is_text(ink: np.ndarray) -> bool:
    """Return whether the pixels that are no paper look like text: part of the box, and not cut by its border."""
    if not INK_SHARE[0] <= ink.mean() <= INK_SHARE[1]:
        return False
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    stats = stats[1:]
    x1, y1 = stats[:, 0] + stats[:, 2], stats[:, 1] + stats[:, 3]
    inside = (stats[:, 0] > 0) & (stats[:, 1] > 0) & (x1 < ink.shape[1]) & (y1 < ink.shape[0]) & (stats[:, 4] >= 5)
    return bool(stats[inside, 4].sum() >= 0.4 * ink.sum())


def _strip_thickness(inwards: np.ndarray, grays: Grays) -> int:
    """Return how many rows from the first one belong to a strip; 0 where there is none."""
    n = inwards.shape[0]
    rows = int(LARGEST_STRIP * n)
    if rows < 2 * LEAST_STRIP[0]:
        return 0
    least = max(LEAST_STRIP[0], LEAST_STRIP[1] * n)
    few = min(int(least) + 3, rows)  # nearly always the first rows show that there is no strip
    level = median(inwards[RIM_PX : max(int(0.03 * n), 6 + RIM_PX)])
    if (_smooth(_paper(inwards[RIM_PX:few], level, grays))[:-3] < LEAST_PAPER_BESIDE_TEXT).any():
        return 0
    paper = _paper(inwards[:rows], level, grays)
    paper[:RIM_PX] = np.maximum(paper[:RIM_PX], paper[RIM_PX])
    is_ink = np.abs(inwards[:rows] - level) > INK_CONTRAST * grays.scale
    for is_strip, least_paper in ((_ends_straight, 0.5), (_ends_everywhere, LEAST_PAPER_BESIDE_TEXT)):
        ends = np.flatnonzero(_smooth(paper) < least_paper)
        thickness = int(ends[0]) if ends.size else 0
        if thickness < least or thickness + 6 > rows or not is_strip(paper, thickness):
            continue
        ink = float(is_ink[:thickness].mean())
        if STRIP_INK_SHARE[0] <= ink <= STRIP_INK_SHARE[1] and _goes_across(inwards[:thickness], level, grays):
            return thickness
    return 0


def _ends_straight(paper: np.ndarray, thickness: int) -> bool:
    """Return whether the last rows of a strip are paper, and those beyond are not."""
    outside = paper[thickness + 3 : thickness + 3 + max(6, thickness // 3)]
    is_paper = np.median(paper[:thickness]) >= 0.7 and paper[thickness - 4 : thickness].max() >= 0.85
    return bool(is_paper and outside.mean() <= 0.3)


def _ends_everywhere(paper: np.ndarray, thickness: int) -> bool:
    """Return whether hardly a pixel beyond the end has the gray value of the paper, which text may hide up to there."""
    outside = paper[thickness + 4 : thickness + 4 + max(12, thickness)]
    return bool(np.median(paper[:thickness]) >= 0.45 and outside.mean() <= MOST_PAPER_BEYOND)


def _goes_across(strip: np.ndarray, level: float, grays: Grays) -> bool:
    """Return whether a strip goes from side to side: boxes in two corners leave the specimen between them."""
    is_paper = np.abs(strip - level) <= grays.tolerance
    return bool(min(part.mean() for part in np.array_split(is_paper, N_PARTS, axis=1)) >= LEAST_PAPER_OF_PART)


def _paper(rows: np.ndarray, level: float, grays: Grays) -> np.ndarray:
    """Return the share of each row that has the gray value of the paper."""
    return np.asarray(np.count_nonzero(np.abs(rows - level) <= grays.tolerance, axis=1) / rows.shape[1])


def _smooth(shares: np.ndarray) -> np.ndarray:
    """Return the median of five rows around each row; the first and the last one are repeated."""
    at = np.arange(shares.size)
    return np.asarray(np.median([shares[np.clip(at + k, 0, shares.size - 1)] for k in range(-2, 3)], axis=0))
