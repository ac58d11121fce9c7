"""Miles and Lantuéjoul's weights: large particles are cut by the border, and so left out, more often than small ones.

R. E. Miles, in: Stochastic Geometry (Wiley, 1974) 228; C. Lantuéjoul, Microsc. Acta Suppl. 4 (1980) 266;
ISO 13322-1:2014. The rule: a particle that reaches the border is not counted, each other one counts 1/P.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["RULE", "inclusion_probability", "particle_weights"]

RULE = (
    "particles that reach the border of the image are not counted; each other one has the weight 1/P, "
    "P = (Zx − Fx)(Zy − Fy)/(Zx Zy), F: sides of its bounding box, Z: sides of the image less 1 px (Miles–Lantuéjoul)"
)
UNWEIGHTED = "particles that reach the border of the image are not counted; the others have equal weights"


def inclusion_probability(
    height_px: np.ndarray, width_px: np.ndarray, *, frame_height_px: np.ndarray, frame_width_px: np.ndarray
) -> np.ndarray:
    """Return how probable it is that a particle that meets the frame's area is wholly inside.

    Parameters
    ----------
    height_px, width_px : numpy.ndarray of float
        Shape (n,): sides of the bounding box, the Feret diameters along the image's axes.
    frame_height_px, frame_width_px : numpy.ndarray of float
        Shape (n,): sides of the image. One pixel is taken off: a particle may not reach the outermost pixels on
        either side, so a box of h px has H − 1 − h places, and a point H − 1.

    Returns
    -------
    numpy.ndarray of float
        Shape (n,), 0 to 1; NaN where a side is not known.
    """
    zy, zx = frame_height_px - 1, frame_width_px - 1
    inside = np.clip(zy - height_px, 0, None) * np.clip(zx - width_px, 0, None)
    return np.asarray(inside / (zy * zx), dtype=float)


def particle_weights(counted: pd.DataFrame, micrographs: pd.DataFrame | None) -> tuple[np.ndarray, str | None]:
    """Return the weight of each counted particle.

    Parameters
    ----------
    counted : pandas.DataFrame
        Of `Population.counted`.
    micrographs : pandas.DataFrame or None
        With ``micrograph_id``, ``height_px`` and ``width_px``.

    Returns
    -------
    weights : numpy.ndarray of float
        Shape (n,), at least 1; all 1 where they cannot be given.
    reason : str or None
        Why there are none: weights for some particles and not for others would be no population.
    """
    equal = np.ones(len(counted))
    if micrographs is None or not {"height_px", "width_px"} <= set(micrographs):
        return equal, "the sizes of the images are not known (no table of micrographs)"
    frames = micrographs.drop_duplicates("micrograph_id").set_index("micrograph_id")[["height_px", "width_px"]]
    sides = frames.reindex(counted["micrograph_id"]).to_numpy(dtype=float, na_value=np.nan)
    box = counted[["bbox_y0_px", "bbox_x0_px", "bbox_y1_px", "bbox_x1_px"]].to_numpy(dtype=float)
    inside = inclusion_probability(
        box[:, 2] - box[:, 0], box[:, 3] - box[:, 1], frame_height_px=sides[:, 0], frame_width_px=sides[:, 1]
    )
    unknown = int((~(inside > 0)).sum())
    if unknown:
        return equal, f"{unknown} of {len(counted)} counted particles have no bounding box inside a known image"
    return 1 / inside, None
