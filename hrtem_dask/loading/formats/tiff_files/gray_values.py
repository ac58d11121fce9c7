"""Gray values of a TIFF page as the file means them: palettes, white as zero, and samples that are no colors."""

from __future__ import annotations

from typing import Any

import numpy as np
import tifffile

from hrtem_dask.errors import RefusedSignalError, UnreadableMicrographError
from hrtem_dask.loading.formats.colour import gray_channel

__all__ = ["gray_image"]

_MEASURED_SAMPLE = 0
"""Kind of an extra sample that is neither of the two kinds of alpha."""


def gray_image(pixels: np.ndarray, page: Any) -> tuple[np.ndarray, str]:
    """Return the gray image that a page shows.

    Parameters
    ----------
    pixels : numpy.ndarray
        Values as they are stored, (y, x), or with an axis of samples, which is first or last as `page` states.
    page : tifffile.TiffPage
        The page, or that of the same series which has all tags.

    Returns
    -------
    image : numpy.ndarray
        Shape (y, x). Indices of a palette are replaced by its gray values; where zero means white, values are inverted.
    note : str
        Remark about colored pixels; mostly empty.

    Raises
    ------
    RefusedSignalError
        If the pixels are in color, or hold several measured values each.
    UnreadableMicrographError
        If indices have no entry in the palette.
    """
    note = ""
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        pixels, note = _of_palette(pixels, page.colormap)
    elif pixels.ndim == 3:
        _check_samples(page)
        # also where the file stores one plane per color
        pixels, note = gray_channel(np.moveaxis(pixels, 0, -1) if page.axes.startswith("S") else pixels)
    if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
        pixels = _inverted(pixels, page.bitspersample)
    return pixels, note


def _of_palette(indices: np.ndarray, colormap: np.ndarray | None) -> tuple[np.ndarray, str]:
    """Look the indices up; only the entries that pixels use decide whether the image is gray."""
    if colormap is None:
        raise UnreadableMicrographError("the TIFF file is damaged: its palette is missing")
    if int(indices.max(initial=0)) >= colormap.shape[1]:
        raise UnreadableMicrographError(
            f"the TIFF file is damaged: index {int(indices.max())} in a palette of {colormap.shape[1]} entries"
        )
    # entries have 16 bits; those of 8-bit images repeat their upper byte, or leave the lower one empty
    lower = colormap & 0xFF
    is_8_bit = bool(np.all((lower == 0) | (lower == colormap >> 8)))
    table = (colormap >> 8).astype(np.uint8) if is_8_bit else colormap.astype(np.uint16)
    try:
        return gray_channel(np.moveaxis(table, 0, -1)[indices])
    except RefusedSignalError as error:
        raise RefusedSignalError(f"a picture in false colors (palette), not a micrograph: {error}") from error


def _check_samples(page: Any) -> None:
    """Refuse several measured values per pixel: a colored or transparent picture has a stated meaning of each."""
    if page.photometric in (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE):
        extra = tuple(int(kind) for kind in page.extrasamples)
        if page.samplesperpixel == 2 and _MEASURED_SAMPLE in extra:
            raise RefusedSignalError("two measured values per pixel, which are no colors: save them as two images")


def _inverted(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Invert an image whose zero means white, by the range of its bits; floating-point values change their sign."""
    kind = pixels.dtype.kind
    if kind == "b":
        return ~pixels
    if kind == "u":
        top = np.array(min(2**bits - 1, np.iinfo(pixels.dtype).max), dtype=pixels.dtype)
        return np.asarray(top - pixels)
    return np.asarray(~pixels if kind == "i" else -pixels)
