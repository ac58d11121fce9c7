"""The Hann window equals SciPy's, bit by bit."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.signal.windows

from hrtem_dask.hann_window import hann


@pytest.mark.parametrize("n", [2, 3, 16, 101, 256, 1023])
@pytest.mark.parametrize("periodic", [False, True])
def test_equals_scipy(n: int, periodic: bool) -> None:
    np.testing.assert_array_equal(hann(n, periodic=periodic), scipy.signal.windows.hann(n, sym=not periodic))
