"""Uneven illumination goes, particles stay, and an even image is not touched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask.filtering import flatten_background
from hrtem_dask.filtering.background import background_surface

SIDE = 256


def field(rng: np.random.Generator, coverage: float, contrast: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    """Return an evenly lit field of dark disks (level 1) and where its background is."""
    y, x = np.mgrid[:SIDE, :SIDE]
    background = np.ones((SIDE, SIDE), bool)
    while 1 - background.mean() < coverage:
        cy, cx = rng.uniform(0, SIDE, 2)
        background &= (y - cy) ** 2 + (x - cx) ** 2 > rng.uniform(8, 25) ** 2
    return np.where(background, 1.0, 1 - contrast), background


def plane(change: float, direction_rad: float) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    return 1 + change * (np.cos(direction_rad) * x + np.sin(direction_rad) * y)


@given(
    seed=st.integers(0, 1000),
    coverage=st.sampled_from([0.0, 0.1, 0.25, 0.4]),
    change=st.floats(0.15, 0.9),
    direction=st.floats(0, 6.28),
)
@settings(max_examples=25, deadline=None)
def test_particles_do_not_pull_the_plane(seed: int, coverage: float, change: float, direction: float) -> None:
    rng = np.random.default_rng(seed)
    even, background = field(rng, coverage)
    lit = 1000 * even * plane(change, direction)
    image = rng.normal(lit, 30).astype(np.float32)
    flat = flatten_background(image)
    terms = np.stack([np.ones(background.sum()), *(np.argwhere(background).T / SIDE - 0.5)], axis=1)
    level, *slope = np.linalg.lstsq(terms, flat[background], rcond=None)[0]
    assert np.hypot(*slope) / level < 0.05  # of at least 0.15


@pytest.mark.parametrize("coverage", [0.0, 0.2, 0.5, 0.8])
def test_an_even_field_is_unchanged(coverage: float, xp_array: object) -> None:
    rng = np.random.default_rng(1)
    even, _ = field(rng, coverage)
    image = rng.normal(1000 * even, 60).astype(np.float32)
    assert np.array_equal(flatten_background(xp_array(image)), image)  # type: ignore[operator]


def test_a_film_edge_is_no_gradient() -> None:
    rng = np.random.default_rng(2)
    image = rng.normal(1000, 40, (SIDE, SIDE)).astype(np.float32)
    image[:, : SIDE // 3] *= 1.5  # a hole beside the film
    assert np.array_equal(flatten_background(image), image)


def test_vignetting_is_a_quadratic_surface() -> None:
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    shade = 1 - 1.2 * (x**2 + y**2)
    image = np.random.default_rng(3).normal(500 * shade, 10).astype(np.float32)
    flat = flatten_background(image)
    assert np.corrcoef(flat.ravel(), shade.ravel())[0, 1] < 0.1
    assert flat.std() < 0.05 * flat.mean()


def test_a_signed_image_is_flattened_by_subtraction() -> None:
    rng = np.random.default_rng(4)
    image = (10 * (plane(1.0, 0.3) - 1) + rng.normal(0, 1, (SIDE, SIDE))).astype(np.float32)
    flat = flatten_background(image)
    assert np.isclose(flat.std(), 1, rtol=0.05)


@given(factor=st.floats(1e-3, 1e4))
@settings(max_examples=10, deadline=None)
def test_the_surface_scales_with_the_image(factor: float) -> None:
    blocks = np.random.default_rng(5).normal(1, 0.02, (12, 16)) * np.linspace(0.8, 1.2, 16)
    surface = background_surface(blocks)
    scaled = background_surface(factor * blocks)
    assert surface is not None
    assert scaled is not None
    np.testing.assert_allclose(scaled, factor * surface, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (5, 7), (20, 2000)])
def test_images_too_small_for_a_surface_are_unchanged(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(6).normal(100, 1, shape).astype(np.float32)
    np.testing.assert_array_equal(flatten_background(image), image)


@pytest.mark.gpu_arrays
def test_gpu_equals_cpu() -> None:
    cupy = pytest.importorskip("cupy")
    image = np.random.default_rng(0).normal(1000 * plane(0.6, 1.0), 30).astype(np.float32)
    on_gpu = flatten_background(cupy.asarray(image)).get()
    np.testing.assert_allclose(on_gpu, flatten_background(image), rtol=1e-5)
