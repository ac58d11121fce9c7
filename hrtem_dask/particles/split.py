"""Splitting of touching particles by watershed, with a confidence for each split.

The distance transform of a piece has a peak in the middle of each wide part, half as high as the part is wide, and a
saddle in each neck between two parts, half as high as the neck is wide. A watershed cuts the piece in the necks. Then
cuts whose neck is hardly narrower than the parts it joins are undone, the widest neck first (the order of persistence:
Edelsbrunner et al. 2002, doi:10.1007/s00454-002-2885-2). Because widths are compared with widths, a rod of constant
width is never cut, however long it is.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles import flooding
from hrtem_dask.particles.components import label_pieces, raster_numbers
from hrtem_dask.particles.morphology import clean_mask
from hrtem_dask.particles.runs import Runs, find_runs

__all__ = ["particle_core", "split_touching"]

_RASTER_NOISE_PX = 1.25
"""Smallest height (px) of a peak above the saddle: along an oblique rod the pixel grid makes steps of 1 px."""
_SMOOTHING_SD_PX = 1.0
"""Smoothing (px) of the distance transform before the search for peaks; it joins the peaks of a rough ridge."""
CORE_PROBABILITY = 0.12
"""Where the particle probability is less than this above the lowest one of the mask, particles may touch."""
_HALF_PIXEL = 0.5
"""Distances are measured to the center of the first background pixel, half a pixel beyond the outline."""


def split_touching(
    regions: np.ndarray,
    *,
    min_confidence: float,
    min_part_area_px: float = 100,
    pixel_size_nm: PixelSize | None = None,
    core: np.ndarray | None = None,
    min_core_part_area_px: float | None = None,
    pieces: np.ndarray | None = None,
    runs: Runs | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Split regions into particles by a watershed of the distance transform.

    Pieces of a region that do not touch are separate particles. A piece is cut in a neck where the confidence
    ``1 − neck width / width of the narrower part`` is high enough. Both widths are diameters of inscribed circles:
    twice the distance transform in the neck and in the middle of the part. A line of pixels outside the core that
    crosses a piece narrows its neck, so that particles are cut along such lines even where their outline has no neck.

    Parameters
    ----------
    regions : numpy.ndarray of int
        Shape (y, x), 0 is background.
    min_confidence : float
        Smallest confidence of a cut, 0 to 1; cuts of lower confidence are undone.
    min_part_area_px : float
        Smallest area (px) of a part; smaller parts are roughness of the outline and are not cut off.
    pixel_size_nm : tuple of float, optional
        Height and width of a pixel (nm). Only their ratio counts; None takes pixels as square.
    core : numpy.ndarray of bool, optional
        Shape (y, x): False on pixels where particles may touch, see `particle_core`. By default True everywhere.
    min_core_part_area_px : float, optional
        Smallest area (px) of parts that are both smaller than `min_part_area_px`, where the cut between them runs
        outside the core; by default `min_part_area_px`.
    pieces : numpy.ndarray of int32, optional
        Shape (y, x): `connected_components` of all regions together, where they are known already.
    runs : Runs, optional
        Runs of the pieces, where they are known already.

    Returns
    -------
    labels : numpy.ndarray of int32
        Shape (y, x), 0 is background, particles numbered from 1 by their first pixel in raster order; the pieces
        themselves where nothing is split.
    confidence : numpy.ndarray of float64
        Shape (n,), for particles 1, 2, …: the lowest confidence of the cuts that bound the particle, 0 to 1; NaN for a
        particle without cuts.

    Raises
    ------
    ValueError
        If `min_confidence` is outside 0 to 1.

    Examples
    --------
    Two overlapping disks:

    >>> import numpy as np
    >>> from hrtem_dask.particles import split_touching
    >>> y, x = np.mgrid[:60, :100]
    >>> regions = ((y - 30) ** 2 + (x - 30) ** 2 < 400) | ((y - 30) ** 2 + (x - 68) ** 2 < 400)
    >>> labels, confidence = split_touching(regions.astype(np.int32), min_confidence=0.2)
    >>> int(labels.max()), bool((confidence > 0.5).all())
    (2, True)
    """
    if not 0 <= min_confidence <= 1:
        raise ValueError(f"min_confidence must be 0 to 1, got {min_confidence}: 1 splits nothing")
    sampling = None
    if pixel_size_nm is not None and pixel_size_nm[0] != pixel_size_nm[1]:
        mean = np.sqrt(pixel_size_nm[0] * pixel_size_nm[1])
        sampling = (pixel_size_nm[0] / mean, pixel_size_nm[1] / mean)
    smallest = (min_part_area_px, min_part_area_px)
    if core is not None and min_core_part_area_px is not None:
        smallest = (min_part_area_px, min_core_part_area_px)
    if pieces is None:
        pieces, runs = label_pieces(regions != 0)
    runs = find_runs(pieces) if runs is None else runs
    labels, n = pieces, runs.ids.size
    confidence = [float("nan")] * n
    for piece, (y0, x0, y1, x1), area in zip(runs.ids, runs.boxes, runs.area_px, strict=True):
        if area < 2 * min(smallest):
            continue
        inside = pieces[y0:y1, x0:x1] == piece
        parts, scores = _split_piece(
            inside,
            inside if core is None else _filled(inside & core[y0:y1, x0:x1]) & inside,
            min_confidence=min_confidence,
            smallest_px=smallest,
            sampling=sampling,
        )
        if len(scores) > 1:
            labels = pieces.copy() if labels is pieces else labels
            # the first part keeps the number of the piece, the others are appended; renumbered at the end
            numbers = np.array([0, piece, *range(n + 1, n + len(scores))], dtype=np.int32)
            labels[y0:y1, x0:x1][parts > 0] = numbers[parts[parts > 0]]
            confidence[piece - 1] = scores[0]
            confidence += scores[1:]
            n += len(scores) - 1
    if n == runs.ids.size:
        return labels, np.array(confidence)
    renumbered = raster_numbers(find_runs(labels), labels.shape[1])
    if renumbered is None:
        return labels, np.array(confidence)
    ordered = np.empty(n)
    ordered[renumbered[1:] - 1] = confidence
    return renumbered.take(labels), ordered


def particle_core(probability: np.ndarray, mask: np.ndarray) -> np.ndarray | None:
    """Return the pixels at which no particle touches another, by the particle probability.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (y, x), 0 to 1: a network lowers it between touching particles.
    mask : numpy.ndarray of bool
        Shape (y, x), True on particles.

    Returns
    -------
    numpy.ndarray of bool or None
        Shape (y, x): True where the probability exceeds the lowest one of the mask by `CORE_PROBABILITY`; None where
        the mask is empty or its probabilities hardly differ, as those of a threshold.

    Examples
    --------
    >>> import numpy as np
    >>> probability = np.array([[0.5, 0.9, 0.9, 0.52, 0.9]])
    >>> particle_core(probability, probability >= 0.5).tolist()
    [[False, True, True, False, True]]
    """
    if not mask.any():
        return None
    inside = probability[mask]
    lowest = inside.min()
    if inside.max() - lowest < 2 * CORE_PROBABILITY:
        return None
    return np.asarray(probability >= lowest + CORE_PROBABILITY)


def _filled(core: np.ndarray) -> np.ndarray:
    """Fill holes: what the core encloses is an uncertain part of one particle."""
    return clean_mask(core, opening_radius_px=0, closing_radius_px=0, fill_holes=True)


def _split_piece(
    piece: np.ndarray,
    core: np.ndarray,
    *,
    min_confidence: float,
    smallest_px: tuple[float, float],
    sampling: tuple[float, float] | None,
) -> tuple[np.ndarray, list[float]]:
    """Return the parts of one piece, numbered from 1, and the confidence of each (NaN for a single part)."""
    distance = _distance_px(core, sampling)
    smooth = cv2.GaussianBlur(distance, (0, 0), _SMOOTHING_SD_PX, borderType=cv2.BORDER_REPLICATE)
    ridge = (smooth >= cv2.dilate(smooth, np.ones((3, 3), dtype=np.uint8))) & core
    n, markers = cv2.connectedComponents(ridge.view(np.uint8), connectivity=8)
    if n <= 2:
        return piece.astype(np.int32), [float("nan")]
    basins = flooding.basins(-smooth, markers, piece)
    peaks = np.zeros(n, distance.dtype)
    np.maximum.at(peaks, basins.ravel(), distance.ravel())
    peaks -= _HALF_PIXEL
    pairs, saddles = _saddles(basins, distance)
    part = _merge(
        peaks,
        pairs,
        saddles,
        areas=np.bincount(basins.ravel(), minlength=n),
        min_confidence=min_confidence,
        smallest_px=smallest_px,
    )
    names, numbers = np.unique(part[1:], return_inverse=True)
    scores = np.full(names.size, np.nan)
    if names.size > 1:
        width = np.array([peaks[1:][numbers == k].max() for k in range(names.size)])
        for (a, b), saddle in zip(numbers[pairs - 1], saddles, strict=True):
            if a != b:
                score = 1 - max(saddle, 0.0) / min(width[a], width[b])
                scores[[a, b]] = np.fmin(scores[[a, b]], score)
    return np.append(0, numbers + 1)[basins], [float(score) for score in scores]


def _distance_px(piece: np.ndarray, sampling: tuple[float, float] | None) -> np.ndarray:
    """Return the distance (px) of each pixel to the background, float32; outside the box is background."""
    padded = cv2.copyMakeBorder(piece.view(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    if sampling is None:
        distance = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        # OpenCV's last digit depends on where the array lies in memory; squares of distances are whole numbers
        distance = np.sqrt(np.rint(distance * distance))
    else:
        distance = ndimage.distance_transform_edt(padded, sampling=sampling).astype(np.float32)
    return np.ascontiguousarray(distance[1:-1, 1:-1])


def _saddles(basins: np.ndarray, distance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs of basins that touch, shape (m, 2), and the highest pass between each, highest first."""
    keys, heights = [], []
    n = int(basins.max()) + 1
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, basins.shape[0] - dy), slice(max(-dx, 0), basins.shape[1] - max(dx, 0)))
        there = (slice(dy, None), slice(max(dx, 0), basins.shape[1] + min(dx, 0)))
        a, b = basins[here], basins[there]
        border = (a != b) & (a > 0) & (b > 0)
        low, high = np.minimum(a[border], b[border]), np.maximum(a[border], b[border])
        keys.append(low.astype(np.int64) * n + high)
        heights.append(np.minimum(distance[here][border], distance[there][border]))
    key, height = np.concatenate(keys), np.concatenate(heights)
    unique, index = np.unique(key, return_inverse=True)
    highest = np.zeros(unique.size)
    np.maximum.at(highest, index, height)
    order = np.argsort(-highest, kind="stable")
    return np.stack(np.divmod(unique[order], n), axis=1), highest[order] - _HALF_PIXEL


def _merge(
    peaks: np.ndarray,
    pairs: np.ndarray,
    saddles: np.ndarray,
    *,
    areas: np.ndarray,
    min_confidence: float,
    smallest_px: tuple[float, float],
) -> np.ndarray:
    """Return for each basin the basin that represents its part, after weak cuts are undone.

    `smallest_px` is the least area of a part, and that of two smaller parts whose cut lies outside the core.
    """
    part = list(range(peaks.size))
    width, area = peaks.tolist(), areas.tolist()

    def root(basin: int) -> int:
        while part[basin] != basin:
            part[basin] = part[part[basin]]
            basin = part[basin]
        return basin

    def join(a: int, b: int) -> None:
        part[b] = a
        width[a], area[a] = max(width[a], width[b]), area[a] + area[b]

    cuts = [(p, q, saddle) for (p, q), saddle in zip(pairs.tolist(), saddles.tolist(), strict=True)]
    for p, q, saddle in cuts:
        a, b = root(p), root(q)
        top = min(width[a], width[b])
        if a != b and (1 - saddle / top < min_confidence or top - saddle < _RASTER_NOISE_PX):
            join(a, b)
    # of the cuts that bound too small a part, the widest neck is undone first; parts only grow, so one pass is enough
    for p, q, saddle in cuts:
        a, b = root(p), root(q)
        is_between_small = saddle <= 0 and max(area[a], area[b]) < smallest_px[0]
        if a != b and min(area[a], area[b]) < smallest_px[is_between_small]:
            join(a, b)
    return np.array([root(basin) for basin in range(len(part))])
