"""Labels that are given, such as those corrected by hand, and their outlines."""

import cv2
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from scipy import ndimage
from skimage.draw import polygon
from skimage.measure import label

from hrtem_dask.particles import find_particles, measure_labels, outline_polygons


def blobs(seed: int, shape: tuple[int, int] = (90, 110), smooth: float = 3.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, smooth) > 0.05


@settings(max_examples=15)
@given(
    seed=st.integers(0, 2**31), permuted=st.integers(0, 2**31), size=st.sampled_from([None, (0.1, 0.1), (0.1, 0.15)])
)
def test_labels_of_a_run_measure_as_in_the_run_whatever_their_numbers(seed, permuted, size):
    mask = blobs(seed)
    image = np.random.default_rng(seed).normal(100, 5, mask.shape)
    found = find_particles(mask, image, pixel_size_nm=size, probability=mask * 0.9)
    rng = np.random.default_rng(permuted)
    numbers = np.append(0, rng.permutation(np.arange(1, found.labels.max() + 1)) + 7)
    again = measure_labels(numbers[found.labels], image, pixel_size_nm=size, probability=mask * 0.9)
    np.testing.assert_array_equal(again.labels, found.labels)
    pd.testing.assert_frame_equal(again.regions, found.regions)
    assert again.particles["split_confidence"].isna().all()
    pd.testing.assert_frame_equal(
        again.particles.drop(columns="split_confidence"), found.particles.drop(columns="split_confidence")
    )


def test_a_particle_in_two_pieces_is_one_row_of_one_region():
    labels = np.zeros((60, 200), np.int64)
    labels[20:40, 10:30] = 5
    labels[20:40, 150:170] = 5
    labels[20:40, 80:100] = 3
    found = measure_labels(labels, np.zeros(labels.shape), pixel_size_nm=(0.1, 0.1))
    assert found.particles["area_px"].tolist() == [800, 400]
    assert found.particles["region_id"].tolist() == [1, 2]
    assert found.regions["n_particles"].tolist() == [1, 1]
    assert found.regions["area_px"].tolist() == [800, 400]


def test_touching_particles_stay_apart_and_share_a_region():
    labels = np.zeros((60, 90), np.int32)
    labels[10:40, 10:40], labels[10:40, 40:70] = 1, 2
    found = measure_labels(labels, np.zeros(labels.shape), pixel_size_nm=(0.1, 0.1))
    assert found.particles["area_px"].tolist() == [900, 900]
    assert found.regions["region_class"].tolist() == ["agglomeration"]


def test_bad_labels_are_refused():
    with pytest.raises(ValueError, match="got -1"):
        measure_labels(np.full((5, 5), -1), np.zeros((5, 5)), pixel_size_nm=None)
    with pytest.raises(ValueError, match="must be equal"):
        measure_labels(np.zeros((5, 5), int), np.zeros((5, 6)), pixel_size_nm=None)


@settings(max_examples=30)
@given(seed=st.integers(0, 2**31), smooth=st.floats(0.5, 3))
def test_outlines_enclose_exactly_their_pixels(seed, smooth):
    mask = blobs(seed, (30, 40), smooth)
    drawn = np.zeros((50, 60), bool)
    pieces = outline_polygons(mask, corner=(7, 9))
    for outer, *holes in pieces:
        x, y = outer.T
        piece = np.zeros_like(drawn)
        piece[polygon(y - 0.5, x - 0.5, drawn.shape)] = True
        for hole in holes:
            x, y = hole.T
            piece[polygon(y - 0.5, x - 0.5, drawn.shape)] = False
        drawn |= piece
    np.testing.assert_array_equal(drawn[7:37, 9:49], mask)
    assert drawn.sum() == mask.sum()
    assert len(pieces) == label(mask, connectivity=2).max()
    outer, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    assert sum(len(rings) for rings in pieces) == len(outer)
