"""A fingerprint of the fine structure of an image, noise included: copies agree in it, two exposures do not.

The upper part of the image, twice as wide as high, is averaged to some standard widths. At 1024 places of each one the
sign of the difference to the surroundings is kept. A change of brightness, contrast or bits leaves these signs as they
are, and an information strip below the image is outside of the part. Noise makes the signs of two exposures of one
field disagree wherever there is no strong structure.
"""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass

import cv2
import numpy as np

from hrtem_dask.loading.quality import image_hash
from hrtem_dask.medians import median

__all__ = [
    "MIN_PLACES",
    "WIDTHS_PX",
    "Fingerprint",
    "compared_width",
    "fingerprint_agreement",
    "finite_float",
    "make_fingerprint",
]

WIDTHS_PX = (512, 256, 128)
"""Widths to which an image is averaged; only those that are not larger than it."""
GRID = 32
"""Places are chosen in a grid of so many rows and columns, one in each cell."""
MIN_PLACES = 400
"""Fewest places of two images that both have a sign: a chance agreement then has a standard deviation of 0.05."""


@dataclass(frozen=True)
class Fingerprint:
    """Fingerprint of one image."""

    image_hash: str
    """Hash of shape, data type and pixels; empty for a constant image, which has nothing to recognize it by."""
    shape: tuple[int, int]
    """Height and width of the image (px)."""
    signs: dict[int, np.ndarray]
    """Width (px) → signs at the places of `GRID`, int8 of shape (1024,): −1, 0 (no difference) or 1."""
    turned: str = ""
    """Same for an image that was turned by a right angle or mirrored; empty for a constant image."""

    def encode(self) -> str:
        """Return the fingerprint as text.

        Returns
        -------
        str
            About 1000 characters, to be read by `decode`.
        """
        parts = [
            f"{width}={base64.b85encode(np.packbits([signs > 0, signs < 0]).tobytes()).decode()}"
            for width, signs in self.signs.items()
        ]
        if self.turned:
            parts.append(f"turned={self.turned}")
        return " ".join([self.image_hash, f"{self.shape[0]}x{self.shape[1]}", *parts])

    @classmethod
    def decode(cls, text: str) -> Fingerprint:
        """Read a fingerprint.

        Parameters
        ----------
        text : str
            From `encode`.

        Returns
        -------
        Fingerprint
            The same fingerprint.

        Raises
        ------
        ValueError
            If the text is none.
        """
        content, size, *parts = text.split(" ")
        height, width = (int(n) for n in size.split("x"))
        signs, turned = {}, ""
        for part in parts:
            name, _, coded = part.partition("=")
            if name == "turned":
                turned = coded
                continue
            bits = np.unpackbits(np.frombuffer(base64.b85decode(coded), np.uint8)).reshape(2, -1).astype(np.int8)
            signs[int(name)] = bits[0] - bits[1]
        return cls(content, (height, width), signs, turned)


def make_fingerprint(image: np.ndarray, *, content_hash: str | None = None) -> Fingerprint:
    """Make the fingerprint of an image.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype, as it is in the file; non-finite pixels are replaced by the median.
    content_hash : str, optional
        `image_hash` of the image, where it is known already.

    Returns
    -------
    Fingerprint
        Without signs where the image is narrower than 128 px or lower than 64 px.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = rng.normal(1000, 50, (256, 256))
    >>> first, copy = make_fingerprint(image), make_fingerprint((image / 6).astype(np.uint8))
    >>> fingerprint_agreement(first, copy) > 0.9
    True
    >>> abs(fingerprint_agreement(first, make_fingerprint(rng.normal(1000, 50, (256, 256))))) < 0.2
    True
    """
    height, width = image.shape
    signs = {}
    part = finite_float(image[: max(width // 2, 1)])
    ratio = part.shape[0] / max(width, 1)
    for level in WIDTHS_PX:
        rows = round(level * ratio)
        if level <= width and rows >= GRID:
            part = cv2.resize(part, (level, rows), interpolation=cv2.INTER_AREA)
            detail = part - cv2.blur(part, (3, 3), borderType=cv2.BORDER_REFLECT_101)
            signs[level] = np.sign(_without_rounding(detail, part))[_places(rows, level)].astype(np.int8)
    if _is_constant(image):
        return Fingerprint("", (height, width), signs)
    return Fingerprint(content_hash or image_hash(image), (height, width), signs, _whatever_way_up(image))


def _whatever_way_up(image: np.ndarray) -> str:
    """Return what an image shares with those that are turned by right angles or mirrored, and hardly with another."""
    # the sum of floats depends on their order, by a part of their size: of a sum near zero no digit would be certain
    values = np.abs(image) if image.dtype.kind == "f" else image
    total = float(values.sum(dtype=np.float64))
    if not np.isfinite(total):
        total = float(values[np.isfinite(values)].sum(dtype=np.float64))
    return f"{min(image.shape)}x{max(image.shape)}:{total:.9g}"


def _is_constant(image: np.ndarray) -> bool:
    """Return whether all finite pixels are equal."""
    values = image[np.isfinite(image)] if image.dtype.kind == "f" else image
    return values.size == 0 or bool(values.min() == values.max())


def finite_float(image: np.ndarray) -> np.ndarray:
    """Return an image as float32 without non-finite pixels.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype.

    Returns
    -------
    numpy.ndarray
        Shape (y, x); non-finite pixels are at the median of the others, or 0 where there are no others.
    """
    if image.dtype in (np.uint8, np.uint16) and image.size:  # their differences are exact in float32
        return np.asarray(np.subtract(image, np.float32(median(image)), dtype=np.float32))
    # an offset that is large for float32 is taken away first
    finite = np.isfinite(image) if image.dtype.kind == "f" else None
    if image.size and (finite is None or finite.all()):
        return (image.astype(np.float64) - median(image)).astype(np.float32)
    finite = np.ones(image.shape, bool) if finite is None else finite
    middle = float(np.median(image[finite])) if finite.any() else 0.0
    return np.where(finite, image.astype(np.float64) - middle, 0.0).astype(np.float32)


def _without_rounding(detail: np.ndarray, part: np.ndarray) -> np.ndarray:
    """Set differences to zero that are only rounding errors of float32."""
    return np.where(np.abs(detail) > 1e-5 * max(float(np.abs(part).max(initial=0)), 1e-30), detail, 0)


@functools.lru_cache(maxsize=64)
def _places(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    """Return one place in each cell of a grid, the same for every image of this size."""
    rng = np.random.default_rng(0)
    y, x = (grid.ravel() for grid in np.mgrid[:GRID, :GRID])
    offset = rng.uniform(0.2, 0.8, (2, GRID * GRID))
    return ((y + offset[0]) * rows / GRID).astype(int), ((x + offset[1]) * columns / GRID).astype(int)


def fingerprint_agreement(first: Fingerprint, second: Fingerprint) -> float:
    """Return how far two fingerprints agree.

    Parameters
    ----------
    first, second : Fingerprint
        Fingerprints of two images.

    Returns
    -------
    float
        Mean product of their signs, −1 (contrast inverted) to 1, near 0 for two different images; at the largest width
        at which both can be compared. NaN where there is none, or their fields have other shapes.
    """
    level = compared_width(first.shape[1], second.shape[1])
    if level not in first.signs or level not in second.signs or not _is_same_part(first, second):
        return float("nan")
    one, other = first.signs[level].astype(int), second.signs[level].astype(int)
    n = int(np.count_nonzero(one * other))
    return float((one * other).sum() / n) if n >= MIN_PLACES else float("nan")


def compared_width(first_px: int, second_px: int) -> int:
    """Return the width at which two images are compared.

    Parameters
    ----------
    first_px, second_px : int
        Widths of the images (px).

    Returns
    -------
    int
        One of `WIDTHS_PX`; 0 where the images are too small. An image that was made smaller is only then like the
        average of the other one where it is averaged too, so images of different widths are compared at half the
        smaller width or below.
    """
    narrower = min(first_px, second_px) // (1 if first_px == second_px else 2)
    return next((level for level in WIDTHS_PX if level <= narrower), 0)


def _is_same_part(first: Fingerprint, second: Fingerprint) -> bool:
    """Return whether the parts of two images that are averaged have the same shape."""
    ratios = [min(f.shape[0], f.shape[1] // 2) / f.shape[1] for f in (first, second)]
    return abs(ratios[0] - ratios[1]) * min(first.shape[1], second.shape[1]) <= 1.5
