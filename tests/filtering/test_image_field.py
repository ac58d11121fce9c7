"""Borders of aligned stacks are found, and backgrounds and marks are not taken for them."""

import cv2
import numpy as np
import pytest

from hrtem_dask.filtering import field_sides, find_outside, replace_outside


def disks(n: int = 256) -> np.ndarray:
    """Return dark disks on a bright noisy support."""
    y, x = np.mgrid[:n, :n]
    image = np.full((n, n), 200.0)
    for center_y in range(40, n, 60):
        for center_x in range(40, n, 60):
            image[(y - center_y) ** 2 + (x - center_x) ** 2 <= 400] = 80.0
    return image + np.random.default_rng(0).normal(0, 8, image.shape)


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0, 200.0, 163.25])
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_shifted_frame(value: float, dtype: str) -> None:
    if dtype == "uint8" and not float(value).is_integer():
        pytest.skip("not a value of bytes")
    image = disks().clip(0, 255).astype(dtype)
    image[:30], image[:, -21:] = value, value
    expected = np.zeros(image.shape, dtype=bool)
    expected[:30], expected[:, -21:] = True, True
    outside = find_outside(image)
    assert outside is not None
    np.testing.assert_array_equal(outside, expected)
    assert field_sides(outside, image.shape) == (226, 235)
    filled = replace_outside(image, outside)
    assert np.isfinite(filled).all()
    assert 150 < filled[0, 0] < 220


@pytest.mark.parametrize("method", [cv2.INTER_NEAREST, cv2.INTER_LINEAR])
def test_a_turned_frame(method: int) -> None:
    turn = cv2.getRotationMatrix2D((128, 128), 7, 1)
    image = cv2.warpAffine(disks(), turn, (256, 256), flags=method, borderValue=0)
    cover = cv2.warpAffine(np.ones((256, 256)), turn, (256, 256), flags=cv2.INTER_LINEAR, borderValue=0)
    outside = find_outside(image)
    assert outside is not None
    assert outside[cover == 0].mean() > 0.9
    assert not outside[cover == 1].any()


def test_dead_pixels_and_lines_are_no_gap() -> None:
    image = disks()
    image[3], image[:, 77], image[100:102, 100:102] = np.nan, np.nan, np.nan
    assert find_outside(image) is None
    image[150:180, 60:100] = np.nan
    outside = find_outside(image)
    assert outside is not None
    assert outside[150:180, 60:100].all()


def empty_ground(kind: str) -> np.ndarray:
    y, x = np.mgrid[:256, :256]
    if kind == "one disk":
        return np.where((y - 128) ** 2 + (x - 128) ** 2 < 80**2, 1.0, 0.0)
    if kind == "one rectangle":
        return np.where((abs(y - 128) < 40) & (abs(x - 128) < 50), 1.0, 0.0)
    if kind == "clipped ground":
        return (disks() - 190).clip(0).astype(np.uint8)
    if kind == "saturated corner":
        return (disks() + y * 0.3).clip(0, 255).astype(np.uint8)
    if kind == "clean disks":
        return np.where(disks() < 140, 80.0, 200.0)
    image = disks()
    image[0] = 0
    return image


@pytest.mark.parametrize(
    "kind", ["one disk", "one rectangle", "clipped ground", "saturated corner", "clean disks", "one line"]
)
def test_what_is_no_border(kind: str) -> None:
    assert find_outside(empty_ground(kind)) is None
