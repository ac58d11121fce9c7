"""Scaling, non-finite pixels, flat field, and the filters in their order."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask.filtering import as_float32, flat_field, normalize, prepare, replace_nonfinite

Copy = Callable[[object], np.ndarray]
DTYPES = ["?", "u1", ">u2", "<i4", ">i4", "f2", ">f4", "<f8"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_normalise_spans_zero_to_one(dtype: str, xp_array: Copy) -> None:
    image = np.random.default_rng(0).integers(0, 2 if dtype == "?" else 120, (20, 31)).astype(dtype)
    scaled = normalize(xp_array(image))
    assert scaled.dtype == np.float32
    assert scaled.dtype.isnative
    assert (scaled.min(), scaled.max()) == (0, 1)
    values = image.astype(float)
    np.testing.assert_allclose(scaled, (values - values.min()) / (values.max() - values.min()), atol=1e-6)


@given(gain=st.floats(1e-3, 1e3), offset=st.floats(-100, 100))
@settings(max_examples=25, deadline=None)
def test_normalise_ignores_gain_and_offset(gain: float, offset: float) -> None:
    image = np.random.default_rng(0).uniform(0, 1, (16, 16))
    tolerance = 1e-5 + 1e-6 * abs(offset) / gain  # float32 keeps 7 digits of the offset too
    np.testing.assert_allclose(normalize(gain * image + offset), normalize(image), atol=tolerance)


@pytest.mark.parametrize("value", [0, 7.5, -1e30])
def test_constant_image_becomes_zeros(value: float) -> None:
    np.testing.assert_array_equal(normalize(np.full((4, 5), value)), np.zeros((4, 5)))


def test_range_beyond_float32() -> None:
    scaled = normalize(np.array([[-3e38, 0, 3e38]], np.float32))
    np.testing.assert_allclose(scaled, [[0, 0.5, 1]], atol=1e-6)
    scaled = normalize(np.array([[0, 1e-40, 2e-40]], np.float32))
    np.testing.assert_allclose(scaled, [[0, 0.5, 1]], atol=1e-4)


def test_empty_image() -> None:
    assert normalize(np.zeros((0, 5))).shape == (0, 5)


def test_nonfinite_become_the_median(xp_array: Copy) -> None:
    image = np.arange(25, dtype=float).reshape(5, 5)
    image[0, 0], image[2, 2], image[4, 4] = np.nan, np.inf, -np.inf
    result, n = replace_nonfinite(xp_array(image))
    finite = np.isfinite(image)
    assert n == 3
    np.testing.assert_array_equal(result[finite], image[finite])
    np.testing.assert_array_equal(result[~finite], np.median(image[finite]))


def test_float64_beyond_float32_counts_as_not_finite() -> None:
    result, n = replace_nonfinite(np.array([[1.0, 1e300, 3.0]]))
    assert n == 1
    np.testing.assert_array_equal(result, [[1, 2, 3]])


def test_no_finite_pixel_is_an_error() -> None:
    with pytest.raises(ValueError, match="none of the 4 pixels"):
        replace_nonfinite(np.full((2, 2), np.nan))


def test_complex_is_refused() -> None:
    with pytest.raises(TypeError, match="complex64"):
        as_float32(np.zeros((2, 2), np.complex64))


def test_flat_field_restores_an_even_beam(xp_array: Copy) -> None:
    rng = np.random.default_rng(0)
    sensitivity, dark = rng.uniform(0.5, 1.5, (30, 40)), rng.uniform(90, 110, (30, 40))
    scene = rng.uniform(100, 200, (30, 40))
    image, gain = scene * sensitivity + dark, 500 * sensitivity + dark
    corrected = flat_field(xp_array(image), gain=xp_array(gain), dark=xp_array(dark))
    np.testing.assert_allclose(corrected / corrected.mean(), scene / scene.mean(), rtol=1e-4)
    np.testing.assert_allclose(corrected.mean(), (image - dark).mean(), rtol=0.05)


def test_dead_pixels_are_counted(xp_array: Copy) -> None:
    image, gain = np.arange(1, 17, dtype=np.uint16).reshape(4, 4), np.full((4, 4), 2.0)
    gain[1, 1], gain[2, 2] = 0, np.nan
    corrected = flat_field(xp_array(image), gain=xp_array(gain))
    assert np.isnan(corrected[[1, 2], [1, 2]]).all()
    prepared, n = prepare(xp_array(image), gain=xp_array(gain))
    assert n == 2
    assert np.isfinite(prepared).all()


def test_references_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 5\).*\(4, 4\)"):
        flat_field(np.ones((4, 4)), gain=np.ones((4, 5)))
    with pytest.raises(ValueError, match="swapped"):
        flat_field(np.ones((4, 4)), gain=np.ones((4, 4)), dark=np.full((4, 4), 2))


@pytest.mark.parametrize("dtype", DTYPES)
def test_prepare_any_dtype(dtype: str, xp_array: Copy) -> None:
    image = np.random.default_rng(0).integers(0, 2 if dtype == "?" else 120, (40, 31)).astype(dtype)
    prepared, n = prepare(xp_array(image))
    assert n == 0
    assert prepared.dtype == np.float32
    assert prepared.flags.c_contiguous
    assert (prepared.min(), prepared.max()) == (0, 1)


def test_a_spike_does_not_spoil_the_scaling() -> None:
    image = np.random.default_rng(0).normal(100, 5, (64, 64))
    clean, _ = prepare(image)
    image[30, 30] = 60000
    spiked, _ = prepare(image)
    # the spike inflates the deviation it is measured by, and is still found
    np.testing.assert_allclose(
        np.delete(spiked.ravel(), 30 * 64 + 30), np.delete(clean.ravel(), 30 * 64 + 30), atol=0.02
    )


@pytest.mark.gpu_arrays
def test_gpu_equals_cpu() -> None:
    cupy = pytest.importorskip("cupy")
    image = np.random.default_rng(0).normal(100, 5, (64, 70))
    image[3, 3] = np.nan
    gain = np.random.default_rng(1).uniform(0.5, 1, image.shape)
    on_cpu, n = prepare(image, gain=gain)
    on_gpu, m = prepare(cupy.asarray(image), gain=cupy.asarray(gain))
    assert n == m
    np.testing.assert_allclose(on_gpu.get(), on_cpu, atol=1e-6)
