"""Edge correction: the weights of Miles and Lantuéjoul.

The border of the image cuts large particles more often than small ones, and cut particles are not counted. A particle
that reaches the border is therefore not counted, and each other particle counts 1/P, where P is the probability that
such a particle does not reach the border.

R. E. Miles, in: Stochastic Geometry (Wiley, 1974) 228; C. Lantuéjoul, Microsc. Acta Suppl. 4 (1980) 266;
ISO 13322-1:2014.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask.tables import BOX_COLUMNS

__all__ = ["RULE", "inclusion_probability", "particle_weights"]

RULE = (
    "particles that reach the border of the image are not counted; each other one has the weight 1/P, "
    "P = (Zx − Fx)(Zy − Fy)/(Zx Zy), F: sides of its bounding box, Z: sides of the image less 1 px (Miles–Lantuéjoul)"
)
UNWEIGHTED = "particles that reach the border of the image are not counted; the others have equal weights"


def inclusion_probability(
    height_px: np.ndarray, width_px: np.ndarray, *, frame_height_px: np.ndarray, frame_width_px: np.ndarray
) -> np.ndarray:
    """Return the probability that a particle whose reference point lies in the image does not reach the border.

    Parameters
    ----------
    height_px, width_px : numpy.ndarray of float
        Shape (n,): sides of the bounding box (px), the Feret diameters along the axes of the image.
    frame_height_px, frame_width_px : numpy.ndarray of float
        Shape (n,): sides H and W of the image (px). One pixel is subtracted, since a counted particle must not
        reach the outermost pixels: a box of h px has H − 1 − h positions, and a point H − 1.

    Returns
    -------
    numpy.ndarray of float
        Shape (n,), 0 to 1; NaN where a side is not known.

    Examples
    --------
    >>> side = np.array([101.0])
    >>> inclusion_probability(np.array([20.0]), np.array([10.0]), frame_height_px=side, frame_width_px=side)
    array([0.72])
    """
    zy, zx = frame_height_px - 1, frame_width_px - 1
    inside = np.clip(zy - height_px, 0, None) * np.clip(zx - width_px, 0, None)
    return np.asarray(inside / (zy * zx), dtype=float)


def particle_weights(counted: pd.DataFrame, micrographs: pd.DataFrame | None) -> tuple[np.ndarray, str | None]:
    """Return the weight of each counted particle.

    Parameters
    ----------
    counted : pandas.DataFrame
        Rows of `Population.counted`.
    micrographs : pandas.DataFrame or None
        Micrographs, with ``micrograph_id``, ``height_px`` and ``width_px``; ``field_height_px`` and ``field_width_px``
        take their place where they are known, because the border of an aligned image is where its pixels are missing.

    Returns
    -------
    weights : numpy.ndarray of float
        Shape (n,), at least 1; all 1 where they cannot be computed for every particle.
    reason : str or None
        Why there are no weights, or None.
    """
    # weights for some of the particles only would bias the population
    equal = np.ones(len(counted))
    if micrographs is None or not {"height_px", "width_px"} <= set(micrographs):
        return equal, "the sizes of the images are not known (no table of micrographs)"
    frames = _frames(micrographs.drop_duplicates("micrograph_id").set_index("micrograph_id"))
    sides = frames.reindex(counted["micrograph_id"]).to_numpy(dtype=float, na_value=np.nan)
    box = counted[list(BOX_COLUMNS)].to_numpy(dtype=float)
    inside = inclusion_probability(
        box[:, 2] - box[:, 0], box[:, 3] - box[:, 1], frame_height_px=sides[:, 0], frame_width_px=sides[:, 1]
    )
    unknown = int((~(inside > 0)).sum())
    if unknown:
        return equal, f"{unknown} of {len(counted)} counted particles have no bounding box inside a known image"
    return 1 / inside, None


def _frames(micrographs: pd.DataFrame) -> pd.DataFrame:
    """Return height and width of the part of each micrograph that is image (px)."""
    frames = micrographs[["height_px", "width_px"]].astype("Float64")
    for side in ("height_px", "width_px"):
        if f"field_{side}" in micrographs:
            frames[side] = micrographs[f"field_{side}"].astype("Float64").fillna(frames[side])
    return frames
