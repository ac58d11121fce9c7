"""The paper's two baselines: Otsu's threshold, and Fourier filtering by an annulus around the lattice."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from hrtem_dask import backend
from hrtem_dask.errors import CalibrationError
from hrtem_dask.micrograph import PixelSize

__all__ = ["fourier_mask", "fourier_mask_px", "gaussian", "otsu_mask"]


def otsu_mask(
    image: Any, *, particles_are: Literal["dark", "bright"] = "dark", sigma_px: tuple[float, float] = (0.0, 0.0)
) -> Any:
    """Tell particles from the support by intensity alone.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), float, finite.
    particles_are : {"dark", "bright"}
        Side of the threshold that is particle: dark in bright-field TEM, bright in HAADF-STEM.
    sigma_px : tuple of float
        Gaussian smoothing (y, x) before, standard deviation in px; 0 turns it off.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Shape (y, x), bool; empty for a constant image. N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62.

    Raises
    ------
    ValueError
        If `particles_are` is neither dark nor bright.
    """
    if particles_are not in ("dark", "bright"):
        raise ValueError(f"particles_are must be 'dark' or 'bright', got {particles_are!r}")
    if _is_constant(image):
        return backend.array_namespace(image).zeros(image.shape, dtype=bool)
    smooth = gaussian(image, sigma_px=sigma_px)
    above = smooth > backend.skimage(smooth, "filters").threshold_otsu(smooth)
    return above if particles_are == "bright" else ~above


def fourier_mask(
    image: Any,
    *,
    pixel_size_nm: PixelSize | None,
    annulus_per_nm: tuple[float, float] = (2.4, 6.0),
    sigma_nm: float = 0.8,
    min_contrast: float = 1.05,
) -> Any:
    """Find crystalline regions: where the frequencies of the lattice are strong.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), float, finite.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    annulus_per_nm : tuple of float
        Spatial frequencies kept, low <= |k| < high, 1/nm; what lies above Nyquist's frequency is not in the
        image, so `high` may exceed it.
    sigma_nm : float
        Gaussian smoothing (nm) of the squared filtered image.
    min_contrast : float
        Otsu's threshold must be this many times the lower quartile of the amplitude, else the field holds no
        crystal; 1 turns it off. On simulated fields it is at most 1.03 times without a particle.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Shape (y, x), bool: the local root-mean-square amplitude of the filtered image is above Otsu's threshold;
        empty for a constant image, and for a field without a crystal.

    Raises
    ------
    CalibrationError
        If the pixel size is missing, or too coarse for any of the annulus.
    ValueError
        If not 0 <= low < high, or `sigma_nm` is negative.

    Notes
    -----
    The method of Groschner et al. (2021): Fourier transform times annulus, back, smooth, threshold. Beyond the
    paper, the step between opposite borders is taken out of the spectrum (Moisan 2011), and a
    field without a crystal is told by `min_contrast`: Otsu's threshold would part its noise in two.
    """
    if pixel_size_nm is None:
        raise CalibrationError(
            "Fourier filtering needs a pixel size, the micrograph has none: "
            "give one (pixel_size_nm=…, --pixel-size …), or choose Otsu's threshold or a U-Net"
        )
    low, high = annulus_per_nm
    nyquist = 0.5 / max(pixel_size_nm)
    limit = f"need 0 <= low < high and low < {nyquist:.4g} 1/nm (Nyquist for pixel_size={max(pixel_size_nm):g} nm)"
    if not (0 <= low < high and sigma_nm >= 0):
        raise ValueError(f"{limit}, and sigma_nm >= 0, got low={low:g}, high={high:g}, sigma_nm={sigma_nm:g}")
    if low >= nyquist:
        raise CalibrationError(
            f"{limit}, got low={low:g}, high={high:g}: the image is too coarse to hold this lattice; "
            "check the pixel size, or choose Otsu's threshold or a U-Net"
        )
    sigma_px = (sigma_nm / pixel_size_nm[0], sigma_nm / pixel_size_nm[1])
    return _crystalline(image, pixel_size_nm, (low, high), sigma_px, min_contrast)


def fourier_mask_px(
    image: Any,
    *,
    annulus_per_px: tuple[float, float],
    sigma_px: float = 20.0,
    min_contrast: float = 1.05,
) -> Any:
    """Do what `fourier_mask` does with one annulus in cycles per pixel, whatever a pixel measures.

    This is how the paper's baseline was made: it fits one magnification, and fails on others.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), float, finite.
    annulus_per_px : tuple of float
        Spatial frequencies kept, low <= |k| < high, cycles per pixel; 0.5 is Nyquist's frequency.
    sigma_px : float
        Gaussian smoothing (px) of the squared filtered image.
    min_contrast : float
        As for `fourier_mask`.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Shape (y, x), bool.

    Raises
    ------
    ValueError
        If not 0 <= low < high and low < 0.5, or `sigma_px` is negative.
    """
    low, high = annulus_per_px
    if not (0 <= low < high and low < 0.5 and sigma_px >= 0):
        raise ValueError(
            "need 0 <= low < high and low < 0.5 cycles per pixel (Nyquist), and sigma_px >= 0, "
            f"got low={low:g}, high={high:g}, sigma_px={sigma_px:g}"
        )
    return _crystalline(image, (1.0, 1.0), (low, high), (sigma_px, sigma_px), min_contrast)


def _crystalline(
    image: Any,
    step: tuple[float, float],
    annulus: tuple[float, float],
    sigma_px: tuple[float, float],
    min_contrast: float,
) -> Any:
    """Threshold the amplitude of what passes the annulus; its frequencies are the reciprocal of the step's unit."""
    xp = backend.array_namespace(image)
    if _is_constant(image):
        return xp.zeros(image.shape, dtype=bool)
    filtered = _annulus_filter(image, step=step, low=annulus[0], high=annulus[1])
    # the amplitude, not its square: Otsu's threshold of the square keeps only the strongest particles
    amplitude = xp.sqrt(xp.maximum(gaussian(filtered * filtered, sigma_px=sigma_px), 0))
    threshold = backend.skimage(amplitude, "filters").threshold_otsu(amplitude)
    if threshold < min_contrast * xp.quantile(amplitude, 0.25):
        return xp.zeros(image.shape, dtype=bool)
    return amplitude > threshold


def gaussian(image: Any, *, sigma_px: tuple[float, float]) -> Any:
    """Smooth by a Gaussian, mirrored at the borders.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x).
    sigma_px : tuple of float
        Standard deviation (y, x) in px; 0 leaves an axis as it is.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Type float32. The cosine transform times the Gaussian's exact transfer function exp(−(σ ω)²/2), so that a
        wide Gaussian costs no more than a narrow one; equal to SciPy's ``gaussian_filter`` from σ = 2 px on.
    """
    xp, fft = backend.array_namespace(image), backend.fft(image)
    image = xp.asarray(image, dtype=np.float32)
    if not any(sigma_px):
        return image
    spectrum = fft.dctn(image, type=2)
    for axis, (n, sigma) in enumerate(zip(image.shape, sigma_px, strict=True)):
        transfer = np.exp(-0.5 * (sigma * np.pi / n * np.arange(n)) ** 2).astype(np.float32)
        spectrum *= xp.asarray(transfer)[:, None] if axis == 0 else xp.asarray(transfer)
    return fft.idctn(spectrum, type=2)


def _annulus_filter(image: Any, *, step: tuple[float, float], low: float, high: float) -> Any:
    """Keep the frequencies low <= |k| < high, in the reciprocal of the unit of the step between pixels."""
    xp, fft = backend.array_namespace(image), backend.fft(image)
    image = xp.asarray(image, dtype=np.float32)
    spectrum = _periodic_spectrum(image - image.mean())
    k_y = xp.asarray(np.fft.fftfreq(image.shape[0], step[0]), dtype=np.float32)[:, None]
    k_x = xp.asarray(np.fft.rfftfreq(image.shape[1], step[1]), dtype=np.float32)
    k_squared = k_y**2 + k_x**2
    spectrum *= (k_squared >= low**2) & (k_squared < high**2)
    return fft.irfft2(spectrum, s=image.shape)


def _periodic_spectrum(image: Any) -> Any:
    """Return the spectrum of an image without the cross that its borders, which do not match, put into it.

    The periodic component of L. Moisan, J. Math. Imaging Vis. 39 (2011) 161. Without it the step from one
    border to the other passes the annulus, and the rim of the image looks crystalline.
    """
    xp, fft = backend.array_namespace(image), backend.fft(image)
    step_y, step_x = image[-1] - image[0], image[:, -1] - image[:, 0]
    border = xp.zeros_like(image)
    border[0] += step_y
    border[-1] -= step_y
    border[:, 0] += step_x
    border[:, -1] -= step_x
    cos_y = xp.asarray(np.cos(2 * np.pi * np.fft.fftfreq(image.shape[0])), dtype=np.float32)[:, None]
    cos_x = xp.asarray(np.cos(2 * np.pi * np.fft.rfftfreq(image.shape[1])), dtype=np.float32)
    laplacian = 2 * cos_y + 2 * cos_x - 4
    laplacian[0, 0] = 1  # the smooth component has no mean: nothing to divide
    smooth = fft.rfft2(border) / laplacian
    smooth[0, 0] = 0
    return fft.rfft2(image) - smooth


def _is_constant(image: Any) -> bool:
    return bool(image.max() == image.min())
