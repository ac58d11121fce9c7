"""Outlines half-way, on objects whose edge is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hrtem_dask.particles.outlines.half_way import half_way_offset_px, move_outlines_half_way

SHAPE = (128, 128)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)


def radius_from(center):
    return np.hypot(Y - center[0], X - center[1])


def diameter(labels, number=1):
    return 2 * np.sqrt(np.count_nonzero(labels == number) / np.pi)


@settings(max_examples=20, deadline=None)
@given(
    radius=st.floats(12, 30),
    drawn=st.floats(-3, 3),
    blur=st.floats(0.5, 2.5),
    bright=st.booleans(),
    seed=st.integers(0, 100),
)
def test_a_blurred_disk_has_its_edge_half_way(radius, drawn, blur, bright, seed):
    rng = np.random.default_rng(seed)
    distance = radius_from(64 + rng.uniform(-0.5, 0.5, 2))
    blurred = ndimage.gaussian_filter(np.where(distance < radius, 100.0, 200.0), blur)
    image = blurred + rng.normal(0, 8, SHAPE)
    labels = (distance < radius + drawn).astype(np.int32)
    moved = move_outlines_half_way(labels, -image if bright else image)
    # a blur moves the half-way level of a curved edge inwards, by σ²/2r: 0.26 px at a radius of 12 px
    assert abs(diameter(moved) - diameter(blurred < 150)) / 2 < 0.8


def test_a_sphere_is_half_as_thick_at_87_percent_of_its_radius():
    """Thickness t = 2 √(R² − r²) is half of that in the middle where r = √3/2 R."""
    rng = np.random.default_rng(1)
    distance = radius_from((64, 64))
    thickness = 2 * np.sqrt(np.maximum(0, 40**2 - distance**2))
    image = 300 - thickness + rng.normal(0, 3, SHAPE)
    moved = move_outlines_half_way((distance < 40).astype(np.int32), image)
    # the level is half of the median thickness of the inner half, which is 0.93 of that in the middle
    level = np.median(thickness[distance < 20]) / 2
    assert diameter(moved) / 2 == pytest.approx(np.sqrt(40**2 - (level / 2) ** 2), abs=0.5)


def test_touching_particles_keep_their_common_border():
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[30:90, 30:64], labels[30:90, 64:98] = 1, 2
    image = np.where(np.pad(np.ones((54, 62)), ((33, 41), (33, 33))) > 0, 50.0, 200.0)
    moved = move_outlines_half_way(labels, image + np.random.default_rng(0).normal(0, 5, SHAPE))
    np.testing.assert_array_equal(moved[40:80, 63], 1)
    np.testing.assert_array_equal(moved[40:80, 64], 2)
    assert moved[31, 60] == 0
    assert moved[35, 60] == 1


def test_what_cannot_be_seen_stays():
    labels = (radius_from((64, 64)) < 20).astype(np.int32)
    noise = np.random.default_rng(3).normal(100, 10, SHAPE)
    np.testing.assert_array_equal(move_outlines_half_way(labels, np.full(SHAPE, 7.0)), labels)
    assert half_way_offset_px(np.full(SHAPE, 7.0), labels > 0, labels == 0) is None
    assert abs(diameter(move_outlines_half_way(labels, noise)) - 40) < 12
    empty = np.zeros(SHAPE, dtype=np.int32)
    np.testing.assert_array_equal(move_outlines_half_way(empty, noise), empty)


def test_small_particles_follow_the_others_and_none_vanishes():
    distance = radius_from((64, 64))
    labels = (distance < 23).astype(np.int32)
    labels[10:13, 10:13], labels[110, 110] = 2, 3
    image = np.where(distance < 20, 100.0, 200.0) + np.random.default_rng(0).normal(0, 4, SHAPE)
    moved = move_outlines_half_way(labels, image)
    assert set(np.unique(moved)) == {0, 1, 2, 3}
    assert np.count_nonzero(moved == 2) < 9
