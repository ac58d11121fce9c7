"""Quality of a raw micrograph: metrics, and flags for what is doubtful.

The metrics are computed for every micrograph, so they use a small copy of the image and the power spectra of a few
tiles. The flags are conservative: a metric that cannot be determined (NaN) flags nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np

from hrtem_dask.loading.quality.tile_spectra import tile_spectra, unit_range
from hrtem_dask.medians import median
from hrtem_dask.micrograph import PixelSize

__all__ = ["image_hash", "quality_flags", "quality_metrics"]

SMALL_PX = 512
MIN_GRAY_LEVELS = 16


def quality_metrics(image: np.ndarray, *, pixel_size_nm: PixelSize | None) -> dict[str, float | str]:
    """Measure the quality of a raw micrograph.

    Parameters
    ----------
    image : array_like
        Shape (y, x), any real dtype, unfiltered; NaN and infinite pixels are ignored.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; without it (None) the sharpness is relative to the sampling only.

    Returns
    -------
    dict
        Columns of `tables.MICROGRAPHS`; NaN where a metric cannot be determined:

        ``sharpness``
            0 to 1: power above white noise from 0.6 to 1 of a reference frequency over that from 0.2 to 0.6 of it.
            The reference is 5 1/nm, or 0.8 of the Nyquist frequency where that is lower, or 0.1 1/px without a pixel
            size; it is lowered until the ratio is significant against the noise. 1 where there are lattice reflections
            in the upper band.
        ``anisotropy``
            0 to 1: second harmonic over angle, ε of 1 + ε cos 2(θ − θ₀), of the power above white noise in the upper
            half of the frequencies above that noise; medians over sectors and rings ignore lattice reflections.
        ``saturated_fraction``
            Fraction of pixels at the minimum and at the maximum, each only where they form a spike in the histogram.
        ``gradient``
            Change of the fitted plane across the field over the mean; over the range from the 1st to the 99th
            percentile where that is larger and values are negative, since then the zero is arbitrary.
        ``mass_contrast``
            Variance of the means of blocks of about 1 nm (32 px without a pixel size), plane subtracted, times the
            pixels of a block, over the median power between 1 1/nm and the reference; about 1 for white noise.
        ``peak_snr``
            Power of the strongest spectral peak of any tile, mean of 3 × 3 frequencies, over the median power of its
            ring; 6 to 11 for noise.
        ``image_hash``
            BLAKE2b of shape, dtype and pixels, 16 hexadecimal digits, whatever the byte order.

    Raises
    ------
    ValueError
        If the image is not two-dimensional or not real.

    Examples
    --------
    >>> from hrtem_dask.loading.quality import quality_flags, quality_metrics
    >>> from hrtem_dask.simulation import simulate_scene
    >>> scene = simulate_scene(seed=1, shape=(256, 256), n_particles=2)
    >>> metrics = quality_metrics(scene.image, pixel_size_nm=(0.03, 0.03))
    >>> quality_flags(metrics)
    ()
    """
    image = np.asarray(image)
    if image.ndim != 2 or image.dtype.kind not in "buif":
        raise ValueError(f"quality needs a real image (y, x), got shape {image.shape} of {image.dtype}: pass one frame")
    pixels, finite = _plain(image)
    metrics: dict[str, float | str] = dict.fromkeys(
        ("sharpness", "anisotropy", "saturated_fraction", "gradient", "mass_contrast", "peak_snr"), np.nan
    )
    if pixels.size:
        extremes = float(pixels.min()), float(pixels.max())
        if extremes[0] == extremes[1]:
            return metrics | {"gradient": 0.0, "mass_contrast": 0.0, "peak_snr": 0.0, "image_hash": image_hash(image)}
        metrics["saturated_fraction"] = _saturated_fraction(pixels, extremes, finite)
        flat, metrics["gradient"] = _without_plane(pixels, extremes)
        spectra = tile_spectra(pixels, extremes, pixel_size_nm)
        if spectra is not None:
            metrics |= {
                "sharpness": spectra.sharpness(),
                "anisotropy": spectra.anisotropy(),
                "peak_snr": spectra.peak_snr(spectra.lowest),
                "mass_contrast": _mass_contrast(flat, pixels.shape, spectra.granularity(), pixel_size_nm),
            }
    return metrics | {"image_hash": image_hash(image)}


def quality_flags(
    metrics: Mapping[str, Any],
    *,
    max_anisotropy: float = 0.5,
    min_sharpness: float = 0.05,
    max_saturated_fraction: float = 0.01,
    max_gradient: float = 0.5,
    empty_mass_contrast: float = 1.5,
    empty_peak_snr: float = 15.0,
) -> tuple[str, ...]:
    """Return flags for the doubtful properties of a micrograph.

    Parameters
    ----------
    metrics : mapping
        Output of `quality_metrics`.
    max_anisotropy : float
        Larger anisotropies are flagged ``"drift"`` (or astigmatism).
    min_sharpness : float
        Smaller values are flagged ``"blur"``.
    max_saturated_fraction : float
        Larger fractions are flagged ``"saturation"``.
    max_gradient : float
        Larger gradients are flagged ``"gradient"``.
    empty_mass_contrast, empty_peak_snr : float
        A field with both metrics below these has neither mass contrast nor a lattice and is flagged ``"empty_field"``.

    Returns
    -------
    tuple of str
        Any of ``"blur"``, ``"drift"``, ``"empty_field"``, ``"saturation"`` and ``"gradient"``, in this order.

    Examples
    --------
    >>> from hrtem_dask.loading.quality import quality_flags
    >>> good = dict(sharpness=0.3, anisotropy=0.1, saturated_fraction=0, gradient=0, mass_contrast=9, peak_snr=40)
    >>> quality_flags(good), quality_flags(good | {"anisotropy": 0.8})
    ((), ('drift',))
    """
    flags = {
        "blur": metrics["sharpness"] < min_sharpness,
        "drift": metrics["anisotropy"] > max_anisotropy,
        "empty_field": metrics["mass_contrast"] < empty_mass_contrast and metrics["peak_snr"] < empty_peak_snr,
        "saturation": metrics["saturated_fraction"] > max_saturated_fraction,
        "gradient": metrics["gradient"] > max_gradient,
    }
    return tuple(name for name, raised in flags.items() if raised)


def image_hash(image: np.ndarray) -> str:
    """Hash shape, dtype and pixels of an image.

    Parameters
    ----------
    image : numpy.ndarray
        Any shape and dtype.

    Returns
    -------
    str
        BLAKE2b, 16 hexadecimal digits; the same whatever the byte order in the file.
    """
    little = np.ascontiguousarray(image, image.dtype.newbyteorder("<"))
    digest = hashlib.blake2b(f"{image.shape}{little.dtype.str}".encode(), digest_size=8)
    digest.update(little.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _plain(image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Return pixels that OpenCV understands, non-finite ones at the median, and a mask of finite ones if not all."""
    dtype = image.dtype.newbyteorder("=")
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    elif dtype == np.float16:
        dtype = np.dtype(np.float32)
    elif dtype not in (np.uint8, np.uint16, np.int16, np.float32):
        dtype = np.dtype(np.float64)
    pixels = np.ascontiguousarray(image, dtype)
    if dtype.kind != "f":
        return pixels, None
    finite = np.isfinite(pixels)
    everywhere = bool(finite.all())
    if not everywhere:
        values = pixels[finite]
        pixels = np.where(finite, pixels, np.median(values)) if values.size else pixels[:0]
    largest = max(float(pixels.max()), -float(pixels.min())) if pixels.size else 0.0
    if largest > 1e30 or 0 < largest < 1e-30:
        pixels = pixels.astype(np.float64) / largest  # so that no sum or square overflows; no metric has a unit
    return pixels, None if everywhere else finite


def _saturated_fraction(pixels: np.ndarray, extremes: tuple[float, float], finite: np.ndarray | None) -> float:
    """Return the share of pixels that pile up at the ends of the range."""
    low, high = extremes
    step = pixels.size // 2**16 | 1  # odd, so that it meets all columns
    sample = np.sort(pixels.ravel()[::step]).astype(np.float64)
    tail = sample.size // 1000
    if 1 + np.count_nonzero(np.diff(sample[tail : sample.size - tail])) < MIN_GRAY_LEVELS:
        return 0.0  # with few gray levels many pixels are at the ends in any case
    band = high / 64 - low / 64
    piled: int = 0
    for end, levels, value in ((low, sample, low), (-high, -sample[::-1], high)):
        inner = levels[np.searchsorted(levels, end, side="right") :]
        count = np.count_nonzero(pixels == pixels.dtype.type(value))  # of its own type: in a tenth of the time
        # a spike stands out from the next 64th of the range, or from the next gray level where these are coarser
        n_near = int(np.searchsorted(inner, max(end + band, inner[0]), side="right")) if inner.size else 0
        if count > 2 * step * max(n_near, 2):
            piled += int(count)
    return piled / (pixels.size if finite is None else int(np.count_nonzero(finite)))


def _without_plane(pixels: np.ndarray, extremes: tuple[float, float]) -> tuple[np.ndarray, float]:
    """Fit a plane to a small copy; return the copy without it, in units of the range, and its change over the mean."""
    low, span = extremes[0], extremes[1] - extremes[0]
    shape = tuple(min(-(-n // 4), SMALL_PX) for n in pixels.shape)
    real = pixels if pixels.dtype.kind == "f" else pixels.astype(np.float32)  # OpenCV rounds means of integers
    small = unit_range(cv2.resize(real, shape[::-1], interpolation=cv2.INTER_AREA), extremes)
    small = cv2.medianBlur(small, 3)  # X-ray spikes
    plane = _plane(cv2.resize(small, tuple(min(n, 32) for n in shape[::-1]), interpolation=cv2.INTER_AREA))
    y, x = (_across_field(n) for n in shape)
    flat = small - (plane[0] + plane[1] * y[:, None] + plane[2] * x[None, :]).astype(np.float32)
    first, last = np.quantile(small[::3, ::3], (0.01, 0.99))
    first, mean, last = (float(v) * span + low for v in (first, small.mean(), last))
    # counts cannot be negative: where values are, the zero is arbitrary, and so is the mean
    scale = abs(mean) if first >= 0 else max(abs(mean), last - first)
    return flat, float(abs(plane[1]) + abs(plane[2])) * span / scale if scale > 0 else np.nan


def _across_field(n: int) -> np.ndarray:
    """Return the positions of n pixels, from −1/2 to 1/2 across the field."""
    return np.asarray((np.arange(n) + 0.5) / n - 0.5)


def _plane(cells: np.ndarray) -> np.ndarray:
    """Fit level and slopes per field by reweighted least squares, so that particles weigh little (Tukey's biweight)."""
    y, x = np.meshgrid(*(_across_field(n) for n in cells.shape), indexing="ij")
    values = cells.ravel().astype(np.float64)
    terms = np.stack([np.ones(cells.size), y.ravel(), x.ravel()])
    products = np.concatenate([terms[0] * terms, terms[1] * terms[1:], (terms[2] ** 2)[None], terms * values])
    squares = np.ones(cells.size)  # of the weights
    plane: np.ndarray = np.zeros(3)
    for iteration in range(20):
        ones, ones_y, ones_x, y_y, y_x, x_x, *right = products @ squares
        # by the normal equations of 3 × 3: the terms are orthogonal but for the weights
        normal = np.array([[ones, ones_y, ones_x], [ones_y, y_y, y_x], [ones_x, y_x, x_x]])
        normal += 1e-12 * np.trace(normal) * np.eye(3)  # an image of one row has no slope across it
        plane = np.linalg.solve(normal, np.array(right))
        residual = np.abs(values - plane @ terms)
        spread = 1.4826 * median(residual)
        if spread <= 1e-12:
            break
        if iteration < 10:
            squares = 1 / np.maximum(residual, 0.1 * spread)  # least absolute deviations, for a safe start
        else:
            squares = np.clip(1 - (residual / (4.685 * spread)) ** 2, 0, None) ** 2
    return plane


def _mass_contrast(
    flat: np.ndarray, shape: tuple[int, ...], granularity: float, pixel_size_nm: PixelSize | None
) -> float:
    """Compare the variance of block means with what the power at higher frequencies would give them."""
    sides = [np.clip(1 / p, 8, 64) for p in pixel_size_nm] if pixel_size_nm else [32, 32]
    n_blocks = [max(1, min(m, round(n / side))) for n, m, side in zip(shape, flat.shape, sides, strict=True)]
    blocks = cv2.resize(flat, n_blocks[::-1], interpolation=cv2.INTER_AREA).astype(np.float64)
    block_px = shape[0] * shape[1] / blocks.size
    return float(blocks.var() * block_px / granularity) if granularity > 0 else np.nan
