"""Reasons why images have no result, in words that images of one kind share, so that they can be counted."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hrtem_dask.errors import reason_alone

__all__ = ["shared_reasons"]

N_NAMED = 2
"""Largest number of different names, shapes or sources that a shared reason has."""
_VARYING = re.compile(
    r"(?<=\(file: )[^()]*(?=\))"  # where a pixel size is from
    r"|\d+(?:×\d+)+"  # a shape
    r"|[^\s(),;:]*/[^\s(),;:]*"  # a path
    r"|(?<![\w.])\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w×]|-[A-Za-z])"  # a number
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")


def shared_reasons(reasons: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Put reasons that differ in numbers and names alone into the same words.

    Parameters
    ----------
    reasons : sequence of str
        Why images have no result.
    sources : sequence of str
        Path or URL of the file of each one; its name at the beginning of the reason is left out.

    Returns
    -------
    list of str
        One for each reason: numbers that differ as a range, other words that differ as up to `N_NAMED` of them.

    Examples
    --------
    >>> found = shared_reasons(["a.tif: 5 nm is too large", "b.tif: 7 nm is too large"], ["a.tif", "b.tif"])
    >>> sorted(set(found))
    ['5 to 7 nm is too large']
    """
    texts = [reason_alone(reason, source) for reason, source in zip(reasons, sources, strict=True)]
    groups: dict[tuple[str, ...], list[list[str]]] = {}
    for text in dict.fromkeys(texts):
        groups.setdefault(tuple(_VARYING.split(text)), []).append(_VARYING.findall(text))
    shared = {fixed: _joined(fixed, found) for fixed, found in groups.items()}
    return [shared[tuple(_VARYING.split(text))] for text in texts]


def _joined(fixed: Sequence[str], found: Sequence[Sequence[str]]) -> str:
    """Return the words of a group, with what varies between them."""
    between = [_all_of(list(dict.fromkeys(values))) for values in zip(*found, strict=True)]
    return "".join(part for pair in zip(fixed, [*between, ""], strict=True) for part in pair)


def _all_of(values: list[str]) -> str:
    """Return a range of numbers, or the first of several other words."""
    if len(values) == 1:
        return values[0]
    if all(_NUMBER.fullmatch(value) for value in values):
        return f"{min(values, key=float)} to {max(values, key=float)}"
    return ", ".join(values[:N_NAMED]) + (", …" if len(values) > N_NAMED else "")
