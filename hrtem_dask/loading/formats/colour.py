"""Gray micrographs that were saved as color pictures."""

from __future__ import annotations

import numpy as np

from hrtem_dask.errors import RefusedSignalError

__all__ = ["gray_channel"]

COLOR_TOLERANCE = 8 / 255
MAX_COLORED_FRACTION = 5e-3
ROWS_AT_A_TIME = 256


def gray_channel(picture: np.ndarray) -> tuple[np.ndarray, str]:
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
    colors = picture[..., :3]
    tolerance = COLOR_TOLERANCE * (float(np.nanmax(colors)) - float(np.nanmin(colors)))
    pixels, n_colored, n_unequal = picture.shape[0] * picture.shape[1], 0, 0
    for start in range(0, picture.shape[0], ROWS_AT_A_TIME):
        rows = colors[start : start + ROWS_AT_A_TIME].astype(np.float32)
        spread = rows.max(-1) - rows.min(-1)
        n_colored += int(np.count_nonzero(spread > tolerance))
        n_unequal += int(np.count_nonzero(spread))
    colored = n_colored / pixels
    if colored > MAX_COLORED_FRACTION:
        raise RefusedSignalError(
            f"a color picture ({colored:.1%} of its pixels are colored), not a micrograph: convert it to gray"
        )
    note = f"saved as a color picture; {n_unequal / pixels:.2%} of its pixels are colored" if n_unequal else ""
    return np.ascontiguousarray(picture[..., 1]), note
