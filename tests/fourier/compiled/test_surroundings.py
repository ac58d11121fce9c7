"""Rings around regions against SciPy's distances."""

import numpy as np
import pytest
from scipy import ndimage

from hrtem_dask.fourier.compiled.surroundings import REGION, RING, means_and_deviations, region_and_ring


@pytest.mark.parametrize("pixel_size_nm", [(0.03, 0.03), (0.021, 0.047)])
def test_ring_and_statistics(pixel_size_nm: tuple[float, float]) -> None:
    rng = np.random.default_rng(2)
    mask = ndimage.binary_opening(ndimage.gaussian_filter(rng.normal(size=(90, 110)), 6) > 0.02, iterations=2)
    kind = region_and_ring(mask, 0.15, 0.6, pixel_size_nm)
    distance = ndimage.distance_transform_edt(~mask, sampling=pixel_size_nm)
    clear = (np.abs(distance - 0.15) > 1e-6) & (np.abs(distance - 0.6) > 1e-6)  # elsewhere rounding decides
    assert (kind[mask] == REGION).all()
    expected = (distance > 0.15) & (distance <= 0.6)
    np.testing.assert_array_equal((kind == RING)[clear], expected[clear])
    images = rng.normal(1000, 0.1, (2, *mask.shape)).astype(np.float32)
    count, mean, deviation = means_and_deviations(images, kind)
    for n in (REGION, RING):
        chosen = images[:, kind == n].astype(float)
        assert count[n] == chosen.shape[1]
        np.testing.assert_allclose(mean[:, n], chosen.mean(axis=1), rtol=1e-12)
        np.testing.assert_allclose(deviation[:, n], chosen.std(axis=1), rtol=1e-8)
