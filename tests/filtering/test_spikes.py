"""Spikes go, everything else stays, and OpenCV's median is SciPy's."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, signal

from hrtem_dask.filtering import median_3x3, replace_spikes

Copy = Callable[[object], np.ndarray]


@pytest.mark.parametrize(
    "dtype", ["?", "u1", "i1", "<u2", ">u2", "<i4", ">i4", "<i8", "f2", "<f4", ">f4", "<f8", ">f8"]
)
@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (6, 1), (2, 2), (33, 40)])
def test_median_equals_scipy(dtype: str, shape: tuple[int, int], xp_array: Copy) -> None:
    image = xp_array(np.random.default_rng(0).uniform(0, 2 if dtype == "?" else 120, shape).astype(dtype))
    median = median_3x3(image)
    expected = ndimage.median_filter(image.astype(np.float32), size=3, mode="mirror")
    assert median.dtype == np.float32
    assert median.dtype.isnative
    assert median.flags.c_contiguous
    np.testing.assert_array_equal(median, expected)


def test_median_of_a_view() -> None:
    image = np.random.default_rng(1).integers(0, 60000, (50, 60)).astype(np.uint16)
    view = image[::-2, 3::3]
    np.testing.assert_array_equal(median_3x3(view), ndimage.median_filter(view, size=3, mode="mirror"))


@given(seed=st.integers(0, 2**31), n_spikes=st.integers(0, 12), height=st.floats(100, 1000))
@settings(max_examples=25, deadline=None)
def test_planted_spikes_go_and_the_rest_stays(seed: int, n_spikes: int, height: float) -> None:
    rng = np.random.default_rng(seed)
    clean = rng.normal(100, 1, (64, 64)).astype(np.float32)
    spiked = clean.copy()
    places = rng.permutation(16 * 16)[:n_spikes]  # at least four pixels apart
    rows, columns = 4 * (places // 16) + 1, 4 * (places % 16) + 1
    spiked[rows, columns] += height
    result = replace_spikes(spiked)
    planted = np.zeros(clean.shape, bool)
    planted[rows, columns] = True
    assert np.abs(result[planted] - 100).max(initial=0) < 5
    # at 5 standard deviations of pure noise practically nothing else is touched, and it is bit-identical
    assert (result[~planted] != clean[~planted]).sum() <= 2


def test_the_papers_definition(xp_array: Copy) -> None:
    # written anew from its description, with SciPy's other median: pad by reflection, 5 × the image's own deviation
    image = np.random.default_rng(3).poisson(200, (80, 90)).astype(np.uint16)
    image[10, 10], image[0, 0], image[79, 40], image[40, 50] = 5000, 4000, 3000, 0
    values = image.astype(np.float64)
    median = signal.medfilt2d(np.pad(values, 3, mode="reflect"), 3)[3:-3, 3:-3]
    expected = np.where(np.abs(values - median) > 5 * values.std(), median, values)
    assert (expected != values).sum() == 3
    np.testing.assert_array_equal(replace_spikes(xp_array(image), threshold_sd=5, scale="image"), expected)


@pytest.mark.parametrize("n_spikes", [10, 400, 3000])
def test_many_spikes_do_not_hide_one_another(n_spikes: int) -> None:
    rng = np.random.default_rng(4)
    clean = rng.normal(100, 10, (256, 256)).astype(np.float32)
    clean[64:128, 64:160] -= 40  # a particle
    spiked = clean.copy()
    places = rng.permutation(85 * 85)[:n_spikes]
    rows, columns = 3 * (places // 85) + 1, 3 * (places % 85) + 1
    spiked[rows, columns] += 3000
    result = replace_spikes(spiked)
    assert result.max() < 200
    untouched = np.ones(clean.shape, bool)
    untouched[rows, columns] = False
    assert (result[untouched] != clean[untouched]).mean() < 1e-4
    assert replace_spikes(spiked, scale="image").max() == (spiked.max() if n_spikes == 3000 else result.max())


def test_a_smooth_image_keeps_its_corners() -> None:
    image = np.full((60, 60), 200.0, np.float32)
    image[20:40, 20:40] = 120.0
    np.testing.assert_array_equal(replace_spikes(image), image)
    noisy = image + np.random.default_rng(0).normal(0, 8, image.shape).astype(np.float32)
    assert (replace_spikes(noisy) != noisy).sum() <= 4  # its corners


def test_unknown_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="got 'mean'"):
        replace_spikes(np.zeros((3, 3)), scale="mean")  # type: ignore[arg-type]


def test_off_and_constant(xp_array: Copy) -> None:
    image = np.random.default_rng(0).normal(size=(9, 9)).astype(np.float32)
    image[4, 4] = 1e4
    np.testing.assert_array_equal(replace_spikes(xp_array(image), threshold_sd=0), image)
    np.testing.assert_array_equal(replace_spikes(np.full((5, 5), 7, np.int32)), np.full((5, 5), 7))


def test_negative_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match="got -1"):
        replace_spikes(np.zeros((3, 3)), threshold_sd=-1)


@pytest.mark.gpu_arrays
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_gpu_equals_cpu(dtype: str) -> None:
    cupy = pytest.importorskip("cupy")
    image = np.random.default_rng(0).integers(0, 200, (65, 70)).astype(dtype)
    image[9, 9] = 255
    np.testing.assert_array_equal(median_3x3(cupy.asarray(image)).get(), median_3x3(image))
    np.testing.assert_array_equal(replace_spikes(cupy.asarray(image)).get(), replace_spikes(image))
