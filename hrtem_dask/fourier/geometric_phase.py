"""Geometric phase: the shift of the fringes of one reflection, relative to an ideal plane wave.

The image of a crystal is a sum of fringes, I(r) = Σ H_g(r) exp(2πi g·r). A mask around one reflection g in the Fourier
transform leaves one term. Its modulus is the strength of the fringes, its phase their shift: a displacement u of the
lattice changes the phase by −2π g·u. The phase is constant in a perfect lattice, has a slope where spacing or direction
differ from those of g, and jumps at a fault. The displacement a/6⟨112⟩ of an intrinsic stacking fault in fcc shifts the
fringes of every {111} that is not parallel to the fault by a third of their spacing (±2π/3), and does not shift the
fringes of the fault plane itself.

References
----------
Hÿtch, Snoeck & Kilaas, Ultramicroscopy 74 (1998) 131.
"""

from __future__ import annotations

import numpy as np

from hrtem_dask.backend import Array, array_namespace, fft
from hrtem_dask.fourier.spectrum import frequencies_per_nm
from hrtem_dask.micrograph import PixelSize

__all__ = ["geometric_phase"]


def geometric_phase(
    image: Array, *, reflection_per_nm: tuple[float, float], pixel_size_nm: PixelSize, sigma_per_nm: float
) -> tuple[Array, Array]:
    """Return the amplitude and the phase of the Bragg-filtered image of one reflection.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (..., y, x), any real dtype, finite.
    reflection_per_nm : tuple of float
        Wave vector g (y, x) of the reflection in 1/nm, y downwards. −g gives the complex conjugate.
    pixel_size_nm : tuple of float
        Height and width of a pixel in nm; the two may differ.
    sigma_per_nm : float
        Standard deviation in 1/nm of the Gaussian mask, which is 1 at g. The resolution of the maps is
        1/(2π sigma_per_nm) nm (standard deviation). A third of the distance to the next reflection, or less, excludes
        that reflection.

    Returns
    -------
    amplitude : numpy.ndarray or cupy.ndarray
        Shape (..., y, x), float32 (float64 for float64), unit of the image. The amplitude of the fringes in the
        image is twice this value.
    phase : numpy.ndarray or cupy.ndarray
        Same shape and dtype: rad, −π to π. The fringes are 2 · amplitude · cos(2π g·r + phase), where r counts from
        the center of the first pixel. The phase is noise where the amplitude is small.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite.
    ValueError
        If `sigma_per_nm` is not positive, or the reflection is beyond the Nyquist frequency.

    Notes
    -----
    The discrete Fourier transform treats the image as periodic, so the maps are wrong within their resolution of the
    borders.

    References
    ----------
    Hÿtch, Snoeck & Kilaas, Ultramicroscopy 74 (1998) 131.

    Examples
    --------
    >>> x_nm = 0.05 * np.arange(64)
    >>> fringes = np.tile(3 * np.cos(2 * np.pi * 2.5 * x_nm + 0.4), (64, 1))
    >>> amplitude, phase = geometric_phase(
    ...     fringes, reflection_per_nm=(0, 2.5), pixel_size_nm=(0.05, 0.05), sigma_per_nm=0.5
    ... )
    >>> round(float(amplitude[32, 32]), 3), round(float(phase[32, 32]), 3)
    (1.5, 0.4)
    """
    height, width = image.shape[-2:]
    frequency_y, _ = frequencies_per_nm((height, width), pixel_size_nm)
    frequency_x = np.fft.fftfreq(
        width, pixel_size_nm[1]
    )  # both halves, because the mask selects one of the Friedel pair
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
    # the phase of the ideal wave reaches thousands of radians, which needs double precision
    wave_y = np.exp(-2j * np.pi * g_y * pixel_size_nm[0] * np.arange(height))
    wave_x = np.exp(-2j * np.pi * g_x * pixel_size_nm[1] * np.arange(width))
    filtered *= xp.asarray(np.multiply.outer(wave_y, wave_x), filtered.dtype)
    return xp.abs(filtered), xp.angle(filtered)
