"""What programs and authors burn into images: scale bars, text, letters, arrows, strips. Never a particle."""

from __future__ import annotations

import cv2
import numpy as np

__all__ = ["annotate"]

FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_PLAIN,
)  # fmt: skip
LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
SMALLEST_SCALE = 0.3


class _Ink:
    """Drawing that remembers where it was."""

    def __init__(self, values: np.ndarray, white: float) -> None:
        self.values = values.copy()
        self.mask = np.zeros(values.shape, bool)
        self.white = white

    def put(self, drawn: np.ndarray, grey: float) -> None:
        share = drawn.astype(np.float32) / 255
        self.values += share * (np.float32(grey * self.white) - self.values)
        self.mask |= drawn > 0

    def layer(self) -> np.ndarray:
        return np.zeros(self.values.shape, np.uint8)

    def box(self, y0: int, x0: int, y1: int, x1: int, grey: float) -> None:
        self.values[max(y0, 0) : y1, max(x0, 0) : x1] = grey * self.white
        self.mask[max(y0, 0) : y1, max(x0, 0) : x1] = True

    def text(self, words: str, y: int, x: int, font: int, scale: float, weight: int, grey: float) -> None:
        layer = self.layer()
        cv2.putText(layer, words, (x, y), font, scale, 255, weight, cv2.LINE_AA)
        self.put(layer, grey)


def annotate(
    rng: np.random.Generator, values: np.ndarray, *, pixel_size_nm: float, white: float
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Burn marks into an image.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    values : numpy.ndarray
        Shape (y, x), float32: grey values.
    pixel_size_nm : float
        Pixel size (nm): it decides how long a bar is.
    white : float
        Grey value of white ink.

    Returns
    -------
    values : numpy.ndarray of float32
        The image with its marks.
    mask : numpy.ndarray of bool
        Every pixel that a mark changed.
    kinds : tuple of str
        Names: bar, letter, text, arrow, strip.
    """
    ink = _Ink(values, white)
    kinds: list[str] = []
    corners = [str(c) for c in rng.permutation(["top left", "top right", "bottom left", "bottom right"])]
    if rng.random() < 0.14:
        _strip(rng, ink, pixel_size_nm)
        kinds.append("strip")
        corners = [c for c in corners if c.startswith("top")]
    elif rng.random() < 0.8:
        corner = corners.pop() if rng.random() < 0.3 else str(rng.choice(["bottom left", "bottom right"]))
        corners = [c for c in corners if c != corner]
        _bar(rng, ink, corner, pixel_size_nm)
        kinds.append("bar")
    if rng.random() < 0.6 or not kinds:
        words = str(rng.choice(["a", "b", "c", "D", "(a)", "(b)", "(C)", "e)", "f", "A", "(ii)"]))
        _label(rng, ink, words, corners[0])
        kinds.append("letter")
        corners = corners[1:]
    if rng.random() < 0.12 and corners:
        _label(rng, ink, str(rng.choice(["30 C", "Sample 2", "t = 5 min", "pH 7", "200 kV", "#12"])), corners[0])
        kinds.append("text")
    if rng.random() < 0.1:
        _arrow(rng, ink)
        kinds.append("arrow")
    return np.round(ink.values), ink.mask, tuple(kinds)


def _style(rng: np.random.Generator, size: int) -> tuple[int, float, int, float]:
    """Draw font, scale, weight and grey."""
    scale = max(float(rng.uniform(0.4, 1.1)) * size / 512, SMALLEST_SCALE)
    grey = float(rng.choice([0.0, 1.0, 1.0])) if rng.random() < 0.9 else float(rng.uniform(0, 1))
    return int(rng.choice(FONTS)), scale, int(rng.integers(1, 3 if scale > 0.6 else 2)), grey


def _label(rng: np.random.Generator, ink: _Ink, words: str, corner: str) -> None:
    """Write words into a corner, sometimes in a box."""
    height, width = ink.values.shape
    font, scale, weight, grey = _style(rng, height)
    (w, h), base = cv2.getTextSize(words, font, scale, weight)
    gap = int(rng.integers(3, 14))
    y = gap + h if corner.startswith("top") else height - gap - base
    x = gap if corner.endswith("left") else width - gap - w
    if rng.random() < 0.35:
        pad = int(rng.integers(2, 8))
        ink.box(y - h - pad, x - pad, y + base + pad, x + w + pad, 1 - round(grey))
        grey = float(round(grey))
    ink.text(words, y, x, font, scale, weight, grey)


def _bar(rng: np.random.Generator, ink: _Ink, corner: str, pixel_size_nm: float) -> None:
    """Draw a scale bar with its length."""
    height, width = ink.values.shape
    font, scale, weight, grey = _style(rng, height)
    length_nm = min(LENGTHS, key=lambda n: abs(n / pixel_size_nm - rng.uniform(0.12, 0.3) * width))
    length = int(np.clip(length_nm / pixel_size_nm, 0.06 * width, 0.5 * width))
    thick = int(rng.integers(1, max(height // 60, 2) + 1))
    words = f"{length_nm}{rng.choice(['', ' '])}nm" if length_nm < 500 or rng.random() < 0.5 else "0.5 um"
    (w, h), base = cv2.getTextSize(words, font, scale, weight)
    gap, above = int(rng.integers(4, 16)), bool(rng.random() < 0.75)
    wide, tall = max(w, length), h + base + thick + 4
    x = gap if corner.endswith("left") else width - gap - wide
    y = gap if corner.startswith("top") else height - gap - tall
    if rng.random() < 0.35:
        pad = int(rng.integers(2, 9))
        grey = float(round(grey))
        ink.box(y - pad, x - pad, y + tall + pad, x + wide + pad, 1 - grey)
    bar_y = y + h + base + 3 if above else y
    ink.box(bar_y, x + (wide - length) // 2, bar_y + thick, x + (wide - length) // 2 + length, grey)
    if rng.random() < 0.85:
        ink.text(words, y + h if above else y + thick + 4 + h, x + (wide - w) // 2, font, scale, weight, grey)


def _strip(rng: np.random.Generator, ink: _Ink, pixel_size_nm: float) -> None:
    """Draw an information strip along the lower edge."""
    height, width = ink.values.shape
    tall = int(height * rng.uniform(0.05, 0.12))
    paper = float(rng.choice([0.0, 1.0]))
    ink.box(height - tall, 0, height, width, paper)
    font, scale = int(rng.choice(FONTS[:2])), max(tall / 60, 0.25)
    words = f"HV {rng.choice([80, 120, 200])}kV  x{int(rng.integers(10, 400))}k  {pixel_size_nm:.2f} nm/px"
    ink.text(words, height - tall // 3, int(0.02 * width), font, scale, 1, 1 - paper)
    length = int(width * rng.uniform(0.1, 0.2))
    y = height - tall // 2
    ink.box(y, width - length - 6, y + max(tall // 10, 1), width - 6, 1 - paper)


def _arrow(rng: np.random.Generator, ink: _Ink) -> None:
    """Draw an arrow somewhere."""
    height, width = ink.values.shape
    x0, y0 = (int(v) for v in rng.uniform(0.1, 0.9, 2) * (width, height))
    angle, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.14) * width
    end = (int(x0 + length * np.cos(angle)), int(y0 + length * np.sin(angle)))
    layer = ink.layer()
    cv2.arrowedLine(layer, (x0, y0), end, 255, int(rng.integers(1, 4)), cv2.LINE_AA, tipLength=0.3)
    ink.put(layer, float(rng.choice([0.0, 1.0])))
