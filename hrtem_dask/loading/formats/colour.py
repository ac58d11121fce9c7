"""Gray micrographs that were saved as color pictures."""

from __future__ import annotations

import numpy as np

from hrtem_dask.errors import RefusedSignalError

__all__ = ["grey_channel"]

COLOUR_TOLERANCE = 8 / 255
MAX_COLOURED_FRACTION = 5e-3
ROWS_AT_A_TIME = 256


def grey_channel(picture: np.ndarray) -> tuple[np.ndarray, str]:
    """Return one channel of a gray picture.

    Parameters
    ----------
    picture : numpy.ndarray
        Shape (y, x, channels): 2 (gray, alpha), 3 or 4 (colors, alpha); alpha is dropped.

    Returns
    -------
    image : numpy.ndarray
        Shape (y, x), the same dtype: the green channel.
    note : str
        Fraction of the pixels that are colored, such as those of a scale bar or a label; empty where there are none.

    Raises
    ------
    RefusedSignalError
        If more than 0.5 % of the pixels differ between channels by more than 8/255 of the range of intensities.
    """
    if picture.shape[-1] == 2:
        return np.ascontiguousarray(picture[..., 0]), ""
    colours = picture[..., :3]
    tolerance = COLOUR_TOLERANCE * (float(np.nanmax(colours)) - float(np.nanmin(colours)))
    pixels, n_coloured, n_unequal = picture.shape[0] * picture.shape[1], 0, 0
    for start in range(0, picture.shape[0], ROWS_AT_A_TIME):
        rows = colours[start : start + ROWS_AT_A_TIME].astype(np.float32)
        spread = rows.max(-1) - rows.min(-1)
        n_coloured += int(np.count_nonzero(spread > tolerance))
        n_unequal += int(np.count_nonzero(spread))
    coloured = n_coloured / pixels
    if coloured > MAX_COLOURED_FRACTION:
        raise RefusedSignalError(
            f"a color picture ({coloured:.1%} of its pixels are colored), not a micrograph: convert it to gray"
        )
    note = f"saved as a color picture; {n_unequal / pixels:.2%} of its pixels are colored" if n_unequal else ""
    return np.ascontiguousarray(picture[..., 1]), note
