"""TIFF files, read by tifffile: one signal per series, one frame per page."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from hrtem_dask.errors import RefusedSignalError, UnreadableMicrographError
from hrtem_dask.loading.formats.header_limits import check_color_size, check_size
from hrtem_dask.loading.formats.npy import describe_array
from hrtem_dask.loading.formats.tiff_files.acquisition import acquisition, description
from hrtem_dask.loading.formats.tiff_files.gray_values import gray_image
from hrtem_dask.loading.formats.tiff_files.own_series import OwnSeries, own_series
from hrtem_dask.loading.formats.tiff_files.pages import check_pages
from hrtem_dask.loading.formats.tiff_files.tags import TiffImage, calibration
from hrtem_dask.loading.records import OWN_LABELS, Signal

__all__ = ["list_signals", "read_frame"]


def list_signals(path: Path) -> list[Signal]:
    """List the signals of a TIFF file.

    Parameters
    ----------
    path : pathlib.Path
        The file.

    Returns
    -------
    list of Signal
        One signal per series, made of the pages of this file alone, also where it belongs to a set of files. Only
        pictures in color or with a palette are read, to find out whether they are in fact gray.

    Raises
    ------
    tifffile.TiffFileError
        If the file is not a TIFF file.
    """
    check_pages(path)
    with tifffile.TiffFile(path) as tif:
        found = own_series(tif, path)
        colored = ["S" in series.axes for series in found]
        return [_signal(tif, s, n, beside_gray=colored[n] and not all(colored)) for n, s in enumerate(found)]


def _signal(tif: Any, series: OwnSeries, number: int, *, beside_gray: bool) -> Signal:
    """Describe one series."""
    page = series.keyframe
    shape = tuple(n for n, axis in zip(series.shape, series.axes, strict=True) if axis not in "YXS")
    check_size(series.nbytes, tif.filehandle.size, n_frames=math.prod(shape))
    described = describe_array((math.prod(shape), page.imagelength, page.imagewidth), np.dtype(series.dtype))
    if described.status != "ok":
        return described
    image = TiffImage(tif, page, number, None if series.image is None else series.image.pixels)
    size = calibration(image)
    refused, note = "", ""
    try:
        _check_whole(tif, page)
        if size.reciprocal:
            refused = "a diffraction pattern: its axes are spatial frequencies"
        elif page.is_reduced:
            refused = "a thumbnail"
        elif (tif.imagej_metadata or {}).get("hrtem_dask"):
            refused = OWN_LABELS
        elif beside_gray:
            refused = "a color display copy beside the measured image"
        elif "S" in series.axes or page.photometric == tifffile.PHOTOMETRIC.PALETTE:
            check_color_size(page.imagelength, page.imagewidth, page.samplesperpixel * series.dtype.itemsize)
            note = gray_image(_page_pixels(tif, series, 0), page)[1]
    except RefusedSignalError as error:
        refused = str(error)
    except UnreadableMicrographError as error:
        return Signal(dtype=described.dtype, status="failed", note=str(error))
    return Signal(
        title="" if series.name.startswith("Series ") else series.name,
        dtype=described.dtype,
        height_px=page.imagelength,
        width_px=page.imagewidth,
        n_frames=1 if refused else math.prod(shape),
        calibration=size,
        status="set_aside" if refused else "ok",
        note=refused or "; ".join(filter(None, [note, series.note])),
        description=description(image),
        fields=series.fields if not refused else (),
        **acquisition(image),
    )


def read_frame(path: Path, signal: int, frame: int) -> np.ndarray:
    """Read one image.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    signal : int
        Number of the series.
    frame : int
        Number of the image in it.

    Returns
    -------
    numpy.ndarray
        Shape (y, x), native byte order. Images whose zero means white are inverted, as the standard requires.

    Raises
    ------
    UnreadableMicrographError
        If the file is cut off.
    """
    check_pages(path)
    with tifffile.TiffFile(path) as tif:
        series = own_series(tif, path)[signal]
        page = series.keyframe
        image = _page_pixels(tif, series, frame)
        image = gray_image(image, page)[0]
        return np.ascontiguousarray(image, dtype=image.dtype.newbyteorder("="))


def _page_pixels(tif: Any, series: OwnSeries, frame: int) -> np.ndarray:
    """Read the pixels of one frame, with all channels, and of no other frame."""
    if len(series.pages) == 1 and series.dataoffset is not None and series.shape != series.keyframe.shape:
        # ImageJ describes a stack beyond 4 GB by its first page only; the others follow it without a gap
        shape = (-1, *series.keyframe.shape)
        count = math.prod(series.shape)
        dtype = np.dtype(tif.byteorder + np.dtype(series.dtype).char)
        if series.dataoffset + count * dtype.itemsize > tif.filehandle.size:
            raise UnreadableMicrographError("the TIFF file is cut off: its stack is longer than the file")
        stack = np.memmap(tif.filehandle.path, dtype, "r", series.dataoffset, (count,)).reshape(shape)
        return np.array(stack[frame])
    if math.prod(series.shape) != math.prod(series.keyframe.shape) * len(series.pages):
        raise UnreadableMicrographError(
            f"pages of the TIFF file are missing: it has {len(series.pages)} for the shape {series.shape}"
        )
    page = series.pages[frame]
    if page is None:
        raise UnreadableMicrographError(f"page {frame} is missing: the OME-TIFF series continues in another file")
    _check_whole(tif, page)
    return np.asarray(page.asarray())


def _check_whole(tif: Any, page: Any) -> None:
    """Raise if the file ends before the pixels of a page; a decoder would fill the rest with zeros."""
    missing = sum(not n for n in page.databytecounts)
    if missing:
        raise UnreadableMicrographError(
            f"{missing} of the {len(page.databytecounts)} parts of the TIFF image were never written"
        )
    end = max((o + n for o, n in zip(page.dataoffsets, page.databytecounts, strict=True) if o), default=0)
    if end > tif.filehandle.size:
        raise UnreadableMicrographError(
            f"the TIFF file is cut off: {tif.filehandle.size} bytes, its pixels end at byte {end}"
        )
    check_size(page.keyframe.nbytes, tif.filehandle.size)
    stored, described = sum(page.databytecounts), page.keyframe  # tifffile reads only offsets of the later pages
    compressed = described.compression != tifffile.COMPRESSION.NONE
    if math.prod(described.chunked) > len(page.dataoffsets) or (
        not compressed and stored < described.size * described.bitspersample // 8
    ):
        raise UnreadableMicrographError("the TIFF file is damaged: it has fewer pixels than its header states")
