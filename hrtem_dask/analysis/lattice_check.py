"""Check of the pixel size of a micrograph by the lattice of the stated material."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask import fourier
from hrtem_dask.settings import Settings

__all__ = ["check_lattice"]

_FEWEST_SPACINGS = 3


def check_lattice(table: pd.DataFrame, settings: Settings, flags: object) -> dict[str, object]:
    """Check the pixel size, and add to the flags of the calibration.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `tables.PARTICLES` or `tables.WINDOWS` of one micrograph: spacings and the angle between them.
    settings : Settings
        Settings of the run: the material and the tolerance of the calibration.
    flags : object
        Flags that the micrograph has, separated by commas; None for none.

    Returns
    -------
    dict
        ``lattice_scale_ratio`` and ``calibration_flags`` of the micrograph; empty without a material or rows. The scale
        is that of pairs of reflections, which ratio and angle determine; else that of spacings alone, which is not
        confirmed.
    """
    if settings.fourier.material is None or not len(table):
        return {}
    one, two, angle = (
        table[name].to_numpy(dtype=float, na_value=np.nan) for name in ("spacing_1_nm", "spacing_2_nm", "angle_12_deg")
    )
    scale = fourier.lattice_pair_scale(one, two, angle, settings.fourier.material)
    confirmed = scale.ratio is not None
    if not confirmed:
        scale = fourier.lattice_scale_ratio(one, settings.fourier.material)
    if np.isfinite(one).sum() < _FEWEST_SPACINGS:
        return {"lattice_scale_ratio": scale.ratio}
    found = [str(flags)] if flags else []
    if scale.ratio is not None and abs(scale.ratio - 1) > settings.fourier.calibration_tolerance:
        found.append("off_lattice")
    if not confirmed:
        found.append("lattice_not_confirmed" if scale.ratio is not None else "no_lattice_match")
    return {"lattice_scale_ratio": scale.ratio, "calibration_flags": ",".join(found) or None}
