"""OpenCV's opening and closing are scikit-image's, to the border."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import morphology

from hrtem_dask import backend
from hrtem_dask.particles.morphology import clean_mask


def blobs(seed, shape=(60, 75), sigma=1.5):
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma) > 0.05


@given(seed=st.integers(0, 10**6), radius=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_opening_equals_scikit_image(seed, radius):
    mask = blobs(seed)
    ours = clean_mask(mask, opening_radius_px=radius, closing_radius_px=0, fill_holes=False)
    theirs = morphology.opening(mask, morphology.disk(radius), mode="ignore")
    np.testing.assert_array_equal(ours, theirs)


@given(seed=st.integers(0, 10**6), radius=st.integers(1, 6))
@settings(max_examples=25, deadline=None)
def test_closing_equals_scikit_image_on_an_endless_background(seed, radius):
    mask = blobs(seed)
    ours = clean_mask(mask, opening_radius_px=0, closing_radius_px=radius, fill_holes=False)
    room = np.pad(mask, 2 * radius + 1)
    theirs = morphology.closing(room, morphology.disk(radius), mode="ignore")
    inner = slice(2 * radius + 1, -2 * radius - 1)
    np.testing.assert_array_equal(ours, theirs[inner, inner])


@given(seed=st.integers(0, 10**6), sigma=st.sampled_from([0.7, 1.5, 3.0]))
@settings(max_examples=25, deadline=None)
def test_holes_equal_scipy(seed, sigma):
    mask = blobs(seed, sigma=sigma)
    ours = clean_mask(mask, opening_radius_px=0, closing_radius_px=0, fill_holes=True)
    np.testing.assert_array_equal(ours, ndimage.binary_fill_holes(mask))


def test_opening_comes_first(xp_array):
    mask = np.zeros((40, 60), dtype=bool)
    mask[10:30, 10:30] = True
    mask[20, 33] = True  # a speck that a closing would weld to the square
    cleaned = clean_mask(xp_array(mask), opening_radius_px=2, closing_radius_px=3, fill_holes=False)
    assert cleaned[15:25, 12:28].all()
    assert not cleaned[:, 31:].any()


def test_the_border_neither_eats_nor_feeds():
    mask = np.zeros((40, 40), dtype=bool)
    mask[10:30, :15] = True  # cut by the left border
    mask[2:8, 20:38] = True  # 2 px from the upper and the right border
    cleaned = clean_mask(mask, opening_radius_px=2, closing_radius_px=4, fill_holes=True)
    assert cleaned[15:25, 0].all()
    assert not cleaned[0].any()
    assert not cleaned[:, -1].any()


@pytest.mark.parametrize("value", [False, True])
def test_constant_masks_and_one_pixel(value):
    for shape in ((1, 1), (1, 30), (20, 20)):
        mask = np.full(shape, value)
        cleaned = clean_mask(mask, opening_radius_px=3, closing_radius_px=3, fill_holes=True)
        assert cleaned.shape == shape
        assert cleaned.dtype == bool
        assert (cleaned == value).all()


def test_refuses_what_is_no_mask():
    with pytest.raises(ValueError, match="2 dimensions"):
        clean_mask(np.zeros((2, 3, 3), dtype=bool), opening_radius_px=1, closing_radius_px=1, fill_holes=True)
    with pytest.raises(ValueError, match="opening_radius_px must be 0 or more, got -1"):
        clean_mask(np.zeros((3, 3), dtype=bool), opening_radius_px=-1, closing_radius_px=1, fill_holes=True)


@pytest.mark.gpu_arrays
@pytest.mark.parametrize("seed", range(5))
def test_gpu_equals_cpu(seed):
    mask = blobs(seed, shape=(200, 230))
    keywords = {"opening_radius_px": 3, "closing_radius_px": 4, "fill_holes": True}
    on_gpu = clean_mask(backend.to_device(mask, "cuda"), **keywords)
    assert not isinstance(on_gpu, np.ndarray)
    np.testing.assert_array_equal(backend.to_numpy(on_gpu), clean_mask(mask, **keywords))
