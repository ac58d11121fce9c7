"""Limits on what the header of a file may ask for, checked before memory or time is spent on it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading.records import Signal

__all__ = ["bounded_signals", "check_chunks", "check_color_size", "check_size"]

ALWAYS_ALLOWED_BYTES = 64 * 2**20
LARGEST_COMPRESSION = 2000
"""Largest plausible compression ratio: Deflate reaches 1032, an image with noise about 3."""
MAX_IMAGE_PIXELS = 2**28
"""Largest image (px), as 16 384 × 16 384: its analysis takes some ten bytes of memory per pixel and stage."""
MAX_IMAGES = 100_000
"""Most images of one file; each is a row and a task."""
MAX_SIGNALS = 1000
"""Most signals of one file."""
MAX_CHUNKS = 2**15
"""Most chunks of one image: each takes a read, and some 0.1 ms."""
MAX_CHUNK_BYTES = 2**31
MAX_COLOR_BYTES = 2**28
"""Largest color picture (bytes) that is decoded to find out whether it is gray, as 9 400 × 9 400 px of 3 bytes."""


def check_size(image_bytes: int, file_bytes: int, *, n_frames: int = 1) -> None:
    """Raise an error if a header states more pixels than its file can hold.

    Parameters
    ----------
    image_bytes : int
        Size of all decoded pixels in bytes.
    file_bytes : int
        Size of the file in bytes.
    n_frames : int
        Number of images.

    Raises
    ------
    UnreadableMicrographError
        If the pixels are more than 64 MiB and more than 2000 times the file, or there are more images than bytes.
    """
    if image_bytes > max(ALWAYS_ALLOWED_BYTES, LARGEST_COMPRESSION * file_bytes) or n_frames > file_bytes:
        raise UnreadableMicrographError(
            f"its header is damaged: it states {n_frames} images of {image_bytes} bytes in all, more than a file of "
            f"{file_bytes} bytes can hold"
        )


def check_chunks(shape: Sequence[int], chunks: Sequence[int], item_bytes: int, *, axes: Sequence[int]) -> None:
    """Raise an error if an image is stored in too many chunks, or in too large ones.

    Parameters
    ----------
    shape : sequence of int
        Shape of the array.
    chunks : sequence of int
        Shape of its chunks.
    item_bytes : int
        Size of one value in bytes.
    axes : sequence of int
        Axes of one image; all of the array's where one image is not read alone.

    Raises
    ------
    UnreadableMicrographError
        If one image has more than 32 768 chunks, or one chunk more than 2 GiB.
    """
    count = math.prod(-(-shape[axis] // max(1, chunks[axis])) for axis in axes)
    if count > MAX_CHUNKS:
        raise UnreadableMicrographError(
            f"it is stored in {count} chunks of {_times(chunks)}, more than {MAX_CHUNKS}: store it in larger chunks"
        )
    if math.prod(chunks) * item_bytes > MAX_CHUNK_BYTES:
        raise UnreadableMicrographError(
            f"its chunks of {_times(chunks)} are larger than {MAX_CHUNK_BYTES >> 30} GiB: store it in smaller chunks"
        )


def check_color_size(height_px: int, width_px: int, pixel_bytes: int) -> None:
    """Raise an error if a color picture is too large to find out whether it is in fact gray.

    Parameters
    ----------
    height_px, width_px : int
        Size of the picture (px).
    pixel_bytes : int
        Size of one pixel with all its channels in bytes.

    Raises
    ------
    UnreadableMicrographError
        If the picture takes more than 256 MiB.
    """
    if height_px * width_px * pixel_bytes > MAX_COLOR_BYTES:
        raise UnreadableMicrographError(
            f"a color picture of {height_px} × {width_px} px, larger than the {MAX_COLOR_BYTES >> 20} MiB up to which "
            "colors are compared: convert it to gray"
        )


def bounded_signals(signals: Sequence[Signal]) -> list[Signal]:
    """Refuse images that are too large, and files with too many of them.

    Parameters
    ----------
    signals : sequence of Signal
        All signals of a file.

    Returns
    -------
    list of Signal
        The same, but one failed signal in place of each that is larger than 2²⁸ px per image.

    Raises
    ------
    UnreadableMicrographError
        If the file has more than 100 000 images, or more than 1000 signals.
    """
    images = sum(signal.n_frames for signal in signals)
    if images > MAX_IMAGES or len(signals) > MAX_SIGNALS:
        raise UnreadableMicrographError(
            f"it states {images} images in {len(signals)} signals, more than {MAX_IMAGES} in {MAX_SIGNALS}: split it"
        )
    return [_bounded(signal) for signal in signals]


def _bounded(signal: Signal) -> Signal:
    """Return a signal, failed where its images are too large."""
    height, width = signal.height_px or 0, signal.width_px or 0
    if signal.status != "ok" or height * width <= MAX_IMAGE_PIXELS:
        return signal
    note = (
        f"an image of {height} × {width} px, more than {MAX_IMAGE_PIXELS} px: cut it into tiles, each with its pixel "
        "size"
    )
    return replace(signal, height_px=None, width_px=None, n_frames=1, status="failed", note=note)


def _times(shape: Sequence[int]) -> str:
    """Return a shape as text."""
    return " × ".join(str(n) for n in shape)
