"""Frames cut out of a known population: with the weights the sizes are right, without them too small."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from hrtem_dask.population import PopulationOptions, summarize
from hrtem_dask.population.edge_weights import inclusion_probability, particle_weights
from hrtem_dask.population.reduction import collect

Frames = Callable[..., tuple[pd.DataFrame, pd.DataFrame]]


def test_the_probability_is_the_share_of_places_inside() -> None:
    h, w, frame = 3, 5, (9, 12)
    places = [(y, x) for y in range(1, frame[0] - h) for x in range(1, frame[1] - w)]  # the outermost pixels stay free
    points = (frame[0] - 1) * (frame[1] - 1)
    p = inclusion_probability(
        np.array([h]), np.array([w]), frame_height_px=np.array([frame[0]]), frame_width_px=np.array([frame[1]])
    )
    assert p[0] == pytest.approx(len(places) / points)


@pytest.mark.parametrize(("frames", "tolerance"), [(1500, 0.01), pytest.param(12000, 0.004, marks=pytest.mark.slow)])
def test_the_mean_is_unbiased(make_frames: Frames, rng: np.random.Generator, frames: int, tolerance: float) -> None:
    log_sd, median = 0.3, 8.0
    particles, micrographs = make_frames(
        rng, frames=frames, per_frame=12, median_nm=median, log_sd=log_sd, frame_px=512, px=0.1
    )
    counted = collect(particles).counted
    weights, reason = particle_weights(counted, micrographs)
    size = counted["equivalent_diameter_nm"].to_numpy()
    assert reason is None
    for power in (1, 2):
        truth = median**power * np.exp(power**2 * log_sd**2 / 2)
        weighted, plain = np.average(size**power, weights=weights), np.mean(size**power)
        assert weighted == pytest.approx(truth, rel=power * tolerance)
        assert plain < truth * (1 - 0.025 * power)  # left out more often: too small


def test_both_numbers_are_given(make_frames: Frames, rng: np.random.Generator) -> None:
    tables = make_frames(rng, frames=60, per_frame=12, median_nm=8, log_sd=0.3, frame_px=512, px=0.1)
    options = PopulationOptions(n_resamples=100, n_fit_simulations=0)
    size = summarize(*tables, options)["all"]["equivalent_diameter_nm"]
    plain = size["without_edge_weights"]
    assert plain["mean_nm"] < size["mean"]
    assert plain["mean_relative_bias"] == pytest.approx(plain["mean_nm"] / size["mean"] - 1)
    counted = tables[0].loc[tables[0]["counted"], "equivalent_diameter_nm"].astype(float)
    assert plain["mean_nm"] == pytest.approx(counted.mean())


def test_without_frames_no_weights_and_the_reason(make_frames: Frames, rng: np.random.Generator) -> None:
    particles, micrographs = make_frames(rng, frames=6, per_frame=12, median_nm=8, log_sd=0.3, frame_px=512, px=0.1)
    options = PopulationOptions(n_resamples=100, n_fit_simulations=0)
    alone = summarize(particles, None, options)["all"]["edge_weights"]
    assert not alone["applied"]
    assert "not known" in alone["reason"]
    some = summarize(particles, micrographs.iloc[1:], options)["all"]["edge_weights"]
    assert not some["applied"]  # weights for a part of the particles would favour it
    assert "no bounding box inside a known image" in some["reason"]
