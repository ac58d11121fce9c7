"""Fingerprints: copies agree, two exposures do not."""

import cv2
import numpy as np
import pytest

from hrtem_dask.loading.similarity.fingerprint import (
    Fingerprint,
    compared_width,
    fingerprint_agreement,
    make_fingerprint,
)


def exposure(seed: int, *, noise: float = 8.0, size_px: int = 512) -> np.ndarray:
    """One exposure of a static field of particles: only the noise depends on the seed."""
    y, x = np.mgrid[:size_px, :size_px] * 512 / size_px
    field = np.full((size_px, size_px), 200.0)
    for cy, cx in np.random.default_rng(5).uniform(40, 470, (12, 2)):
        field[(y - cy) ** 2 + (x - cx) ** 2 < 25**2] = 90
    return 20 * (cv2.GaussianBlur(field, (0, 0), 2) + np.random.default_rng(seed).normal(0, noise, field.shape))


def agreement(first: np.ndarray, second: np.ndarray) -> float:
    return fingerprint_agreement(make_fingerprint(first), make_fingerprint(second))


def stretched(image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image, [0.5, 99.5])
    return ((image - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("noise", [2.0, 8.0, 30.0])
def test_copies_agree_and_exposures_do_not(noise: float) -> None:
    original = exposure(1, noise=noise)
    assert agreement(original, stretched(original)) > 0.9
    assert agreement(original, original.astype(np.float32)) > 0.99
    assert agreement(original, 255 - stretched(original)) < -0.85
    assert abs(agreement(original, exposure(2, noise=noise))) < 0.2


def test_a_smaller_copy_agrees() -> None:
    original = exposure(1, size_px=1024)
    half = cv2.resize(stretched(original), (512, 512), interpolation=cv2.INTER_AREA)
    assert agreement(original, half) > 0.85
    assert abs(agreement(original, cv2.resize(exposure(2, size_px=1024), (512, 512)))) < 0.2


def test_a_strip_below_the_image_does_not_matter() -> None:
    original = exposure(1)
    assert agreement(original, np.vstack([stretched(original), np.full((60, 512), 255, np.uint8)])) > 0.9


def test_what_cannot_be_compared_is_nan() -> None:
    constant = np.full((512, 512), 7, np.uint16)
    assert np.isnan(agreement(constant, constant))
    assert np.isnan(agreement(exposure(1)[:60, :60], exposure(1)[:60, :60]))
    assert np.isnan(agreement(exposure(1), exposure(1)[:150]))
    mostly_constant = exposure(1).copy()
    mostly_constant[:, :480] = 0
    assert np.isnan(agreement(mostly_constant, mostly_constant))


def test_constant_images_have_no_content() -> None:
    assert make_fingerprint(np.zeros((200, 200))).image_hash == ""
    assert make_fingerprint(np.full((200, 200), np.nan)).image_hash == ""
    assert make_fingerprint(exposure(1)).image_hash != ""


def test_it_survives_encoding() -> None:
    found = make_fingerprint(exposure(1))
    again = Fingerprint.decode(found.encode())
    assert (again.image_hash, again.shape) == (found.image_hash, found.shape)
    assert list(again.signs) == [512, 256, 128]
    for width, signs in found.signs.items():
        np.testing.assert_array_equal(again.signs[width], signs)
    with pytest.raises(ValueError, match="unpack"):
        Fingerprint.decode("nonsense")


def test_non_finite_pixels_and_odd_types_do_not_raise() -> None:
    image = exposure(1)
    image[:30] = np.nan
    image[40, 40] = np.inf
    assert agreement(image, image) > 0.99
    for dtype in (bool, np.int8, np.uint32, np.float16):
        make_fingerprint((exposure(1) / 50).clip(0, 120).astype(dtype))
    for shape in ((0, 5), (1, 600), (600, 1)):
        make_fingerprint(np.ones(shape))


def test_widths_of_comparison() -> None:
    assert compared_width(512, 512) == 512
    assert compared_width(512, 2048) == 256
    assert compared_width(200, 200) == 128
    assert compared_width(200, 2048) == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
def test_a_turned_image_has_the_same_mark_and_another_exposure_has_not(dtype: type) -> None:
    images = [(exposure(seed) / 8).astype(dtype) for seed in (1, 2)]
    if np.dtype(dtype).kind == "f":  # of mean zero, as programs normalize images, and with a dead pixel
        images = [image - image.mean() for image in images]
        for image in images:
            image[3, 5] = np.nan
    first, other = (make_fingerprint(image) for image in images)
    for turned in (images[0][::-1], images[0].T, np.rot90(images[0])):
        found = make_fingerprint(np.ascontiguousarray(turned))
        assert found.turned == first.turned
        assert Fingerprint.decode(found.encode()).turned == first.turned
    assert first.turned != other.turned
    assert make_fingerprint(np.ones((200, 200))).turned == ""
    assert Fingerprint.decode("abc 200x200").turned == ""  # of an earlier version
