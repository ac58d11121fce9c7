"""Regions: bridged exactly at the gap, numbered in raster order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hrtem_dask.particles.components import connected_components
from hrtem_dask.particles.regions import label_regions

FULL = np.ones((3, 3))


def noise(seed, shape=(40, 50), level=0.6):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.2) > level * 0.25


def partition(labels):
    return {frozenset(np.flatnonzero(labels == k)) for k in np.unique(labels[labels > 0])}


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_components_equal_scipy_number_for_number(seed):
    mask = noise(seed)
    expected, _ = ndimage.label(mask, structure=FULL)
    labels = connected_components(mask)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize(("gap_nm", "n_regions"), [(0.3, 1), (0.38, 1), (0.4, 2), (0.5, 2)])
def test_pieces_join_below_the_gap_only(gap_nm, n_regions, vertical, xp_array):
    mask = np.zeros((60, 120), dtype=bool)
    width = round(gap_nm / 0.02)
    mask[10:40, 10:40] = mask[12:30, 40 + width : 70 + width] = True
    if vertical:
        mask = mask.T
    labels = label_regions(xp_array(mask), pixel_size_nm=(0.02, 0.02), bridge_gap_nm=0.4)
    assert labels.max() == n_regions
    np.testing.assert_array_equal(labels > 0, mask)


def test_the_gap_is_in_true_nm_with_non_square_pixels():
    mask = np.zeros((80, 80), dtype=bool)
    mask[10:30, 10:30] = True
    mask[10:30, 45:60] = True  # 15 columns away
    mask[45:60, 10:30] = True  # 15 rows away
    along_x = label_regions(mask, pixel_size_nm=(0.03, 0.02), bridge_gap_nm=0.4)  # rows 0.45 nm, columns 0.30 nm
    assert along_x.max() == 2
    assert along_x[15, 15] == along_x[15, 50] != along_x[50, 15]
    along_y = label_regions(mask, pixel_size_nm=(0.02, 0.03), bridge_gap_nm=0.4)
    assert along_y[15, 15] == along_y[50, 15] != along_y[15, 50]


@given(seed=st.integers(0, 10**6), sizes=st.sampled_from([(0.1, 0.1), (0.1, 0.17), (0.23, 0.1)]))
@settings(max_examples=25, deadline=None)
def test_bridging_equals_brute_force(seed, sizes):
    mask = noise(seed, shape=(30, 36), level=1.2)
    pieces, n = ndimage.label(mask, structure=FULL)
    adjacency = np.eye(n, dtype=bool)
    points = [np.argwhere(pieces == k + 1) for k in range(n)]
    for i in range(n):
        for j in range(i):
            step = np.abs(points[i][:, None] - points[j][None]) - 1
            apart = np.hypot(*np.moveaxis(np.maximum(step, 0) * sizes, -1, 0)).min()
            adjacency[i, j] = adjacency[j, i] = apart < 0.4 - 1e-9
    for _ in range(n):
        adjacency = adjacency @ adjacency
    expected = {frozenset(np.flatnonzero(np.isin(pieces, np.flatnonzero(row) + 1))) for row in adjacency}
    labels = label_regions(mask, pixel_size_nm=sizes, bridge_gap_nm=0.4)
    assert partition(labels) == expected
    first = [np.flatnonzero(labels == k)[0] for k in range(1, labels.max() + 1)]
    assert first == sorted(first)


def test_chains_are_one_region_and_no_pixel_size_bridges_nothing():
    mask = np.zeros((10, 100), dtype=bool)
    for x in range(0, 100, 10):
        mask[3:6, x : x + 7] = True
    assert label_regions(mask, pixel_size_nm=(0.1, 0.1), bridge_gap_nm=0.4).max() == 1
    assert label_regions(mask, pixel_size_nm=None, bridge_gap_nm=0.4).max() == 10
    assert label_regions(mask, pixel_size_nm=(0.1, 0.1), bridge_gap_nm=0.0).max() == 10


def test_diagonal_gaps_are_measured_between_nearest_edges():
    mask = np.zeros((20, 20), dtype=bool)
    mask[:5, :5] = mask[8:, 9:] = True  # 3 rows and 4 columns between them: 5 px
    assert label_regions(mask, pixel_size_nm=(0.1, 0.1), bridge_gap_nm=0.51).max() == 1
    assert label_regions(mask, pixel_size_nm=(0.1, 0.1), bridge_gap_nm=0.5).max() == 2


def test_empty_and_refused():
    assert label_regions(np.zeros((5, 7), dtype=bool), pixel_size_nm=(1, 1), bridge_gap_nm=2).max() == 0
    with pytest.raises(ValueError, match="bridge_gap_nm must be 0 or more"):
        label_regions(np.zeros((5, 7), dtype=bool), pixel_size_nm=(1, 1), bridge_gap_nm=-1)
