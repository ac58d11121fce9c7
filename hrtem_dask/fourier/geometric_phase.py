"""Geometric phase: where the fringes of one reflection stand, relative to an ideal plane wave.

An image of a crystal is a sum of fringes, I(r) = Σ H_g(r) exp(2πi g·r). A mask about one reflection g in the Fourier
transform leaves one term; its modulus says how strong the fringes are, and its phase how far they are shifted: a
displacement u of the lattice changes the phase by −2π g·u. A phase that is constant is a perfect lattice, a slope a
spacing or direction other than g's, and a jump a fault: the displacement a/6⟨112⟩ of an intrinsic stacking fault in fcc
shifts the fringes of every {111} that is not parallel to the fault by a third of their spacing (±2π/3), those of the
fault's own planes by none.

References
----------
Hÿtch, Snoeck & Kilaas, Ultramicroscopy 74 (1998) 131.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hrtem_dask.backend import array_namespace, fft
from hrtem_dask.fourier.spectrum import frequencies_per_nm
from hrtem_dask.micrograph import PixelSize

__all__ = ["geometric_phase"]


def geometric_phase(
    image: Any, *, reflection_per_nm: tuple[float, float], pixel_size_nm: PixelSize, sigma_per_nm: float
) -> tuple[Any, Any]:
    """Bragg filter one reflection, and split it into amplitude and phase.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (..., y, x), any real dtype, finite.
    reflection_per_nm : tuple of float
        Wave vector g (y, x) of the reflection in 1/nm, y downwards. Of the Friedel pair, the one that is named.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.
    sigma_per_nm : float
        Standard deviation in 1/nm of the Gaussian mask, which is 1 at g. The maps resolve 1/(2π sigma_per_nm) nm
        (standard deviation); a third of the distance to the next reflection, or less, keeps that one out.

    Returns
    -------
    amplitude : numpy.ndarray or cupy.ndarray
        Shape (..., y, x), float32 (float64 for float64), unit of the image: half of the fringes' swing about their
        mean is twice this.
    phase : numpy.ndarray or cupy.ndarray
        The same shape and dtype: rad, −π to π. The fringes are 2 · amplitude · cos(2π g·r + phase), r from the centre
        of the first pixel. Where the amplitude is small it is noise.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If `sigma_per_nm` is not positive, or the reflection is beyond the Nyquist frequency.

    Notes
    -----
    The discrete Fourier transform repeats the image: within the resolution of its borders a map shows the seam.
    """
    height, width = image.shape[-2:]
    frequency_y, _ = frequencies_per_nm((height, width), pixel_size_nm)
    frequency_x = np.fft.fftfreq(width, pixel_size_nm[1])  # both halves: the mask takes one of the Friedel pair
    if not sigma_per_nm > 0:
        raise ValueError(f"sigma_per_nm must be positive, got {sigma_per_nm}")
    if any(abs(g) * size > 0.5 for g, size in zip(reflection_per_nm, pixel_size_nm, strict=True)):
        raise ValueError(
            f"the reflection (y, x) = {reflection_per_nm} /nm is beyond the Nyquist frequency of pixels of "
            f"{pixel_size_nm} nm: take a finer image or another reflection"
        )
    xp = array_namespace(image)
    values = xp.asarray(image)
    values = values.astype(xp.float64 if values.dtype == np.float64 else xp.float32)
    values -= values.mean(axis=(-2, -1), keepdims=True)
    g_y, g_x = reflection_per_nm
    mask_y = np.exp(-(((frequency_y - g_y) / sigma_per_nm) ** 2) / 2)
    mask_x = np.exp(-(((frequency_x - g_x) / sigma_per_nm) ** 2) / 2)
    mask = xp.asarray(np.multiply.outer(mask_y, mask_x), values.dtype)
    filtered = fft(values).ifft2(fft(values).fft2(values) * mask)
    # the ideal wave's phase runs through thousands of radians: made in double precision
    wave_y = np.exp(-2j * np.pi * g_y * pixel_size_nm[0] * np.arange(height))
    wave_x = np.exp(-2j * np.pi * g_x * pixel_size_nm[1] * np.arange(width))
    filtered *= xp.asarray(np.multiply.outer(wave_y, wave_x), filtered.dtype)
    return xp.abs(filtered), xp.angle(filtered)
