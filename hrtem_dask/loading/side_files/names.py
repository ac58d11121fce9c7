"""Names of side files."""

from __future__ import annotations

import posixpath

__all__ = ["SIDE_ENDINGS", "side_names"]

SIDE_ENDINGS = (".txt", ".xml", ".hdr")
"""Extensions of side files, in place of the extension of the image or behind it."""


def side_names(name: str) -> tuple[str, ...]:
    """Return the names that side files of an image may have.

    Parameters
    ----------
    name : str
        Name of the image file.

    Returns
    -------
    tuple of str
        Lower case.

    Examples
    --------
    >>> side_names("gold_07.tif")[:3]
    ('gold_07.txt', 'gold_07.xml', 'gold_07.hdr')
    """
    stem, suffix = posixpath.splitext(name.lower())
    return (
        *(stem + ending for ending in SIDE_ENDINGS),
        *(f"{stem}{suffix}{ending}" for ending in SIDE_ENDINGS),
        f"{stem}-{suffix.removeprefix('.')}.hdr",  # Tescan
    )
