"""Pieces that the network is not sure of are left out, and counted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from hrtem_dask.particles import find_particles
from hrtem_dask.particles.certainty import certain_pieces
from hrtem_dask.particles.components import label_pieces
from hrtem_dask.particles.runs import find_runs
from hrtem_dask.settings import ParticleSettings, Settings


@given(seed=st.integers(0, 10_000), limit=st.floats(0.5, 1.0))
def test_pieces_are_those_of_an_independent_implementation(seed: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(40, 50)), 2)
    probability = np.clip(0.5 + 4 * smooth, 0, 1).astype(np.float32)
    mask = probability >= 0.5
    pieces, runs = label_pieces(ndimage.binary_fill_holes(mask))
    left, runs_left, n_uncertain, n_small = certain_pieces(
        pieces, runs, probability, mask, min_mean_probability=limit, min_area_px=30
    )
    ids = np.arange(1, pieces.max() + 1)
    means = ndimage.mean(probability.astype(float), np.where(mask, pieces, 0), ids)
    kept = ids[np.asarray(means) >= limit]
    expected = np.isin(pieces, kept)
    assert np.array_equal(left > 0, expected)
    assert np.array_equal(np.unique(left[left > 0]), np.arange(1, len(kept) + 1))
    assert [int(pieces[left == k][0]) for k in range(1, len(kept) + 1)] == kept.tolist()
    assert n_uncertain + n_small == len(ids) - len(kept)
    areas = np.bincount(pieces.ravel(), minlength=len(ids) + 1)
    assert n_small == sum(areas[i] < 30 for i in ids if i not in kept)
    again = find_runs(left)
    assert all(np.array_equal(getattr(again, f), getattr(runs_left, f)) for f in ("ids", "first", "row", "start"))


def test_a_run_counts_what_it_leaves_out_and_zero_keeps_everything() -> None:
    probability = np.full((120, 120), 0.05, np.float32)
    probability[10:40, 10:40] = 0.97
    probability[70:100, 70:100] = 0.6
    image = 1 - probability
    mask = probability >= 0.5
    sure = ParticleSettings(min_mean_probability=0.8)
    found = find_particles(mask, image, sure, pixel_size_nm=None, probability=probability)
    assert (len(found.particle_rows), found.n_uncertain, found.n_too_small) == (1, 1, 0)
    assert not found.labels[70:100, 70:100].any()
    everything = ParticleSettings(min_mean_probability=0)
    for rules in (everything, None):
        kept = find_particles(mask, image, rules, pixel_size_nm=None, probability=probability)
        assert (len(kept.particle_rows), kept.n_uncertain) == (2, 0)
    without = find_particles(mask, image, sure, pixel_size_nm=None)
    assert (len(without.particle_rows), without.n_uncertain) == (2, 0)


def test_a_hollow_particle_and_a_mask_without_probabilities_are_kept() -> None:
    """Filled holes have no probability; the baselines give their mask as the probability."""
    y, x = np.mgrid[:120, :120]
    distance = np.hypot(y - 60, x - 60)
    probability = np.where((distance < 40) & (distance > 30), 0.97, 0.02).astype(np.float32)
    sure = ParticleSettings(min_mean_probability=0.8)
    found = find_particles(probability >= 0.5, 1 - probability, sure, pixel_size_nm=None, probability=probability)
    assert (len(found.particle_rows), found.n_uncertain) == (1, 0)
    assert found.labels[60, 60]
    ragged = np.random.default_rng(0).random((120, 120)) < 0.7
    baseline = find_particles(ragged, 1 - probability, sure, pixel_size_nm=None, probability=ragged.astype(np.float32))
    assert baseline.n_uncertain == 0


def test_the_limit_is_that_of_the_bundled_network() -> None:
    bundled = Settings()
    assert bundled.particle_rules.min_mean_probability == 0.8
    for changes in ({"segmentation": {"model": "mine.safetensors"}}, {"segmentation": {"method": "otsu"}}):
        assert bundled.updated(changes).particle_rules.min_mean_probability == 0
        stated = bundled.updated({**changes, "particles": {"min_mean_probability": 0.7}})
        assert stated.particle_rules.min_mean_probability == 0.7
        assert stated.science_hash() != bundled.updated(changes).science_hash()
