"""Splitting, audited on shapes whose truth is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from hrtem_dask.particles.morphology import clean_mask
from hrtem_dask.particles.regions import label_regions
from hrtem_dask.particles.split import _distance_px, particle_core, split_touching


def disk(shape, centre, radius, sizes=(1.0, 1.0)):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return ((y * sizes[0] - centre[0]) ** 2 + (x * sizes[1] - centre[1]) ** 2) <= radius**2


def pair(radius, overlap, angle, shape=(200, 200), sizes=(1.0, 1.0)):
    """Two equal disks; overlap is the share of the diameter by which they overlap."""
    half = radius * (1 - overlap) * np.array([np.sin(angle), np.cos(angle)])
    middle = np.array([shape[0] * sizes[0], shape[1] * sizes[1]]) / 2
    return disk(shape, middle - half, radius, sizes) | disk(shape, middle + half, radius, sizes)


def split(mask, **keywords):
    regions = label_regions(mask, pixel_size_nm=None, bridge_gap_nm=0)
    return split_touching(regions, **{"min_confidence": 0.2, **keywords})


@pytest.mark.parametrize(
    ("overlap", "lowest_bias", "highest_bias"),
    # each part lacks its share of the lens: a known bias that grows with the overlap
    [(0.0, -0.002, 0.002), (0.1, -0.015, -0.003), (0.2, -0.035, -0.015), (0.3, -0.06, -0.04)],
)
def test_pairs_are_two_particles_up_to_30_percent_overlap(overlap, lowest_bias, highest_bias):
    rng = np.random.default_rng(5)
    bias = []
    for _ in range(12):
        radius = rng.uniform(12, 40)
        labels, confidence = split(pair(radius, overlap, rng.uniform(0, np.pi)))
        assert labels.max() == 2
        expected = 1 - np.sqrt(1 - (1 - overlap) ** 2)  # the chord of the lens over the diameter
        if overlap:  # disks that just touch do so along a few pixels, or not at all
            np.testing.assert_allclose(confidence, expected, atol=0.1)
        areas = np.bincount(labels.ravel())[1:]
        bias += list(np.sqrt(4 * areas / np.pi) / (2 * radius) - 1)
    assert lowest_bias < np.mean(bias) < highest_bias


def test_heavy_overlap_is_left_whole():
    labels, confidence = split(pair(30, 0.5, 0.4))
    assert labels.max() == 1
    assert np.isnan(confidence).all()


def rotated(y, x, angle):
    return x * np.cos(angle) + y * np.sin(angle), -x * np.sin(angle) + y * np.cos(angle)


@given(
    shape=st.sampled_from(["ellipse", "rod", "rectangle"]),
    width=st.floats(10, 40),
    aspect_ratio=st.floats(1, 3),
    angle=st.floats(0, np.pi),
    shift=st.floats(0, 1),
)
@settings(max_examples=80, deadline=None)
def test_long_particles_stay_whole(shape, width, aspect_ratio, angle, shift):
    y, x = np.mgrid[-70:71, -70:71] + shift
    u, v = np.abs(rotated(y, x, angle))
    a, b = width * aspect_ratio / 2, width / 2
    if shape == "ellipse":
        mask = (u / a) ** 2 + (v / b) ** 2 <= 1
    elif shape == "rod":
        mask = np.hypot(np.maximum(u - (a - b), 0), v) <= b
    else:
        mask = (u <= a) & (v <= b)
    labels, confidence = split(mask)
    assert labels.max() == 1
    assert np.isnan(confidence).all()


def test_ragged_outlines_stay_whole():
    rng = np.random.default_rng(7)
    y, x = np.mgrid[-70:71, -70:71]
    extra = 0
    for _ in range(40):
        noise = ndimage.gaussian_filter(rng.normal(size=y.shape), rng.uniform(0.7, 4))
        radius = rng.uniform(15, 55)
        mask = np.hypot(y, x / rng.uniform(0.6, 1)) + noise / noise.std() * 0.08 * radius < radius
        mask = clean_mask(mask, opening_radius_px=2, closing_radius_px=2, fill_holes=True)
        labels, _ = split(mask)
        extra += labels.max() - connected(mask)
    assert extra == 0


def connected(mask):
    return ndimage.label(mask, structure=np.ones((3, 3)))[1]


@given(
    seed=st.integers(0, 10**6),
    turn=st.sampled_from([lambda a: a[::-1], lambda a: a[:, ::-1], np.rot90, np.transpose]),
)
@settings(max_examples=25, deadline=None)
def test_partition_turns_with_the_image(seed, turn):
    rng = np.random.default_rng(seed)
    mask = np.zeros((110, 130), dtype=bool)
    for _ in range(9):
        mask |= disk(mask.shape, rng.uniform((10, 10), (100, 120)), rng.uniform(8, 18))
    labels, confidence = split(mask)
    turned, turned_confidence = split(np.ascontiguousarray(turn(mask)))
    labels = turn(labels)
    assert labels.max() == turned.max()
    # pixels as near to one part as to the other fall to either: the cuts may differ by their own width
    pairs = np.unique(np.stack([labels, turned], axis=-1)[labels > 0], axis=0, return_counts=True)
    best = {a: max((c, b) for (p, b), c in zip(*pairs, strict=True) if p == a) for a in range(1, labels.max() + 1)}
    assert len({b for _, b in best.values()}) == labels.max()
    agreeing = sum(c for c, _ in best.values())
    assert agreeing >= 0.985 * np.count_nonzero(mask)
    order = [best[a][1] - 1 for a in range(1, labels.max() + 1)]
    np.testing.assert_allclose(confidence, turned_confidence[order], atol=0.05)


def test_separate_pieces_of_a_region_are_particles_without_confidence():
    mask = np.zeros((50, 90), dtype=bool)
    mask[10:40, 10:40] = mask[10:40, 45:75] = True
    regions = label_regions(mask, pixel_size_nm=(0.02, 0.02), bridge_gap_nm=0.4)
    assert regions.max() == 1
    labels, confidence = split_touching(regions, min_confidence=0.2)
    assert labels.max() == 2
    assert np.isnan(confidence).all()


def test_a_cluster_and_its_confidences_in_raster_order():
    mask = disk((120, 120), (60, 25), 20) | disk((120, 120), (60, 63), 20) | disk((120, 120), (60, 98), 18)
    labels, confidence = split(mask)
    assert [labels[60, x] for x in (25, 63, 98)] == [1, 2, 3]
    assert confidence[0] == pytest.approx(1 - np.sqrt(1 - 0.95**2), abs=0.1)  # 2 px overlap of 40
    assert confidence[1] == pytest.approx(confidence[2])  # the middle one reports the weaker of its two cuts
    assert confidence[1] < confidence[0]


def test_small_parts_are_not_cut_off():
    mask = disk((120, 120), (60, 50), 30) | disk((120, 120), (60, 84.5), 5)
    assert split(mask, min_part_area_px=100)[0].max() == 1
    assert split(mask, min_part_area_px=50)[0].max() == 2


def test_non_square_pixels_are_split_as_their_true_shape():
    sizes = (0.5, 1.0)
    mask = pair(30, 0.15, 0.7, shape=(320, 160), sizes=sizes)
    labels, confidence = split(mask, pixel_size_nm=sizes)
    assert labels.max() == 2
    square, expected = split(pair(30, 0.15, 0.7, shape=(160, 160)))
    np.testing.assert_allclose(confidence, expected, atol=0.06)
    np.testing.assert_allclose(np.bincount(labels.ravel())[1:] / 2, np.bincount(square.ravel())[1:], rtol=0.03)


def test_input_is_kept_and_range_checked(xp_array):
    regions = xp_array(pair(20, 0.1, 0).astype(np.int32))
    assert split_touching(regions, min_confidence=0.2)[0].max() == 2
    with pytest.raises(ValueError, match="min_confidence must be 0 to 1, got 20"):
        split_touching(regions, min_confidence=20)
    labels, confidence = split_touching(np.zeros((4, 5), dtype=np.int32), min_confidence=0.2)
    assert labels.shape == (4, 5)
    assert confidence.shape == (0,)


def crossed_by_line(gap=0):
    """A bar of 24 × 60 px, which has no neck, and its core without a line of 3 px across the middle."""
    mask = np.zeros((40, 80), dtype=bool)
    mask[8:32, 10:70] = True
    core = mask.copy()
    core[8 + gap : 32 - gap, 39:42] = False
    return mask, core


def test_a_line_of_low_probability_cuts_where_the_outline_has_no_neck():
    mask, core = crossed_by_line()
    assert split(mask)[0].max() == 1
    labels, confidence = split(mask, core=core)
    assert labels.max() == 2
    assert (confidence > 0.9).all()
    np.testing.assert_array_equal(labels > 0, mask)
    np.testing.assert_allclose(np.bincount(labels.ravel())[1:], mask.sum() / 2, rtol=0.07)


def test_what_the_core_encloses_cuts_nothing():
    mask, core = crossed_by_line(gap=4)
    labels, confidence = split(mask, core=core)
    assert labels.max() == 1
    assert np.isnan(confidence).all()


def test_core_is_relative_to_the_lowest_probability_of_the_mask():
    probability = np.full((4, 6), 0.95)
    probability[:, 3], probability[:, 0] = 0.71, 0.2
    mask = probability >= 0.7
    core = particle_core(probability, mask)
    assert core is not None
    np.testing.assert_array_equal(core[0], [False, True, True, False, True, True])
    assert particle_core(probability, np.zeros_like(mask)) is None
    assert particle_core(np.full((4, 6), 0.9), mask) is None  # as by a threshold


def touching_small_disks():
    """Two disks of 50 px that touch, and a core without the line between them, 1 px wide."""
    mask = disk((40, 60), (20, 22), 4) | disk((40, 60), (20, 30), 4)
    core = mask.copy()
    core[:, 26] = False
    return mask, core


def test_small_particles_are_cut_along_a_line_of_low_probability_only():
    mask, core = touching_small_disks()
    limits = {"min_part_area_px": 100, "min_core_part_area_px": 25}
    assert split(mask, **limits)[0].max() == 1
    assert split(mask, core=core, min_part_area_px=100)[0].max() == 1
    labels, confidence = split(mask, core=core, **limits)
    assert labels.max() == 2
    np.testing.assert_allclose(np.bincount(labels.ravel())[1:], mask.sum() / 2, rtol=0.12)
    np.testing.assert_array_equal(confidence, 1)  # the neck has no width
    assert split(mask, core=core, min_part_area_px=100, min_core_part_area_px=50)[0].max() == 1


def test_a_small_part_is_not_cut_off_where_its_neck_is_within_the_core():
    mask = disk((120, 120), (60, 50), 30) | disk((120, 120), (60, 84.5), 5)
    labels, _ = split(mask, core=mask.copy(), min_part_area_px=100, min_core_part_area_px=25)
    assert labels.max() == 1


def test_a_small_part_of_a_large_particle_is_not_cut_off_by_a_line():
    mask = disk((120, 120), (60, 50), 30) | disk((120, 120), (60, 84.5), 5)
    core = mask.copy()
    core[:, 79:81] = False
    assert split(mask, core=core, min_part_area_px=50)[0].max() == 2
    assert split(mask, core=core, min_part_area_px=100, min_core_part_area_px=25)[0].max() == 1


def test_distances_do_not_depend_on_where_an_array_lies_in_memory():
    mask = pair(31, 0.2, 0.7, shape=(101, 131))
    expected = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    expected = np.sqrt(np.rint(expected**2).astype(np.float32))
    store = np.zeros(mask.size + 64, dtype=bool)
    for offset in range(0, 64, 3):
        moved = store[offset : offset + mask.size].reshape(mask.shape)
        moved[:] = mask
        np.testing.assert_array_equal(_distance_px(moved, None), expected)
