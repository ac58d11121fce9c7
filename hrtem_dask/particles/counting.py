"""Which particles enter statistics, and why the others do not.

One rule, in this order: a particle is not counted if it reaches the border of the image (``edge``: its size is not
known); else if it is smaller than either minimum (``too_small``); else if it alone is larger than a region may be
(``agglomerate``: it was not split into parts below the limit).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["apply_population_rule", "touches_edge"]


def touches_edge(table: pd.DataFrame, *, shape: tuple[int, int]) -> np.ndarray:
    """Say which rows reach the border of the image.

    Parameters
    ----------
    table : pandas.DataFrame
        With the columns ``bbox_*_px``.
    shape : tuple of int
        Height and width of the image (px).

    Returns
    -------
    numpy.ndarray of bool
        Shape (n,).
    """
    return np.asarray(
        (table["bbox_y0_px"] == 0)
        | (table["bbox_x0_px"] == 0)
        | (table["bbox_y1_px"] == shape[0])
        | (table["bbox_x1_px"] == shape[1]),
        dtype=bool,
    )


def apply_population_rule(
    table: pd.DataFrame,
    *,
    shape: tuple[int, int],
    min_area_px: int,
    min_area_nm2: float,
    max_region_area_nm2: float | None,
) -> pd.DataFrame:
    """Add the columns that say whether a particle is counted.

    Parameters
    ----------
    table : pandas.DataFrame
        From `measure_particles`.
    shape : tuple of int
        Height and width of the image (px).
    min_area_px : int
        Smaller particles are not counted.
    min_area_nm2 : float
        Smaller particles are not counted; passed over where the pixel size is not known.
    max_region_area_nm2 : float or None
        Larger particles are agglomerates that could not be split; None sets no limit, and it is passed over where
        the pixel size is not known.

    Returns
    -------
    pandas.DataFrame
        A new table with ``touches_edge``, ``counted`` and ``exclusion_reason``.
    """
    edge = touches_edge(table, shape=shape)
    area_nm2 = table["area_nm2"].to_numpy(dtype=float)  # NaN compares as False: no limit without a pixel size
    small = (table["area_px"].to_numpy() < min_area_px) | (area_nm2 < min_area_nm2)
    large = area_nm2 > (np.inf if max_region_area_nm2 is None else max_region_area_nm2)
    reason = np.select([edge, small, large], ["edge", "too_small", "agglomerate"], default="")
    return table.assign(
        touches_edge=edge,
        counted=reason == "",
        exclusion_reason=pd.array([name or None for name in reason], dtype="string"),
    )
