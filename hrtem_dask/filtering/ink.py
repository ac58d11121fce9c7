"""Pixels that may be ink: gray levels at the ends of the range, and the connected pieces that stand out by them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from hrtem_dask.medians import count_values, median

__all__ = ["Grays", "Piece", "gray_levels", "ink_bars", "ink_levels", "ink_pieces"]

TOLERANCE = 0.06
"""Ink is constant within this share of the range of the image: resampling and JPEG change it."""
RELATIVE_TOLERANCE = 0.12
"""The same as a share of its contrast to what is around."""
LEAST_CONTRAST = 0.18
"""Least contrast of ink to what is around, as a share of the range of the image."""
LEAST_CONTRAST_SD = 4.0
"""The same in standard deviations of the noise."""
LEVEL_TOLERANCE = 0.12
"""Largest difference of a piece from the gray value of ink, as a share of its contrast."""
NEAR_LEVEL = 0.35
"""The same for pieces that are no ink, but nearly: many of them show that dark (or bright) structure is no ink."""
LEAST_CORE = 0.35
"""Least share of a piece that is constant: of thin antialiased strokes not much more."""
LARGEST_HEIGHT = 0.16
"""Largest height of a character over the shorter side of the image."""
LEAST_ALONE = 0.05
"""Smallest length of a bar that is cut out of what it touches, over the width of the image."""
THICKEST = 0.06
"""Largest thickness of a bar over the shorter side of the image."""
LARGEST_LENGTH = 0.75
"""Largest length of a bar over the width of the image."""
LEAST_HEIGHT_PX = 5
"""Smallest height of a character (px)."""
LEAST_AREA_PX = 5
"""Smallest area of a piece (px)."""
LEAST_LENGTH = 0.03
"""Smallest length of a bar over the width of the image."""
LEAST_INSIDE_PX = 12
"""Fewer pixels away from the outline of a piece do not show whether it is noisy."""
LARGEST_NOISE = 0.5
"""Largest noise inside ink over that of the image."""
LEAST_NOISE = 0.02
"""Noise below this share of the range is accepted: that of JPEG."""
MOST_PIECES = 1000
"""More pieces of the size of characters than that are the structure of the specimen."""
MOST_SPARSE = 0.05
"""Masks with at most this share of pixels are measured pixel by pixel."""
_COARSE_PX = 256
_AT_ONCE_PX = 2**15
_BACKGROUND_PX = 41


@dataclass(frozen=True)
class Grays:
    """The gray values of an image, and what is known of them."""

    values: np.ndarray
    """Shape (y, x), float32, finite."""
    background: np.ndarray
    """Shape (y, x), float32: median of the surroundings."""
    scale: float
    """Range of the image, from the 0.5 to the 99.5 percentile."""
    noise: float
    """Standard deviation of the noise, from second differences along the rows."""
    counts: np.ndarray | None = None
    """How often each gray value from 0 on occurs; None where they are no small whole numbers, or not known."""

    @property
    def tolerance(self) -> float:
        """Difference of gray values that one ink may have."""
        return TOLERANCE * self.scale

    def n_near(self, level: float) -> int:
        """Count the pixels that may have a gray value; this is far faster than a search for pieces of them.

        Parameters
        ----------
        level : float
            The gray value.

        Returns
        -------
        int
            At least the number of pixels that differ from it by no more than the tolerance.
        """
        reach = 1.001 * self.tolerance + 1e-6 * abs(level)  # rounding must not lose one
        if self.counts is not None:
            return int(self.counts[max(int(level - reach), 0) : max(int(level + reach) + 1, 0)].sum())
        return int(cv2.countNonZero(cv2.inRange(self.values, level - reach, level + reach)))


@dataclass(frozen=True, eq=False)
class Piece:
    """A connected piece of pixels that are as bright or as dark as ink."""

    y0: int
    """First row."""
    x0: int
    """First column."""
    y1: int
    """Row after the last one."""
    x1: int
    """Column after the last one."""
    mask: np.ndarray
    """Shape (y1 − y0, x1 − x0), bool."""
    level: float
    """Its own gray value."""
    core: float
    """Share of its pixels that have this gray value."""
    stroke_px: float
    """Diameter of the largest inscribed circle (px)."""
    is_ink: bool
    """Whether its gray value is that of ink, and as constant."""
    kind: str = ""
    """bar, character (of strokes), stem (an upright rectangle, such as l or 1), word (joined characters), or speck."""

    @property
    def height(self) -> int:
        """Height (px)."""
        return self.y1 - self.y0

    @property
    def width(self) -> int:
        """Width (px)."""
        return self.x1 - self.x0


def gray_levels(image: np.ndarray) -> Grays | None:
    """Return the gray values of an image; None where there is nothing to be seen.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype.

    Returns
    -------
    Grays or None
        None for images without contrast or without a finite pixel.
    """
    image = np.asarray(image)
    counts = count_values(image) if image.dtype in (np.uint8, np.uint16) else None  # in native byte order
    values = image.astype(np.float32)
    finite = np.isfinite(values) if image.dtype.kind == "f" else np.True_
    if not finite.all():
        if not finite.any():
            return None
        values = np.where(finite, values, np.median(values[finite]))
    low, high = _outer_quantiles(values[::3, ::3] if counts is None else image[::3, ::3])
    if not high > low:
        low, high = float(values.min()), float(values.max())
    if not high > low:
        return None
    second = 2 * values[::2, 1:-1]
    second -= values[::2, :-2]
    second -= values[::2, 2:]
    noise = median(np.abs(second, out=second)) * 1.4826 / 6**0.5
    return Grays(values, _background(values, low, high), high - low, noise, counts)


def _outer_quantiles(values: np.ndarray) -> tuple[float, float]:
    """Return the 0.5 and the 99.5 percentile, as NumPy's; of small whole numbers they follow from counts."""
    quantiles = np.array([0.005, 0.995])
    if values.dtype.kind != "u":
        low, high = np.quantile(values, quantiles)
        return float(low), float(high)
    up_to = np.cumsum(count_values(values))
    at = (values.size - 1) * quantiles
    before = np.floor(at).astype(int)
    a, b = (np.searchsorted(up_to, np.minimum(k, values.size - 1), side="right") for k in (before, before + 1))
    share = at - before
    low, high = np.where(share < 0.5, a + (b - a) * share, b - (b - a) * (1 - share))
    return float(low), float(high)


def ink_levels(grays: Grays) -> Iterator[tuple[bool, float]]:
    """Return the gray values that ink may have.

    Parameters
    ----------
    grays : Grays
        From `gray_levels`.

    Yields
    ------
    is_white : bool
        Whether it is brighter than its surroundings.
    level : float
        Its gray value: an end of the range, or the outermost value that occurs far more often than its neighbors.
    """
    values, known = grays.values, grays.counts
    if known is None:
        ends = float(values.min()), float(values.max())
        if ends[0] >= 0 and ends[1] <= 65535 and bool((values[::5, ::5] == np.round(values[::5, ::5])).all()):
            known = count_values(values.astype(np.uint16))
    else:
        ends = float(np.argmax(known > 0)), float(known.size - 1)
    spikes = np.zeros(0, dtype=np.intp)
    if known is not None:
        counts = known.astype(np.float32)
        near = (cv2.blur(counts[None], (9, 1))[0] * 9 - counts) / 8
        spikes = np.flatnonzero((counts >= 30) & (counts >= 8 * (near + 1)))
    for is_white, end, outermost in ((True, ends[1], -1), (False, ends[0], 0)):
        yield is_white, end
        if spikes.size and float(spikes[outermost]) != end:
            yield is_white, float(spikes[outermost])


def ink_pieces(grays: Grays, *, is_white: bool, level: float, specks_alone: bool = True) -> list[Piece]:
    """Return the pieces of an image that are as bright or as dark as ink, and have the size of a mark.

    Parameters
    ----------
    grays : Grays
        From `gray_levels`.
    is_white : bool
        Whether the ink is brighter than its surroundings.
    level : float
        Its gray value.
    specks_alone : bool
        Whether pieces are returned where all of them are lower than a character and shorter than a bar.

    Returns
    -------
    list of Piece
        Only long ones where there are so many that they must be the structure of the specimen.
    """
    values, background = grays.values, grays.background
    if not _may_stand_out(grays, is_white=is_white, level=level):
        return []
    if np.count_nonzero(stands_out := _stands_out(grays, is_white=is_white, level=level)) < LEAST_AREA_PX:
        return []
    labels, stats = _labelled(stands_out)
    shorter, width = min(values.shape), values.shape[1]
    w, h, area = (stats[:, i] for i in (cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT, cv2.CC_STAT_AREA))
    fits = (area >= LEAST_AREA_PX) & (h <= LARGEST_HEIGHT * shorter) & (w <= LARGEST_LENGTH * width)
    fits[0] = False
    is_tall = h >= LEAST_HEIGHT_PX
    if np.count_nonzero(fits & is_tall) > MOST_PIECES:  # the structure of the specimen: bars can be told from it
        fits &= w >= LEAST_LENGTH * width
    if np.count_nonzero(fits & ~is_tall) > MOST_PIECES:  # noise, not punctuation
        fits &= is_tall | (w >= LEAST_LENGTH * width)
    is_speck = ~is_tall & (w < LEAST_LENGTH * width)  # of specks, neither stroke nor noise is looked at
    if not specks_alone and not (fits & ~is_speck).any():
        return []
    pieces = []
    for i in np.flatnonzero(fits):
        x0, y0, x1, y1 = stats[i, 0], stats[i, 1], stats[i, 0] + w[i], stats[i, 1] + h[i]
        window = np.s_[y0:y1, x0:x1]
        mask = labels[window] == i
        inside = values[window][mask]
        if not is_white:
            inside = -inside
        k = int(0.9 * (inside.size - 1))
        own = float(np.partition(inside, k)[k])
        middle = float(level - background[(y0 + y1) // 2, (x0 + x1) // 2]) * (1 if is_white else -1)
        off = abs(abs(own) - abs(level))
        if off > NEAR_LEVEL * middle:
            continue
        core = np.count_nonzero(inside >= own - max(grays.tolerance, RELATIVE_TOLERANCE * middle)) / inside.size
        if is_speck[i]:
            own = own if is_white else -own
            pieces.append(Piece(int(y0), int(x0), int(y1), int(x1), mask, own, core, 0.0, is_ink=False, kind="speck"))
            continue
        stroke = 2 * _largest_inscribed_radius(mask, (y0, x0), stands_out.shape) - 1
        is_ink = off <= LEVEL_TOLERANCE * middle and not _is_noisy(values[window], mask, grays)
        piece = Piece(int(y0), int(x0), int(y1), int(x1), mask, own if is_white else -own, core, stroke, is_ink)
        pieces.append(piece)
    return pieces


def _may_stand_out(grays: Grays, *, is_white: bool, level: float) -> bool:
    """Return whether the counts of gray values allow a piece: where an X-ray spike is the end of the range, none."""
    around = float(grays.background.min() if is_white else grays.background.max())
    at = max(int((level + around) / 2) + (-1 if is_white else 2), 0)  # half way, and a gray value to spare
    beyond = None if grays.counts is None else grays.counts[at:] if is_white else grays.counts[:at]
    return beyond is None or int(beyond.sum()) >= LEAST_AREA_PX


def _stands_out(grays: Grays, *, is_white: bool, level: float) -> np.ndarray:
    """Return the pixels that are nearer to the level than to what is around, where the two differ enough."""
    least = max(LEAST_CONTRAST * grays.scale, LEAST_CONTRAST_SD * grays.noise)
    height, width = grays.values.shape
    found = np.empty((height, width), dtype=bool)
    step = max(1, _AT_ONCE_PX // width)
    for first in range(0, height, step):  # what fits into the cache takes half of the time
        rows = slice(first, first + step)
        values, background = grays.values[rows], grays.background[rows]
        full = level - background if is_white else background - level
        contrast = values - background if is_white else background - values
        np.greater(full, least, out=found[rows])
        full *= 0.5
        found[rows] &= contrast >= full
    return found


def _labelled(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the 8-connected pieces of a mask, and their statistics in the columns of OpenCV.

    OpenCV's statistics cost several passes over the image; of a few pixels they are made here.
    """
    places = np.flatnonzero(mask)
    if places.size > MOST_SPARSE * mask.size:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
        return labels, stats
    n, labels = cv2.connectedComponents(mask.view(np.uint8), connectivity=8)
    number = labels.ravel()[places]
    places = places[np.argsort(number, kind="stable")]
    area = np.bincount(number, minlength=n)
    stats = np.zeros((n, 5), np.int32)
    first = np.cumsum(area)[:-1]  # number 0 has none of these pixels
    for place, at, extent in zip(divmod(places, mask.shape[1]), (1, 0), (3, 2), strict=True):
        stats[1:, at] = np.minimum.reduceat(place, first)
        stats[1:, extent] = np.maximum.reduceat(place, first) + 1 - stats[1:, at]
    stats[1:, 4] = area[1:]
    stats[0] = 0, 0, mask.shape[1], mask.shape[0], mask.size - places.size
    return labels, stats


def _largest_inscribed_radius(mask: np.ndarray, start: tuple[int, int], shape: tuple[int, ...]) -> float:
    """Return the radius of the largest circle in a piece (px); beyond the border of the image there is no outline."""
    sides = [(int(s > 0), int(s + n < whole)) for s, n, whole in zip(start, mask.shape, shape, strict=True)]
    padded = cv2.copyMakeBorder(mask.view(np.uint8), *sides[0], *sides[1], cv2.BORDER_CONSTANT, value=0)
    return float(cv2.distanceTransform(padded, cv2.DIST_L2, 5).max())


def ink_bars(grays: Grays, *, is_white: bool, level: float) -> list[Piece]:
    """Return horizontal bars of ink, cut out of what they touch: text, noise or particles.

    Parameters
    ----------
    grays : Grays
        From `gray_levels`.
    is_white : bool
        Whether the ink is brighter than its surroundings.
    level : float
        Its gray value.

    Returns
    -------
    list of Piece
        Of kind ``bar``, at least 2 px thick, in the order of their rows.
    """
    height, width = grays.values.shape
    length = max(round(LEAST_ALONE * width), 12)
    if grays.n_near(level) < 2 * length:
        return []
    full = level - grays.background if is_white else grays.background - level
    ink = (np.abs(grays.values - level) <= grays.tolerance) & (full > LEAST_CONTRAST * grays.scale)
    opened = cv2.morphologyEx(ink.view(np.uint8), cv2.MORPH_OPEN, np.ones((2, length), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    bars = []
    for i, (x0, y0, w, h, area) in enumerate(stats[1:].tolist(), start=1):
        if area < 0.9 * w * h or w < 3 * h or h > THICKEST * min(height, width) or w > LARGEST_LENGTH * width:
            continue
        window = np.s_[y0 : y0 + h, x0 : x0 + w]
        if not _stands_out_on_both_sides(grays, y0, y0 + h, slice(x0, x0 + w), level):
            continue
        mask = labels[window] == i
        piece = Piece(y0, x0, y0 + h, x0 + w, mask, level, 1.0, float(h), is_ink=True, kind="bar")
        if not _is_noisy(grays.values[window], mask, grays):
            bars.append(piece)
    return bars


def _stands_out_on_both_sides(grays: Grays, y0: int, y1: int, columns: slice, level: float) -> bool:
    """Return whether the rows above and below a bar differ from its gray value: the top of a particle does not."""
    n = grays.values.shape[0]
    for row in (y0 - 3, y1 + 2):
        if 0 <= row < n and np.median(np.abs(grays.values[row, columns] - level)) < LEAST_CONTRAST * grays.scale:
            return False
    return True


def _is_noisy(window: np.ndarray, mask: np.ndarray, grays: Grays) -> bool:
    """Return whether the inside of a piece has the noise of a camera; thin strokes have no inside."""
    inside = np.flatnonzero(cv2.erode(np.pad(mask, 1).astype(np.uint8), np.ones((5, 5), np.uint8))[1:-1, 1:-1])
    inside = inside[(inside % mask.shape[1] > 0) & (inside % mask.shape[1] < mask.shape[1] - 1)]
    if inside.size < LEAST_INSIDE_PX:
        return False
    flat = window.reshape(-1)
    second = 2 * flat[inside] - flat[inside - 1] - flat[inside + 1]
    noise = median(np.abs(second)) * 1.4826 / 6**0.5
    return noise > max(LARGEST_NOISE * grays.noise, LEAST_NOISE * grays.scale)


def _background(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return the median of the surroundings, made on a small copy."""
    height, width = values.shape
    shrink = min(1.0, _COARSE_PX / max(height, width))
    size = max(round(width * shrink), 1), max(round(height * shrink), 1)
    small = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    bytes_ = np.clip(np.round((small - low) * (255 / (high - low))), 0, 255).astype(np.uint8)
    median = cv2.medianBlur(bytes_, _BACKGROUND_PX).astype(np.float32) * ((high - low) / 255) + low
    return np.asarray(cv2.resize(median, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
