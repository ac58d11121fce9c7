"""The comparison of two images pixel by pixel."""

import cv2
import numpy as np
import pytest

from hrtem_dask.loading.similarity import compare_images


def exposure(seed: int, *, noise: float = 8.0) -> np.ndarray:
    """One exposure of a static field with particles and lattice fringes: only the noise depends on the seed."""
    y, x = np.mgrid[:512, :512]
    field = np.full((512, 512), 200.0)
    for cy, cx in np.random.default_rng(5).uniform(40, 470, (12, 2)):
        field = np.where((y - cy) ** 2 + (x - cx) ** 2 < 25**2, 90 + 20 * np.sin(x), field)
    return np.asarray(field + np.random.default_rng(seed).normal(0, noise, field.shape))


def bits_8(image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image, [0.5, 99.5])
    return ((image - low) / (high - low) * 255).clip(0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    return np.asarray(cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], 0))


@pytest.mark.parametrize("noise", [3.0, 8.0, 30.0])
def test_copies_and_exposures(noise: float) -> None:
    original = exposure(1, noise=noise)
    copy = bits_8(original)
    assert compare_images((original * 20 + 5000).astype(np.uint16), copy)[0] == "copy"
    assert compare_images(original, jpeg(copy, 90))[0] == "copy"
    assert compare_images(original, cv2.resize(copy, (256, 256), interpolation=cv2.INTER_AREA))[0] == "copy"
    assert compare_images(original, bits_8(exposure(2, noise=noise)))[0] == "different"


def test_inverted_contrast_has_a_negative_correlation() -> None:
    kind, correlation = compare_images(exposure(1), 255 - bits_8(exposure(1)))
    assert (kind, correlation < -0.99) == ("copy", True)


def test_marks_and_a_strip_leave_a_copy_one() -> None:
    copy = bits_8(exposure(1))
    copy[-40:-10, 20:180] = 255
    assert compare_images(exposure(1), copy)[0] == "copy"
    assert compare_images(exposure(1), np.vstack([copy, np.full((40, 512), 255, np.uint8)]))[0] == "copy"


def test_half_of_a_field_that_was_pasted_is_no_copy() -> None:
    mixed = exposure(1)
    mixed[256:] = exposure(2)[256:]
    assert compare_images(exposure(1), mixed)[0] != "copy"


def test_a_strong_compression_is_possibly_a_copy_or_one() -> None:
    assert compare_images(exposure(1), jpeg(bits_8(exposure(1)), 40))[0] in ("possible", "copy")


def test_constant_and_tiny_images_are_not_compared() -> None:
    assert compare_images(np.ones((512, 512)), np.ones((512, 512)))[0] == "different"
    assert compare_images(exposure(1)[:20, :20], exposure(1)[:20, :20])[0] == "different"
