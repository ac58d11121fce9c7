"""Check of the pixel size of a micrograph by the lattice of the stated material."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask import fourier, particles
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.settings import Settings

__all__ = ["check_lattice"]

_FLAGS = {"off": "off_lattice", "not confirmed": "lattice_not_confirmed", "no match": "no_lattice_match"}
FACTORS = (0.1, 10.0)
"""Errors of the pixel size that move all spacings out of the range that was searched: one unit taken for another."""
_LARGEST = 20
"""Number of particles, largest first, that are looked at for such errors."""


def check_lattice(
    table: pd.DataFrame,
    settings: Settings,
    flags: object,
    *,
    image: np.ndarray | None = None,
    pixel_size_nm: PixelSize | None = None,
) -> dict[str, object]:
    """Check the pixel size, and add to the flags of the calibration.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `tables.PARTICLES` or `tables.WINDOWS` of one micrograph: spacings and the angle between them.
    settings : Settings
        Settings of the run: the material and the tolerance of the calibration.
    flags : object
        Flags that the micrograph has, separated by commas; None for none.
    image : numpy.ndarray, optional
        Shape (y, x): the prepared image. If no scale from 1/2 to 2 is confirmed, the lattice is looked for in it at
        pixels of a tenth and of ten times the size, too.
    pixel_size_nm : tuple of float, optional
        (y, x) in nm; needed with `image`.

    Returns
    -------
    dict
        ``lattice_scale_ratio`` and ``calibration_flags`` of the micrograph; empty without a material or rows. The scale
        is that of pairs of reflections, which ratio and angle determine. Spacings alone confirm nothing: there is no
        ratio then, and a flag if at least `fourier.MIN_SPACINGS` were measured.
    """
    material = settings.fourier.material
    if material is None or not len(table):
        return {}
    tolerance = settings.fourier.calibration_tolerance
    found = fourier.judge_scale(table, material, tolerance=tolerance)
    if found["ratio"] is None and image is not None and pixel_size_nm is not None and "counted" in table:
        for factor in FACTORS:
            again = _measured_at(factor, table, settings, image, pixel_size_nm)
            other = fourier.judge_scale(again, material, tolerance=tolerance)
            if other["ratio"] is not None:
                found = {**other, "verdict": "off", "ratio": other["ratio"] / factor}
                break
    names = [str(flags)] if flags else []
    if (flag := _FLAGS.get(str(found["verdict"]))) is not None:
        names.append(flag)
    return {"lattice_scale_ratio": found["ratio"], "calibration_flags": ",".join(names) or None}


def _measured_at(
    factor: float, table: pd.DataFrame, settings: Settings, image: np.ndarray, pixel_size_nm: PixelSize
) -> pd.DataFrame:
    """Measure the lattice of the largest counted particles, were the pixels larger by a factor."""
    counted = table[table["counted"].fillna(False).to_numpy(dtype=bool)].nlargest(_LARGEST, "area_px")
    size = (factor * pixel_size_nm[0], factor * pixel_size_nm[1])
    rows = [
        fourier.measure_lattice(
            crop,
            pixel_size_nm=size,
            spacing_range_nm=settings.fourier.spacing_range_nm,
            min_peak_snr=settings.fourier.min_peak_snr,
        )
        for _, crop in particles.particle_crops(image, counted)
    ]
    columns = ["spacing_1_nm", "spacing_2_nm", "angle_12_deg"]
    return pd.DataFrame(rows, columns=columns).astype(float)
