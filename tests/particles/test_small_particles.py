"""Small particles: kept as they are in the mask, counted by size alone, and large ones as without this rule."""

import cv2
import numpy as np
import pytest

from hrtem_dask.particles import clean_mask, find_particles
from hrtem_dask.particles.counting import counting_limit_px
from hrtem_dask.particles.small_particles import keep_small_particles
from hrtem_dask.settings import ParticleSettings, Settings
from hrtem_dask.simulation import simulate_scene

OLD = ParticleSettings(min_area_px=100, min_shape_area_px=0)
SMALL = ParticleSettings(min_area_px=25)
"""The rule for large particles, applied to all."""
PITCH_PX = 20


def disks(diameter_px, rng, *, n=15, pitch_px=PITCH_PX):
    """Labels of n × n rasterized disks, their centers at random within a pixel."""
    labels = np.zeros((n * pitch_px, n * pitch_px), dtype=np.int32)
    y, x = np.mgrid[:pitch_px, :pitch_px]
    for k in range(n * n):
        cy, cx = pitch_px / 2 + rng.random(2) - 0.5
        row, column = divmod(k, n)
        cell = labels[row * pitch_px : (row + 1) * pitch_px, column * pitch_px : (column + 1) * pitch_px]
        cell[(y - cy) ** 2 + (x - cx) ** 2 <= diameter_px**2 / 4] = k + 1
    return labels


def cleaned(mask):
    return clean_mask(mask, opening_radius_px=2, closing_radius_px=2, fill_holes=False)


def kept(mask, *, min_area_px=25, max_area_px=100):
    return keep_small_particles(mask, cleaned(mask), min_area_px=min_area_px, max_area_px=max_area_px)


@pytest.mark.parametrize("diameter_px", [6.3, 8.0, 10.0])
def test_the_size_of_small_disks_is_unbiased(diameter_px, rng):
    truth = disks(diameter_px, rng)
    found = find_particles(truth > 0, np.zeros(truth.shape), SMALL, pixel_size_nm=None)
    np.testing.assert_array_equal(found.labels > 0, truth > 0)
    table = found.particles
    assert len(table) == truth.max()
    assert table["counted"].all()
    ratio = table["equivalent_diameter_px"].to_numpy(float) / diameter_px
    assert ratio.mean() == pytest.approx(1, abs=0.004)
    assert ratio.std() < 0.025
    shaved = find_particles(truth > 0, np.zeros(truth.shape), OLD, pixel_size_nm=None).particles
    assert shaved["equivalent_diameter_px"].mean() < 0.985 * diameter_px  # the opening takes the outline's corners


@pytest.mark.parametrize("gap_px", [1, 2, 3])
def test_small_particles_side_by_side_are_not_joined(gap_px, rng):
    truth = disks(8.0, rng, pitch_px=10 + gap_px)
    assert find_particles(truth > 0, np.zeros(truth.shape), SMALL, pixel_size_nm=None).labels.max() >= truth.max()
    np.testing.assert_array_equal(kept(truth > 0)[0], truth > 0)


def test_shape_is_null_exactly_below_the_area_for_shapes(rng):
    truth = disks(11.3, rng)  # 100 px on average
    found = find_particles(truth > 0, np.zeros(truth.shape), SMALL, pixel_size_nm=(0.2, 0.2))
    table = found.particles
    few = table["area_px"] < 100
    assert 0 < few.sum() < len(table)
    for name in ("solidity", "aspect_ratio", "feret_min_nm", "perimeter_px", "orientation_deg", "eccentricity"):
        np.testing.assert_array_equal(table[name].isna(), few)
    for name in ("area_nm2", "equivalent_diameter_nm", "centroid_y_nm", "mean_intensity", "bbox_x1_px"):
        assert table[name].notna().all()


def large_labels(found, least_px=100):
    """The sets of pixels of particles above 100 px, as a set of bytes."""
    areas = np.bincount(found.labels.ravel())
    areas[0] = 0
    return {np.flatnonzero(found.labels == k).tobytes() for k in np.flatnonzero(areas > least_px)}


def test_large_particles_of_real_masks_are_the_same_bit_by_bit(data):
    for i in range(0, 20, 3):
        mask = cv2.imread(str(data / "tem_sintering" / "masks" / f"image_{i}.png"), cv2.IMREAD_UNCHANGED) > 0
        image = np.zeros(mask.shape)
        before, after = (find_particles(mask, image, s, pixel_size_nm=None) for s in (OLD, SMALL))
        assert large_labels(before) == large_labels(after)
        assert len(large_labels(before)) > 5


@pytest.mark.parametrize("seed", range(4))
def test_large_particles_of_lattice_masks_are_the_same_bit_by_bit(seed):
    """With a ragged outline, and specks and small particles in between."""
    scene = simulate_scene(seed=seed, shape=(300, 300), pixel_size_nm=0.1, n_particles=6, diameter_nm=(2, 6))
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(size=(300, 300)).astype(np.float32), (0, 0), 1.2)
    level = cv2.GaussianBlur((scene.labels > 0).astype(np.float32), (0, 0), 1.5)
    mask = level + 0.9 * noise > 0.5
    before, after = (find_particles(mask, scene.image, s, pixel_size_nm=(0.1, 0.1)) for s in (OLD, SMALL))
    assert large_labels(before) == large_labels(after)
    assert large_labels(before)


def test_specks_lines_and_corners_are_removed_and_those_below_the_limit_counted():
    mask = np.zeros((120, 120), dtype=bool)
    for k in range(5):
        mask[10, 8 * k + 8] = True  # single pixels are noise
        mask[20:23, 8 * k + 8 : 8 * k + 11] = True  # objects of 9 px
    mask[40:42, 10:40] = True  # a line of 60 px
    mask[56:76, 10:16] = mask[70:76, 10:30] = True  # an L of 204 px, which the opening rounds
    mask[60:70, 60:62] = mask[68:70, 60:70] = True  # an L of 36 px
    mask[0:3, 80:83] = True  # at the border: its size is not known
    mask[90:96, 90:96] = True  # a particle of 36 px
    after, n_removed = kept(mask)
    assert n_removed == 5
    assert not after[:50].any()
    assert not after[60:70, 60:70].any()
    np.testing.assert_array_equal(after[55:80], cleaned(mask)[55:80])
    assert 0 < np.count_nonzero(after[55:80]) < 204
    np.testing.assert_array_equal(after[85:], mask[85:])
    found = find_particles(mask, np.zeros(mask.shape), SMALL, pixel_size_nm=None)
    assert (len(found.particles), found.n_removed, found.n_too_small) == (2, 5, 5)
    assert kept(mask, min_area_px=37)[1] == 6  # the L too; of the particle the cleaning leaves a piece, which has a row
    stricter = find_particles(mask, np.zeros(mask.shape), ParticleSettings(min_area_px=37), pixel_size_nm=None)
    assert (stricter.n_removed, stricter.n_too_small) == (6, 7)


def test_what_touches_a_large_particle_is_left_as_it_was_cleaned():
    mask = np.zeros((60, 80), dtype=bool)
    mask[10:50, 10:40] = True
    mask[20:28, 42:50] = True  # 2 px beside it: the closing joins them
    after, _ = kept(mask)
    np.testing.assert_array_equal(after, cleaned(mask))
    assert after[24, 40:42].all()


def test_without_room_between_the_areas_nothing_changes(rng):
    mask = disks(8.0, rng) > 0
    for limits in ({"min_area_px": 100}, {"max_area_px": 0}):
        np.testing.assert_array_equal(kept(mask, **limits)[0], cleaned(mask))
    assert kept(np.zeros((0, 5), dtype=bool))[0].shape == (0, 5)


def test_the_limit_is_the_larger_of_both():
    settings = ParticleSettings(min_area_px=25, min_area_nm2=0.5)
    assert counting_limit_px(settings, None) == 25
    assert counting_limit_px(settings, (0.2, 0.2)) == 25
    assert counting_limit_px(settings, (0.05, 0.1)) == pytest.approx(100)
    truth = disks(8.0, np.random.default_rng(0))  # 50 px: 0.125 nm² at 0.05 nm per pixel
    fine = find_particles(truth > 0, np.zeros(truth.shape), SMALL, pixel_size_nm=(0.05, 0.05))
    assert not fine.particles["counted"].any()
    assert fine.n_too_small == truth.max()


def test_the_settings_of_the_2021_paper_treat_all_particles_alike(rng, request):
    recipe = request.config.rootpath / "pipelines" / "groschner2021.toml"
    settings = Settings.from_file(recipe).particles
    mask = (disks(8.0, rng) > 0) | (disks(16.0, rng, n=10, pitch_px=30) > 0)
    found = find_particles(mask, np.zeros(mask.shape), settings, pixel_size_nm=None)
    opened = clean_mask(mask, opening_radius_px=5, closing_radius_px=5, fill_holes=True)
    np.testing.assert_array_equal(found.labels > 0, opened)
    table = found.particles
    np.testing.assert_array_equal(table["counted"], (table["area_px"] >= 100) & ~table["touches_edge"])
    assert table["solidity"].notna().all()
