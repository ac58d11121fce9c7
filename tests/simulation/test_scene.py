"""Analytic scenes: the image shows the truth."""

import numpy as np
import pytest

from hrtem_dask.simulation import SceneContrast, simulate_scene


def test_a_seed_gives_one_scene() -> None:
    one, two, other = (simulate_scene(seed=s, shape=(256, 256), n_particles=3) for s in [(1, 2), (1, 2), (1, 3)])
    np.testing.assert_array_equal(one.image, two.image)
    assert (one.image != other.image).any()


def test_truth_is_what_was_drawn() -> None:
    scene = simulate_scene(seed=5, shape=(400, 500), n_particles=6, pixel_size_nm=0.04)
    assert scene.truth["particle_id"].tolist() == list(range(1, 7))
    areas = np.bincount(scene.labels.ravel())[1:]
    np.testing.assert_allclose(2 * np.sqrt(areas / np.pi) * 0.04, scene.truth["equivalent_diameter_nm"])
    assert not np.concatenate([scene.labels[0], scene.labels[-1], scene.labels[:, 0], scene.labels[:, -1]]).any()


def test_fringes_have_the_spacing_and_direction_that_the_truth_says() -> None:
    size, spacing = 0.03, 0.24
    scene = simulate_scene(
        seed=3, shape=(512, 512), pixel_size_nm=size, n_particles=1, diameter_nm=(8, 8),
        planes=[(spacing, 0)], contrast=SceneContrast(carbon=0.0, fringes=0.3), n_spikes=0,
    )  # fmt: skip
    wave = np.abs(np.fft.fft2(np.where(scene.labels > 0, scene.image - scene.image[scene.labels > 0].mean(), 0)))
    wave[:10, :10] = 0
    row, column = np.unravel_index(wave[:, :256].argmax(), (512, 256))
    fy, fx = np.fft.fftfreq(512, size)[row], np.fft.fftfreq(512, size)[column]
    assert 1 / np.hypot(fy, fx) == pytest.approx(spacing, rel=0.03)
    angle = np.rad2deg(np.arctan2(-fy, fx)) % 180
    difference = abs(angle - scene.truth["lattice_orientation_deg"].iloc[0])
    assert min(difference, 180 - difference) < 4


def test_an_empty_field_has_no_particle() -> None:
    scene = simulate_scene(seed=1, shape=(128, 128), n_particles=0, dose_per_px=400, n_spikes=0)
    assert not scene.labels.any()
    assert scene.truth.empty
    assert scene.image.mean() == pytest.approx(400, rel=0.02)
