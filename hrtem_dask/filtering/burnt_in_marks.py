"""Burnt-in marks: scale bars, letters, labels and information strips in exported images, which are no specimen.

A camera's pixels have noise, those of a mark have one gray value: exactly, or nearly so after resampling and JPEG.
Constant pixels alone are no mark, since saturated particles and dead areas are constant too; shape and place decide.
The search is conservative, because a false mark hides particles.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from hrtem_dask.filtering.framed_text import find_boxes, find_strips
from hrtem_dask.filtering.ink import gray_levels, ink_bars, ink_levels, ink_pieces
from hrtem_dask.filtering.lettering import lettering
from hrtem_dask.filtering.shadowed_text import shadowed_text

__all__ = ["find_marks", "replace_marks"]

LEAST_SIDE_PX = 64
HALO_PX = 2
"""Antialiasing and JPEG change this many pixels around a mark."""


def find_marks(image: np.ndarray) -> np.ndarray:
    """Find the pixels of scale bars, letters, labels and information strips.

    Parameters
    ----------
    image : array_like
        Shape (y, x), any real dtype, as it is in the file: filters would change the gray value of a mark.

    Returns
    -------
    numpy.ndarray of bool
        Shape (y, x), True on marks and 2 px around them. Boxes and strips are marked with all that is on them. Images
        with a side below 64 px have no marks.

    Examples
    --------
    >>> import cv2
    >>> import numpy as np
    >>> from hrtem_dask.filtering import find_marks
    >>> image = np.random.default_rng(0).normal(120.0, 10.0, (256, 256)).astype(np.uint8)
    >>> bool(find_marks(image).any())
    False
    >>> image[230:236, 20:90] = 255
    >>> _ = cv2.putText(image, "50 nm", (22, 222), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2)
    >>> marks = find_marks(image)
    >>> bool(marks[230:236, 20:90].all()), bool(marks[:190].any())
    (True, False)
    """
    image = np.asarray(image)
    marks = np.zeros(image.shape, dtype=bool)
    grays = gray_levels(image) if min(image.shape) >= LEAST_SIDE_PX else None
    if grays is None:
        return marks
    levels = list(ink_levels(grays))
    for window in find_strips(grays):
        marks[window] = True
    for _, level in levels:
        for rows, columns in find_boxes(grays, level):
            marks[rows, columns] = True
    if marks.any():
        marks = _grown(marks)
        grays = replace(grays, values=np.where(marks, grays.background, grays.values), counts=None)
    drawn = np.zeros_like(marks)
    for is_white, level in levels:
        bars = ink_bars(grays, is_white=is_white, level=level)
        # dots belong to text, and are near bars; alone they are no mark
        candidates = ink_pieces(grays, is_white=is_white, level=level, specks_alone=bool(bars)) + bars
        for kind, pieces in lettering(candidates, grays):
            for piece in pieces:
                drawn[piece.y0 : piece.y1, piece.x0 : piece.x1] |= piece.mask
                for window in shadowed_text(piece, grays) if kind == "bar" else []:
                    drawn[window] = True
    return marks | _grown(drawn) if drawn.any() else marks


def replace_marks(image: np.ndarray, marks: np.ndarray) -> np.ndarray:
    """Replace marked pixels by smoothly interpolated surroundings.

    Parameters
    ----------
    image : array_like
        Shape (y, x), any real dtype.
    marks : numpy.ndarray of bool
        Shape (y, x), from `find_marks`.

    Returns
    -------
    numpy.ndarray
        Same shape and dtype; all other pixels are unchanged. The new values are smooth: no noise is made up.

    Notes
    -----
    Push and pull: means of unmarked pixels on ever coarser grids fill the marked ones on the finer grids.

    References
    ----------
    Gortler et al., The lumigraph, SIGGRAPH (1996) 43: pull–push interpolation.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.filtering import replace_marks
    >>> image = np.full((4, 6), 100, np.uint8)
    >>> image[1, 2:4] = 255
    >>> int(replace_marks(image, image == 255).max())
    100
    """
    image = np.asarray(image)
    if not marks.any() or marks.all():
        return image
    weight = (~marks & np.isfinite(image)).astype(np.float32)
    filled = _push_pull(np.where(weight > 0, image, 0).astype(np.float32), weight)[marks]
    replaced = image.copy()
    replaced[marks] = filled if image.dtype.kind == "f" else np.round(filled).astype(image.dtype)
    return replaced


def _grown(mask: np.ndarray) -> np.ndarray:
    """Return a mask grown by the halo of antialiasing and JPEG."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * HALO_PX + 1, 2 * HALO_PX + 1))
    return cv2.dilate(mask.view(np.uint8), disk).astype(bool)


def _push_pull(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the values where the weight is 1, and interpolated ones where it is 0."""
    if min(values.shape) <= 1 or weight.min() > 0:
        total = max(float(weight.sum()), 1.0)
        return np.where(weight > 0, values, np.float32((values * weight).sum() / total))
    half = (-(-values.shape[1] // 2), -(-values.shape[0] // 2))
    share = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(values * weight, half, interpolation=cv2.INTER_AREA) / np.maximum(share, np.float32(1e-6))
    coarse = _push_pull(mean, (share > 0.01).astype(np.float32))
    up = cv2.resize(coarse, (values.shape[1], values.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.where(weight > 0, values, up)
