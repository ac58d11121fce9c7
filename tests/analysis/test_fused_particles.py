"""Rafts of disks with one outline, and what looks a little like them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask.analysis.fused_particles import fused_area_fraction

SIDE = 240
Y, X = np.mgrid[:SIDE, :SIDE]
OUTLINE = np.hypot(Y - 120, X - 120) < 90


def raft(pitch: float, filled: float, turn_deg: float = 0.0) -> np.ndarray:
    """Return the pixels of disks on a hexagonal lattice inside the outline; `filled` is diameter over pitch."""
    turn = np.exp(1j * np.radians(turn_deg))
    points = (X - 120 + 1j * (Y - 120)) * turn
    b = np.round(points.imag / (pitch * np.sqrt(3) / 2))
    nearest = np.inf
    for row in (b - 1, b, b + 1):
        along = points.real / pitch - row / 2
        center = pitch * (np.round(along) + row / 2) + 1j * row * pitch * np.sqrt(3) / 2
        nearest = np.minimum(nearest, np.abs(points - center))
    return OUTLINE & (nearest < filled * pitch / 2)


def image(dark: np.ndarray, *, noise: float = 0.0, sign: float = -1) -> np.ndarray:
    """Return an image of particles on gray, with noise in units of their contrast."""
    return 0.5 + sign * 0.3 * dark + np.random.default_rng(0).normal(0, 0.3 * noise, dark.shape)


@settings(max_examples=30, deadline=None)
@given(
    pitch=st.floats(10, 36),
    turn=st.floats(0, 60),
    noise=st.floats(0, 0.4),
    sign=st.sampled_from([-1.0, 1.0]),
)
def test_a_raft_with_one_outline_is_found(pitch: float, turn: float, noise: float, sign: float) -> None:
    seen = image(raft(pitch, 0.82, turn), noise=noise, sign=sign)
    assert fused_area_fraction(seen, OUTLINE.astype(np.int32)) == 1


@settings(max_examples=30, deadline=None)
@given(noise=st.floats(0, 1.0), sign=st.sampled_from([-1.0, 1.0]))
def test_one_particle_is_one(noise: float, sign: float) -> None:
    assert fused_area_fraction(image(OUTLINE, noise=noise, sign=sign), OUTLINE.astype(np.int32)) == 0


@pytest.mark.parametrize(
    "dark",
    [
        OUTLINE & (np.hypot(Y - 120, X - 120) > 60),  # hollow
        OUTLINE * (0.5 + 0.5 * (np.hypot(Y - 120, X - 120) < 50)),  # core and shell
        OUTLINE * (0.7 + 0.3 * np.sign(np.sin(X / 12.0))),  # banded by diffraction
        OUTLINE & (np.abs(Y - 120) > 8),  # two particles: an agglomerate, which its shape tells
    ],
    ids=["hollow", "core and shell", "bands", "two"],
)
def test_other_structure_is_none(dark: np.ndarray) -> None:
    assert fused_area_fraction(image(dark, noise=0.2), OUTLINE.astype(np.int32)) == 0


def test_particles_with_their_own_outlines_are_not_fused() -> None:
    import scipy.ndimage

    dark = raft(20, 0.82)
    labels, n = scipy.ndimage.label(dark)
    assert n > 40
    assert fused_area_fraction(image(dark), labels) == 0


def test_the_share_is_that_of_the_area() -> None:
    other = np.zeros_like(OUTLINE)
    other[5:45, 5:45] = True
    labels = OUTLINE + 2 * (other & ~OUTLINE)
    found = fused_area_fraction(image(raft(20, 0.82) | other), labels)
    assert found == pytest.approx(OUTLINE.sum() / np.count_nonzero(labels))
    assert fused_area_fraction(image(OUTLINE), np.zeros(OUTLINE.shape, np.int32)) is None


def test_spheres_that_touch_all_around_are_no_particle_of_most_of_the_field() -> None:
    """They are one piece at every level; only the gaps between them, and the size of the outline, tell."""
    y, x = np.mgrid[:240, :300]
    disks = np.hypot((y % 40) - 20, (x % 40) - 20) < 20.6
    outline = (np.abs(y - 120) < 110) & (np.abs(x - 150) < 138)
    image = np.where(disks & outline, 0.2, 0.8)
    assert fused_area_fraction(image, outline.astype(int)) == 1.0
    half = outline & (x < 110)
    assert fused_area_fraction(image, half.astype(int)) == 0.0
    assert fused_area_fraction(np.where(outline, 0.2, 0.8), outline.astype(int)) == 0.0
