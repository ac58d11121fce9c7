"""Pictures with colour channels that are micrographs after all: grey ones saved as RGB."""

from __future__ import annotations

import numpy as np

from hrtem_dask.errors import RefusedSignalError

__all__ = ["grey_channel"]

COLOUR_TOLERANCE = 8 / 255
MAX_COLOURED_FRACTION = 5e-3


def grey_channel(picture: np.ndarray) -> tuple[np.ndarray, str]:
    """Return one channel of a picture that is grey.

    Parameters
    ----------
    picture : numpy.ndarray
        Shape (y, x, channels): 2 (grey, alpha), 3 or 4 (colours, alpha); alpha is dropped.

    Returns
    -------
    image : numpy.ndarray
        Shape (y, x), the same dtype: the green channel.
    note : str
        What share of the pixels has a colour, where any has: a scale bar or a label.

    Raises
    ------
    RefusedSignalError
        If more than 0.5 % of the pixels differ between channels by more than 8/255 of the range of intensities.
    """
    if picture.shape[-1] == 2:
        return np.ascontiguousarray(picture[..., 0]), ""
    first, second, third = (picture[..., c] for c in range(3))
    brightest, darkest = np.maximum(np.maximum(first, second), third), np.minimum(np.minimum(first, second), third)
    spread = brightest.astype(np.float64) - darkest
    coloured = float(np.mean(spread > COLOUR_TOLERANCE * (float(np.nanmax(brightest)) - float(np.nanmin(darkest)))))
    if coloured > MAX_COLOURED_FRACTION:
        raise RefusedSignalError(
            f"a colour picture ({coloured:.1%} of its pixels are coloured), no micrograph: convert it to grey"
        )
    note = f"saved as a colour picture; {np.mean(spread > 0):.2%} of its pixels are coloured" if spread.any() else ""
    return np.ascontiguousarray(second), note
