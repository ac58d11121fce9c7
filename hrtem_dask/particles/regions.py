"""Regions: connected pieces of the mask, joined across narrow gaps."""

from __future__ import annotations

import cv2
import numpy as np
from scipy import ndimage

from hrtem_dask import backend
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.components import label_pieces, renumber
from hrtem_dask.particles.runs import Runs, find_runs

__all__ = ["bridge_gaps", "join_regions", "label_regions"]


def label_regions(
    mask: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    bridge_gap_nm: float,
) -> np.ndarray:
    """Label the regions of a mask.

    Pixels that touch by an edge or a corner belong to one piece; pieces nearer than the gap belong to one region. The
    distance of two pieces is measured between the nearest edges of their pixels, so n columns of background between
    them are n pixel widths.

    Parameters
    ----------
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x), True on particles; copied to the host, where labeling takes milliseconds.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm); without it (None) no gap is bridged.
    bridge_gap_nm : float
        Pieces nearer than this (nm) are one region; with 0 no gap is bridged.

    Returns
    -------
    numpy.ndarray of int32
        Shape (y, x), 0 is background, regions numbered from 1 by their first pixel in raster order.

    Raises
    ------
    ValueError
        If the mask is not two-dimensional or the gap is negative.

    Examples
    --------
    Two pieces with a gap of 0.2 nm:

    >>> import numpy as np
    >>> from hrtem_dask.particles import label_regions
    >>> mask = np.array([[True, True, False, False, True]])
    >>> label_regions(mask, pixel_size_nm=(0.1, 0.1), bridge_gap_nm=0.0).tolist()
    [[1, 1, 0, 0, 2]]
    >>> label_regions(mask, pixel_size_nm=(0.1, 0.1), bridge_gap_nm=0.3).tolist()
    [[1, 1, 0, 0, 1]]
    """
    if mask.ndim != 2:
        raise ValueError(f"a mask has 2 dimensions (y, x), got shape {mask.shape}: pass one frame at a time")
    if bridge_gap_nm < 0:
        raise ValueError(f"bridge_gap_nm must be 0 or more, got {bridge_gap_nm} nm: 0 bridges nothing")
    return bridge_gaps(*label_pieces(backend.to_numpy(mask)), pixel_size_nm=pixel_size_nm, gap_nm=bridge_gap_nm)


def join_regions(regions: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Join the regions that share a particle, because a particle drawn in several pieces belongs to one region.

    Parameters
    ----------
    regions : numpy.ndarray of int32
        Shape (y, x), from `label_regions` of the particles' pixels.
    labels : numpy.ndarray of int
        Shape (y, x): labels of particles, 0 is background.

    Returns
    -------
    numpy.ndarray of int32
        Shape (y, x), numbered like the output of `label_regions`.
    """
    runs = find_runs(labels)
    own = regions[runs.row, runs.start]  # a run of one particle is connected, so it lies in one region
    first = own[runs.first][runs.index]
    apart = first != own
    if not apart.any():
        return regions
    parent = np.arange(int(regions.max()) + 1)
    for a, b in np.unique(np.stack([first[apart], own[apart]], axis=1), axis=0).tolist():
        _join(parent, a, b)
    roots = np.array([_root(parent, label) for label in range(parent.size)])
    return renumber(roots[regions])


def bridge_gaps(pieces: np.ndarray, runs: Runs, *, pixel_size_nm: PixelSize | None, gap_nm: float) -> np.ndarray:
    """Give pieces that are nearer than the gap the same label.

    Parameters
    ----------
    pieces : numpy.ndarray of int32
        Shape (y, x), from `label_pieces`.
    runs : Runs
        Runs of the pieces.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm); without it (None) no gap is bridged.
    gap_nm : float
        Pieces nearer than this (nm) are one region.

    Returns
    -------
    numpy.ndarray of int32
        Shape (y, x), as from `label_regions`; the pieces themselves where no gap is bridged.
    """
    if pixel_size_nm is None or gap_nm <= min(pixel_size_nm):
        return pieces  # two pieces are at least one pixel apart
    boxes = runs.boxes
    # each pair is examined from its smaller box, so that a large piece among specks takes no time
    order = np.argsort(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), kind="stable")
    rank = np.zeros(runs.ids.size + 1, dtype=np.int64)
    rank[runs.ids[order]] = np.arange(1, order.size + 1)
    parent = np.arange(runs.ids.size + 1)
    # across a gap of n pixels the other piece is n + 1 pixels away
    reach = [int(np.ceil(gap_nm / size)) + 1 for size in pixel_size_nm]
    reachable = np.ones([2 * r + 1 for r in reach], dtype=np.uint8)
    for i in order:
        label = int(runs.ids[i])
        y0, x0, y1, x1 = boxes[i]
        crop = pieces[max(y0 - reach[0], 0) : y1 + reach[0], max(x0 - reach[1], 0) : x1 + reach[1]]
        piece = crop == label
        others = (crop != 0) & ~piece
        if not others.any():
            continue
        others &= cv2.dilate(piece.view(np.uint8), reachable).view(bool)
        if not others.any():
            continue
        others &= rank[crop] > rank[label]
        near = others & (_distance_nm(piece, pixel_size_nm) < gap_nm * (1 - 1e-9))
        for other in np.unique(crop[near]):
            _join(parent, label, int(other))
    roots = np.array([_root(parent, label) for label in range(parent.size)])
    return pieces if (roots == np.arange(roots.size)).all() else renumber(roots[pieces])


def _distance_nm(piece: np.ndarray, pixel_size_nm: PixelSize) -> np.ndarray:
    """Return the distance (nm) from each pixel's nearest edge to that of the piece."""
    # dilating the piece by one pixel turns distances between edges into distances between centers
    grown = ndimage.binary_dilation(piece, structure=np.ones((3, 3), dtype=bool))
    return np.asarray(ndimage.distance_transform_edt(~grown, sampling=pixel_size_nm))


def _root(parent: np.ndarray, label: int) -> int:
    """Return the label that represents the set of a label."""
    while parent[label] != label:
        parent[label] = parent[parent[label]]
        label = int(parent[label])
    return label


def _join(parent: np.ndarray, a: int, b: int) -> None:
    """Unite two sets; the smaller label represents both."""
    a, b = sorted((_root(parent, a), _root(parent, b)))
    parent[b] = a
