"""Marks are found by what makes them marks; particles, noise and dead areas are not."""

import cv2
import numpy as np
import pytest

from hrtem_dask.filtering import find_marks, replace_marks

SHAPE = (384, 448)


def micrograph(seed: int = 0, *, noise: float = 8.0, blur_px: float = 1.2) -> np.ndarray:
    """Dark disks on a bright noisy support, 8 bits."""
    rng = np.random.default_rng(seed)
    field = np.full(SHAPE, 170.0, np.float32)
    for y, x in rng.uniform(40, 300, (9, 2)):
        cv2.circle(field, (int(x), int(y)), int(rng.uniform(9, 22)), 70.0, -1)
    field = cv2.GaussianBlur(field, (0, 0), blur_px) + rng.normal(0, noise, SHAPE).astype(np.float32)
    return np.clip(np.round(field), 0, 255).astype(np.uint8)


def drawn(image: np.ndarray, kind: str, ink: int) -> tuple[np.ndarray, np.ndarray]:
    """Burn a mark in; return the image and the pixels that have changed by more than antialiasing."""
    marked = image.copy()
    height, width = image.shape
    if kind == "bar and text":
        marked[height - 30 : height - 24, 20:120] = ink
        cv2.putText(marked, "100 nm", (24, height - 38), cv2.FONT_HERSHEY_SIMPLEX, 0.8, ink, 2, cv2.LINE_AA)
    elif kind == "letter":
        cv2.putText(marked, "(b)", (12, 34), cv2.FONT_HERSHEY_DUPLEX, 1.0, ink, 2, cv2.LINE_AA)
    elif kind == "box":
        marked[height - 50 :, width - 130 :] = 255 - ink
        cv2.putText(marked, "50 nm", (width - 118, height - 16), cv2.FONT_HERSHEY_SIMPLEX, 1.0, ink, 2, cv2.LINE_AA)
    elif kind == "strip":
        marked[height - 40 :] = 255 - ink
        cv2.putText(marked, "HV 200 kV  x150k", (12, height - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.7, ink, 1, cv2.LINE_AA)
    return marked, np.abs(marked.astype(int) - image) > 40


@pytest.mark.parametrize("quality", [None, 80])
@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("kind", ["bar and text", "letter", "box", "strip"])
def test_marks_are_found(kind: str, ink: int, quality: int | None) -> None:
    image, truth = drawn(micrograph(), kind, ink)
    if quality is not None:
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)
    found = find_marks(image)
    assert found[truth].mean() > 0.95
    near = cv2.dilate(truth.astype(np.uint8), np.ones((15, 15), np.uint8)).astype(bool)
    assert not found[~near].any()


def specks(image: np.ndarray, n: int) -> np.ndarray:
    """Add small angular particles, dark and bright, all over the field but its corners and lower border."""
    rng = np.random.default_rng(5)
    crowded = image.copy()
    for y, x in rng.uniform((20, 70), (300, 380), (n, 2)).astype(int):
        corners = rng.integers(-4, 5, (4, 2)) + np.array([x, y])
        cv2.fillPoly(crowded, [corners.astype(np.int32)], (0, 255)[x % 2], cv2.LINE_AA)
    return crowded


@pytest.mark.parametrize("ink", [0, 255])
@pytest.mark.parametrize("kind", ["bar and text", "letter"])
def test_marks_are_found_among_many_small_particles(kind: str, ink: int) -> None:
    image, truth = drawn(specks(micrograph(), 250), kind, ink)
    found = find_marks(image)
    assert found[truth].mean() > 0.95
    near = cv2.dilate(truth.astype(np.uint8), np.ones((15, 15), np.uint8)).astype(bool)
    assert not found[~near].any()


def test_text_at_a_slanted_bar_is_found() -> None:
    image = micrograph()
    marked = image.copy()
    bar = np.array([[20, 360], [112, 357], [112, 364], [20, 367]], np.int32)
    cv2.fillPoly(marked, [bar], 0)
    cv2.putText(marked, "100 nm", (24, 346), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 24, 2, cv2.LINE_AA)
    assert find_marks(marked)[np.abs(marked.astype(int) - image) > 60].mean() > 0.95


def test_a_particle_beside_a_letter_is_no_punctuation() -> None:
    image, truth = drawn(micrograph(), "letter", 0)
    right = int(np.flatnonzero(truth.any(axis=0)).max())
    particle = np.s_[20:29, right + 22 : right + 31]
    image[particle] = 22  # nearly the gray value of the letter
    assert not find_marks(image)[particle].any()


@pytest.mark.parametrize("is_resized", [False, True])
def test_a_strip_is_found_whose_text_fills_it_to_its_end(is_resized: bool) -> None:
    """As programs of microscopes write them, with text in every row; a resized image has other values at its rim."""
    image = micrograph()
    image[-24:] = 0
    for x in range(0, 440, 90):
        cv2.putText(image, "80.0 kV", (x + 2, 374), cv2.FONT_HERSHEY_SIMPLEX, 0.65, 255, 2)
    if is_resized:
        image[-2:] = [[60], [165]]
    found = find_marks(image)
    assert found[-24:].all()
    assert not found[:-28].any()


def test_two_boxes_in_the_corners_are_no_strip() -> None:
    image = micrograph()
    for columns, x in ((slice(0, 150), 10), (slice(260, 448), 270)):
        image[:50, columns] = 0
        cv2.putText(image, "800 C", (x, 36), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 2)
    found = find_marks(image)
    assert found[:48, :148].mean() > 0.95
    assert not found[:, 160:250].any()


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_marks_in_the_counts_of_a_camera_are_found(dtype: type) -> None:
    image, truth = drawn(micrograph(), "bar and text", 255)
    counts = np.where(truth, 60000, image * 13.0 + 500).astype(dtype)
    assert find_marks(counts)[truth].mean() > 0.95


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("noise", [2.0, 8.0, 40.0])
def test_particles_and_noise_are_no_marks(seed: int, noise: float) -> None:
    image = micrograph(seed, noise=noise)
    assert not find_marks(image).any()
    assert not find_marks(255 - image).any()


def clipped_disks() -> np.ndarray:
    image = micrograph(3).astype(int) * 2 - 160
    return np.clip(image, 0, 255).astype(np.uint8)


def dead_area() -> np.ndarray:
    image = micrograph(4)
    image[100:180, 200:330] = 0
    return image


def dead_row_and_column() -> np.ndarray:
    image = micrograph(5)
    image[77] = 0
    image[:, 301] = 255
    return image


def blocked_beam() -> np.ndarray:
    image = micrograph(6)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image[y + 0.3 * x > 420] = 0
    return image


def padded() -> np.ndarray:
    image = micrograph(7)
    image[:, :30] = 0
    image[-25:] = 0
    return image


def turned_cubes() -> np.ndarray:
    field = np.full(SHAPE, 170.0, np.float32)
    for i, angle in enumerate((0, 10, 25, 40)):
        corners = cv2.boxPoints(((60 + 100 * i, 190), (50, 50), angle)).astype(np.int32)
        cv2.fillPoly(field, [corners], 0.0)
    field = cv2.GaussianBlur(field, (0, 0), 1.0) + np.random.default_rng(0).normal(0, 5, SHAPE)
    return np.clip(field, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("make", [clipped_disks, dead_area, dead_row_and_column, blocked_beam, padded, turned_cubes])
def test_constant_pixels_alone_are_no_mark(make) -> None:
    assert not find_marks(make()).any()


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("quality", [None, 80])
@pytest.mark.parametrize("gray", [150, 200])
def test_gray_letters_with_a_shadow_beside_a_bar_are_found(gray: int, quality: int | None, side: str) -> None:
    image = micrograph(noise=4.0)
    height = image.shape[0]
    image[height - 40 : height - 20, 160:290] = 0
    letters = np.zeros(SHAPE, bool)
    for offset, ink in ((2, 0), (0, gray)):
        at = (302 if side == "right" else 20) + offset, height - 20 + offset
        cv2.putText(image, "100nm", at, cv2.FONT_HERSHEY_SIMPLEX, 1.1, ink, 4)
        layer = np.zeros(SHAPE, np.uint8)
        cv2.putText(layer, "100nm", at, cv2.FONT_HERSHEY_SIMPLEX, 1.1, 1, 4)
        letters |= layer > 0
    if quality is not None:
        image = cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)
    found = find_marks(image)
    assert found[letters].mean() > 0.95
    near = cv2.dilate(letters.astype(np.uint8), np.ones((31, 31), np.uint8)).astype(bool)
    near[height - 50 : height - 10, 150:300] = True
    assert not found[~near].any()


@pytest.mark.parametrize("seed", range(5))
def test_particles_beside_a_bar_are_no_text(seed: int) -> None:
    image = micrograph(seed)
    rng = np.random.default_rng(seed)
    field = image.astype(np.float32)
    for x in range(260, 440, 30):
        cv2.circle(field, (x, int(rng.uniform(340, 360))), int(rng.uniform(5, 12)), 60.0, -1)
    image = np.clip(cv2.GaussianBlur(field, (0, 0), 1.0), 0, 255).astype(np.uint8)
    image[340:360, 100:240] = 0
    found = find_marks(image)
    assert found[340:360, 100:240].mean() > 0.95
    assert not found[:, 250:].any()


def test_marks_are_those_of_the_inverted_and_of_the_scaled_image() -> None:
    image, _ = drawn(micrograph(), "bar and text", 255)
    marks = find_marks(image)
    np.testing.assert_array_equal(find_marks(255 - image), marks)
    np.testing.assert_array_equal(find_marks(image.astype(np.uint16) * 100 + 7), marks)


@pytest.mark.parametrize(
    "image",
    [np.zeros((200, 200)), np.full((200, 200), np.nan), np.zeros((1, 500)), np.eye(63), np.ones((80, 80), bool)],
)
def test_images_without_anything_have_no_marks(image: np.ndarray) -> None:
    marks = find_marks(image)
    assert marks.shape == image.shape
    assert marks.dtype == bool
    assert not marks.any()


def test_nothing_is_modified() -> None:
    image, _ = drawn(micrograph(), "box", 0)
    before = image.copy()
    replace_marks(image, find_marks(image))
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_marks_are_replaced_by_their_surroundings(dtype: type) -> None:
    y, x = np.mgrid[:120, :150]
    plane = (50 + 0.5 * y + 0.3 * x).astype(dtype)
    marks = np.zeros(plane.shape, bool)
    marks[40:60, 30:100] = True
    marks[100:] = True
    replaced = replace_marks(np.where(marks, 255, plane).astype(dtype), marks)
    assert replaced.dtype == plane.dtype
    np.testing.assert_array_equal(replaced[~marks], plane[~marks])
    inner = np.s_[40:60, 30:100]
    assert np.abs(replaced[inner].astype(float) - plane[inner]).max() < 6
    assert abs(float(replaced[110, 75]) - float(plane[99, 75])) < 20


def test_pixels_without_a_value_do_not_spread() -> None:
    image = np.full((70, 70), 5.0)
    marks = np.zeros(image.shape, bool)
    marks[10:20, 10:20] = True
    image[5:9] = np.nan
    replaced = replace_marks(image, marks)
    np.testing.assert_allclose(replaced[marks], 5.0, rtol=1e-6)
    assert np.isnan(replaced[5:9]).all()
    assert replace_marks(image, np.zeros_like(marks)) is image
