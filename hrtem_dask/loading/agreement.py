"""Several pixel sizes of one image: those of its file and of files beside it, and whether they agree."""

from __future__ import annotations

from collections.abc import Iterable

from hrtem_dask.loading.pixel_sizes import Calibration
from hrtem_dask.micrograph import PixelSize

__all__ = ["combine", "contradiction"]

MAX_DIFFERENCE = 0.05
"""Relative difference above which two pixel sizes contradict each other; rounded magnifications differ by less."""
MAX_ANISOTROPY = 8.0
"""Height over width, or width over height, that a camera or a scan does not have: units differ by a factor of 10."""
_DEFAULT_SIZES = {(1.0, 1.0), (1e3, 1e3), (1e7, 1e7), (1e9, 1e9)}
"""Pixels of 1 in some unit, which programs write where the pixel size is not known (nm)."""


def combine(candidates: Iterable[Calibration]) -> Calibration:
    """Combine the pixel sizes of several entries.

    Parameters
    ----------
    candidates : iterable of Calibration
        In order of precedence.

    Returns
    -------
    Calibration
        The first one with a pixel size, with the others in `others`, and the remarks of all in `note`. If any entry
        says that the axes are spatial frequencies, they are.

    Examples
    --------
    >>> from hrtem_dask.loading.pixel_sizes import Calibration
    >>> both = combine([Calibration((0.1, 0.1), "file: a"), Calibration((0.2, 0.2), "file: b")])
    >>> both.pixel_size_nm, both.others
    ((0.1, 0.1), (((0.2, 0.2), 'file: b'),))
    """
    listed = list(candidates)
    if any(c.reciprocal for c in listed):
        return Calibration(reciprocal=True)
    stated: list[tuple[PixelSize, str]] = []
    for one in listed:
        if one.pixel_size_nm is not None:
            stated += [(one.pixel_size_nm, one.source), *one.others]
    note = "; ".join(dict.fromkeys(c.note for c in listed if c.note))
    if not stated:
        return Calibration(note=note)
    known = [s for s in stated if s[0] not in _DEFAULT_SIZES] or stated
    (size, source), *others = known
    return Calibration(size, source, others=tuple(dict.fromkeys(others)), note=note)


def contradiction(calibration: Calibration) -> str:
    """Return in words how pixel sizes contradict each other.

    Nothing in a file tells which of two programs was right, so that neither size is used.

    Parameters
    ----------
    calibration : Calibration
        From `combine`.

    Returns
    -------
    str
        All sizes with their sources; empty where they agree within 5 %, and height and width within a factor of 8.

    Examples
    --------
    >>> from hrtem_dask.loading.pixel_sizes import Calibration
    >>> contradiction(Calibration((0.1, 0.1), "file: a", others=(((0.2, 0.2), "file: b"),)))
    'pixel sizes that contradict each other: 0.1 nm (file: a), 0.2 nm (file: b)'
    """
    if calibration.pixel_size_nm is None:
        return ""
    stated = [(calibration.pixel_size_nm, calibration.source), *calibration.others]
    words = ", ".join(f"{_in_words(size)} ({source})" for size, source in stated)
    for axis in (0, 1):
        sizes = [size[axis] for size, _ in stated]
        if max(sizes) > (1 + MAX_DIFFERENCE) * min(sizes):
            return f"pixel sizes that contradict each other: {words}"
    y, x = calibration.pixel_size_nm
    if max(y, x) > MAX_ANISOTROPY * min(y, x):
        return f"height and width of a pixel contradict each other: {words}"
    return ""


def _in_words(size: PixelSize) -> str:
    """Return height and width of a pixel, once where they are equal."""
    y, x = size
    return f"{y:.4g} nm" if abs(y - x) <= 1e-3 * max(y, x) else f"{y:.4g} × {x:.4g} nm"
