"""Confusion matrices drawn side by side as SVG."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

__all__ = ["Matrix", "draw_matrices"]

_CELL, _LEFT, _TOP, _GAP = 84, 150, 60, 40
_WHITE, _BLUE = np.array([255, 255, 255]), np.array([0, 114, 178])  # Okabe and Ito's blue


@dataclass(frozen=True)
class Matrix:
    """One confusion matrix to draw."""

    title: str
    """Title above the matrix."""
    classes: tuple[str, ...]
    """Names of the classes, for rows (true) and columns (predicted)."""
    shares: np.ndarray
    """Shape (n, n): share of each true class, 0 to 1; NaN if a class is absent."""
    counts: np.ndarray | None = None
    """Shape (n, n), int: number of regions, in small print; None if unknown."""


def draw_matrices(matrices: Sequence[Matrix]) -> str:
    """Draw confusion matrices side by side.

    Parameters
    ----------
    matrices : sequence of Matrix
        The matrices, at least one.

    Returns
    -------
    str
        A self-contained SVG document. True classes by row, predicted classes by column; the shade shows the share of
        the row.
    """
    parts: list[str] = []
    left = 0
    for matrix in matrices:
        parts += _matrix(matrix, left)
        left += _LEFT + _CELL * len(matrix.classes) + _GAP
    height = _TOP + _CELL * max(len(m.classes) for m in matrices) + 60
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{left}" height="{height}" viewBox="0 0 {left} {height}" '
        f'font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>{"".join(parts)}</svg>\n'
    )


def _matrix(matrix: Matrix, left: int) -> Iterator[str]:
    """Yield the SVG elements of one matrix."""
    n = len(matrix.classes)
    yield _text(left + _LEFT, 24, matrix.title, anchor="start", size=14)
    yield _text(left + _LEFT, 44, "rows: true class, columns: predicted", anchor="start", size=10)
    for i, name in enumerate(matrix.classes):
        yield _text(left + _LEFT - 8, _TOP + _CELL * (i + 0.5) + 4, name.replace("_", " "), anchor="end")
        for line, word in enumerate(_split_name(name)):
            yield _text(left + _LEFT + _CELL * (i + 0.5), _TOP + _CELL * n + 16 + 12 * line, word, size=11)
        for j in range(n):
            x, y, share = left + _LEFT + _CELL * j, _TOP + _CELL * i, float(matrix.shares[i, j])
            known = share == share
            red, green, blue = (int(v) for v in (_WHITE + (_BLUE - _WHITE) * share if known else _WHITE))
            fill = f"rgb({red},{green},{blue})"
            yield f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="{fill}" stroke="#888"/>'
            ink = "white" if known and share > 0.6 else "#222"
            yield _text(x + _CELL / 2, y + _CELL / 2, f"{share:.2f}" if known else "–", size=16, ink=ink)
            if matrix.counts is not None:
                yield _text(x + _CELL / 2, y + _CELL / 2 + 18, f"{int(matrix.counts[i, j])}", size=10, ink=ink)


def _split_name(name: str) -> tuple[str, ...]:
    """Split the name of a class into lines that fit below a column."""
    first, _, rest = name.partition("_")
    return tuple(word for word in (first, rest.replace("_", " ")) if word)


def _text(x: float, y: float, text: str, *, anchor: str = "middle", size: int = 12, ink: str = "#222") -> str:
    """Return an SVG text element."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{ink}">{escape(text)}</text>'
