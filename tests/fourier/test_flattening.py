"""Blurring against SciPy."""

import numpy as np
import pytest
from scipy import ndimage

from hrtem_dask.fourier.flattening import blurred


@pytest.mark.parametrize(("beyond", "mode"), [("zero", "constant"), ("edge", "nearest")])
@pytest.mark.parametrize("pixel_size_nm", [(0.03, 0.03), (0.025, 0.04)])
def test_blurring_equals_scipys(beyond: str, mode: str, pixel_size_nm: tuple[float, float]) -> None:
    values = np.random.default_rng(0).normal(size=(70, 90)).astype(np.float32)
    for sigma_nm in (0.03, 0.12, 0.5):
        expected = ndimage.gaussian_filter(values, [sigma_nm / size for size in pixel_size_nm], mode=mode)
        np.testing.assert_allclose(
            blurred(values, sigma_nm, pixel_size_nm, beyond=beyond), expected, rtol=1e-4, atol=2e-6
        )  # fmt: skip
