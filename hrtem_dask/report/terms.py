"""Names of columns and keys as readers know them."""

from __future__ import annotations

__all__ = ["words"]

_TERMS = {
    "feret_min": "minimum Feret diameter",
    "feret_max": "maximum Feret diameter",
    "d10": "D10",
    "d90": "D90",
    "d43": "D[4,3]",
    "sd": "standard deviation",
    "weibull": "Weibull",
}
"""Name → the term of the field, where the name alone is not one."""


def words(name: str) -> str:
    """Convert the name of a column to words, with the unit in brackets.

    Parameters
    ----------
    name : str
        For instance ``feret_min_nm``.

    Returns
    -------
    str
        For instance ``minimum Feret diameter (nm)``.

    Examples
    --------
    >>> words("feret_min_nm"), words("area_nm2"), words("aspect_ratio"), words("d43_nm")
    ('minimum Feret diameter (nm)', 'area (nm²)', 'aspect ratio', 'D[4,3] (nm)')
    """
    for ending, unit in (("_nm", "nm"), ("_nm2", "nm²"), ("_deg", "°"), ("_px", "px")):
        if name.endswith(ending):
            return f"{words(name.removesuffix(ending))} ({unit})"
    return _TERMS.get(name, name.replace("_", " "))
