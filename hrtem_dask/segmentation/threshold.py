"""The two baselines of the paper: Otsu's threshold, and Fourier filtering by an annulus around the lattice."""

from __future__ import annotations

from typing import Literal

import numpy as np

from hrtem_dask import backend
from hrtem_dask.errors import CalibrationError
from hrtem_dask.micrograph import PixelSize

__all__ = ["check_annulus", "fourier_mask", "fourier_mask_px", "gaussian", "otsu_mask"]


def otsu_mask(
    image: np.ndarray, *, particles_are: Literal["dark", "bright"] = "dark", sigma_px: tuple[float, float] = (0.0, 0.0)
) -> np.ndarray:
    """Separate particles from the support by intensity alone (Otsu's threshold).

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), float, finite.
    particles_are : {"dark", "bright"}
        Side of the threshold that is particle: dark in bright-field TEM, bright in HAADF-STEM.
    sigma_px : tuple of float
        Standard deviation (y, x) in px of a Gaussian smoothing before the threshold; 0 turns it off.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Shape (y, x), bool; False everywhere for a constant image.

    Raises
    ------
    ValueError
        If `particles_are` is neither dark nor bright.

    References
    ----------
    N. Otsu, IEEE Trans. Syst. Man Cybern. 9 (1979) 62.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.segmentation.threshold import otsu_mask
    >>> image = np.full((8, 8), 0.8, dtype=np.float32)
    >>> image[2:5, 2:6] = 0.3  # a dark particle of 12 px
    >>> int(otsu_mask(image).sum())
    12
    """
    if particles_are not in ("dark", "bright"):
        raise ValueError(f"particles_are must be 'dark' or 'bright', got {particles_are!r}")
    if _is_constant(image):
        return _nothing(image)
    smooth = gaussian(image, sigma_px=sigma_px)
    above: np.ndarray = smooth > backend.skimage(smooth, "filters").threshold_otsu(smooth)
    return above if particles_are == "bright" else ~above


def fourier_mask(
    image: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    annulus_per_nm: tuple[float, float] = (2.4, 6.0),
    sigma_nm: float = 0.8,
    min_contrast: float = 1.05,
) -> np.ndarray:
    """Find crystalline regions, where the spatial frequencies of the lattice are strong.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), float, finite.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.
    annulus_per_nm : tuple of float
        Spatial frequencies that are kept, low <= |k| < high, in 1/nm; `high` may exceed the Nyquist frequency, above
        which the image holds nothing.
    sigma_nm : float
        Gaussian smoothing (nm) of the squared filtered image.
    min_contrast : float
        Smallest ratio of Otsu's threshold to the lower quartile of the amplitude; below it the field counts as free of
        crystals. 1 turns the check off. In simulated fields without particles the ratio is at most 1.03.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Shape (y, x), bool: True where the local root-mean-square amplitude of the filtered image is above Otsu's
        threshold; False everywhere for a constant image and for a field without crystals.

    Raises
    ------
    CalibrationError
        If the pixel size is missing, or too coarse for any of the annulus.
    ValueError
        If not 0 <= low < high, or `sigma_nm` is negative.

    Notes
    -----
    This is the method of Groschner et al., Microsc. Microanal. 27 (2021) 549: Fourier transform, product with an
    annulus, inverse transform, smoothing, threshold. Two steps are added to it. The spectrum is freed of the step
    between opposite borders (L. Moisan, J. Math. Imaging Vis. 39 (2011) 161). Fields without crystals are recognized by
    `min_contrast`, because Otsu's threshold would divide their noise in two.
    """
    size = check_annulus(annulus_per_nm, sigma_nm, pixel_size_nm)
    return _crystalline(image, size, annulus_per_nm, (sigma_nm / size[0], sigma_nm / size[1]), min_contrast)


def check_annulus(annulus_per_nm: tuple[float, float], sigma_nm: float, pixel_size_nm: PixelSize | None) -> PixelSize:
    """Check that an image can hold the frequencies of an annulus.

    Parameters
    ----------
    annulus_per_nm : tuple of float
        Lowest and highest frequency (1/nm).
    sigma_nm : float
        Standard deviation of the smoothing (nm).
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    tuple of float
        The pixel size.

    Raises
    ------
    CalibrationError
        If the pixel size is missing, or too coarse for any of the annulus.
    ValueError
        If not 0 <= low < high, or `sigma_nm` is negative.
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
    return pixel_size_nm


def fourier_mask_px(
    image: np.ndarray,
    *,
    annulus_per_px: tuple[float, float],
    sigma_px: float = 20.0,
    min_contrast: float = 1.05,
) -> np.ndarray:
    """Find crystalline regions like `fourier_mask`, with an annulus in cycles per pixel instead of 1/nm.

    The paper's baseline was made in this way; an annulus in cycles per pixel fits a single magnification.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), float, finite.
    annulus_per_px : tuple of float
        Spatial frequencies that are kept, low <= |k| < high, in cycles per pixel; 0.5 is the Nyquist frequency.
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
    image: np.ndarray,
    step: tuple[float, float],
    annulus: tuple[float, float],
    sigma_px: tuple[float, float],
    min_contrast: float,
) -> np.ndarray:
    """Threshold the amplitude of the filtered image; frequencies are in the reciprocal of the unit of `step`."""
    xp = backend.array_namespace(image)
    if _is_constant(image):
        return _nothing(image)
    filtered = _annulus_filter(image, step=step, low=annulus[0], high=annulus[1])
    filtered *= filtered
    # Otsu's threshold of the squared amplitude would keep only the strongest particles
    amplitude = gaussian(filtered, sigma_px=sigma_px)
    del filtered
    amplitude = xp.sqrt(xp.maximum(amplitude, 0, out=amplitude), out=amplitude)
    threshold = backend.skimage(amplitude, "filters").threshold_otsu(amplitude)
    if threshold < min_contrast * xp.quantile(amplitude, 0.25):
        return _nothing(image)
    above: np.ndarray = amplitude > threshold
    return above


def gaussian(image: np.ndarray, *, sigma_px: tuple[float, float]) -> np.ndarray:
    """Smooth an image with a Gaussian, mirrored at the borders.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x).
    sigma_px : tuple of float
        Standard deviation (y, x) in px; 0 leaves an axis unchanged.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        Same shape, float32, or float64 for an image of float64: the cosine transform is multiplied by the exact
        transfer function exp(−(σ ω)²/2), so that a wide Gaussian takes no longer than a narrow one. It equals SciPy's
        ``gaussian_filter`` from σ = 2 px on.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.segmentation.threshold import gaussian
    >>> image = np.zeros((33, 33), dtype=np.float32)
    >>> image[16, 16] = 1.0
    >>> smooth = gaussian(image, sigma_px=(2.0, 2.0))
    >>> round(float(smooth[16, 16]), 4)  # 1 / (2π σ²)
    0.0398
    """
    xp, fft = backend.array_namespace(image), backend.fft(image)
    dtype = np.float64 if image.dtype == np.float64 else np.float32
    image = xp.asarray(image, dtype=dtype)
    if not any(sigma_px):
        return image
    spectrum = fft.dctn(image, type=2)
    for axis, (n, sigma) in enumerate(zip(image.shape, sigma_px, strict=True)):
        transfer = np.exp(-0.5 * (sigma * np.pi / n * np.arange(n)) ** 2).astype(dtype)
        spectrum *= xp.asarray(transfer)[:, None] if axis == 0 else xp.asarray(transfer)
    smooth: np.ndarray = fft.idctn(spectrum, type=2, overwrite_x=True)
    return smooth


def _annulus_filter(image: np.ndarray, *, step: tuple[float, float], low: float, high: float) -> np.ndarray:
    """Keep the frequencies low <= |k| < high, in the reciprocal of the unit of `step`.

    In double precision: Otsu's threshold steps by a whole bin of its histogram where two bins part the amplitudes
    equally well, and the rounding of float32 would decide between them.
    """
    xp, fft = backend.array_namespace(image), backend.fft(image)
    spectrum = _periodic_spectrum(image.astype(np.float64))
    spectrum[0, 0] = 0  # the mean
    k_y = xp.asarray(np.fft.fftfreq(image.shape[0], step[0]))[:, None]
    k_x = xp.asarray(np.fft.rfftfreq(image.shape[1], step[1]))
    k_squared = k_y**2 + k_x**2
    spectrum *= (k_squared >= low**2) & (k_squared < high**2)
    filtered: np.ndarray = fft.irfft2(spectrum, s=image.shape, overwrite_x=True)
    return filtered


def _periodic_spectrum(image: np.ndarray) -> np.ndarray:
    """Return the spectrum of an image without the cross that the mismatch of opposite borders adds.

    This is the periodic component of L. Moisan, J. Math. Imaging Vis. 39 (2011) 161. In the plain spectrum the step
    from one border to the other passes the annulus, and the rim of the image looks crystalline.
    """
    xp, fft = backend.array_namespace(image), backend.fft(image)
    step_y, step_x = image[-1] - image[0], image[:, -1] - image[:, 0]
    border = xp.zeros_like(image)
    border[0] += step_y
    border[-1] -= step_y
    border[:, 0] += step_x
    border[:, -1] -= step_x
    cos_y = xp.asarray(np.cos(2 * np.pi * np.fft.fftfreq(image.shape[0])))[:, None]
    cos_x = xp.asarray(np.cos(2 * np.pi * np.fft.rfftfreq(image.shape[1])))
    laplacian = 2 * cos_y + 2 * cos_x - 4
    laplacian[0, 0] = 1  # avoids 0 / 0; the smooth component has no mean and is set to 0 below
    smooth = fft.rfft2(border, overwrite_x=True)
    del border
    smooth /= laplacian
    del laplacian
    smooth[0, 0] = 0
    periodic: np.ndarray = fft.rfft2(image)
    periodic -= smooth
    return periodic


def _is_constant(image: np.ndarray) -> bool:
    return bool(image.max() == image.min())


def _nothing(image: np.ndarray) -> np.ndarray:
    """Return an empty mask of the image's shape, on its device."""
    empty: np.ndarray = backend.array_namespace(image).zeros(image.shape, dtype=bool)
    return empty
