"""The Hann window. SciPy's is the same, but importing ``scipy.signal`` takes each worker half a second."""

from __future__ import annotations

import numpy as np

__all__ = ["hann"]


def hann(n: int, *, periodic: bool = False) -> np.ndarray:
    """Return a Hann window.

    Parameters
    ----------
    n : int
        Number of samples, at least 2.
    periodic : bool
        Whether the sample after the last one would be the first one again; otherwise the window is symmetric.

    Returns
    -------
    numpy.ndarray of float64
        Shape (n,): 0 at the ends (of a periodic one, at the first), 1 in the middle. Equal to that of
        ``scipy.signal.windows.hann`` with ``sym=not periodic``, bit by bit.

    References
    ----------
    Harris, Proc. IEEE 66 (1978) 51: windows for the discrete Fourier transform.

    Examples
    --------
    >>> hann(5).round(3).tolist()
    [0.0, 0.5, 1.0, 0.5, 0.0]
    >>> hann(4, periodic=True).round(3).tolist()
    [0.0, 0.5, 1.0, 0.5]
    """
    m = n + 1 if periodic else n
    window = 0.5 + 0.5 * np.cos(np.linspace(-np.pi, np.pi, m))
    return window[:n]
