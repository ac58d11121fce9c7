"""Check that a header states no more pixels than its file can hold, before memory is allocated for them."""

from __future__ import annotations

from hrtem_dask.errors import UnreadableMicrographError

__all__ = ["check_size"]

ALWAYS_ALLOWED_BYTES = 64 * 2**20
LARGEST_COMPRESSION = 2000
"""Largest plausible compression ratio: Deflate reaches 1032, an image with noise about 3."""


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
