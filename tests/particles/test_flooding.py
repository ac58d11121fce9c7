"""Floods from markers are those of scikit-image, pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.segmentation import watershed

from hrtem_dask.particles.connected_runs import connected_runs
from hrtem_dask.particles.flooding import basins


@settings(max_examples=200, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    levels=st.sampled_from([0, 1, 4, 40]),
    blur_px=st.sampled_from([0.0, 1.5]),
    seed=st.integers(0, 10_000),
)
def test_the_watershed_of_scikit_image(shape: tuple[int, int], levels: int, blur_px: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    height = ndimage.gaussian_filter(rng.normal(size=shape), blur_px)
    height = (np.round(levels * height) if levels else height).astype(np.float32)
    mask = rng.random(shape) < rng.uniform(0.5, 1)
    lowest = (height <= ndimage.minimum_filter(height, 3)) & mask & (rng.random(shape) < 0.8)
    markers = connected_runs(lowest)[0]
    expected = watershed(height, markers, connectivity=2, mask=mask)
    np.testing.assert_array_equal(basins(height, markers, mask), expected)


@pytest.mark.parametrize("density", [0.0, 0.1, 0.45, 0.7, 1.0])
def test_pieces_and_runs(density: float) -> None:
    rng = np.random.default_rng(0)
    for shape in ((1, 1), (1, 30), (30, 1), (37, 53)):
        mask = rng.random(shape) < density
        labels, number, row, start, stop = connected_runs(mask)
        np.testing.assert_array_equal(labels, ndimage.label(mask, np.ones((3, 3)))[0])
        assert int((stop - start).sum()) == np.count_nonzero(mask)
        np.testing.assert_array_equal(labels[row, start], number)
        np.testing.assert_array_equal(labels[row, stop - 1], number)
