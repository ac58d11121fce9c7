"""Moments and quantiles against NumPy and closed forms, and invariances."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask.intervals import resamples
from hrtem_dask.population.inference.quantiles import weighted_quantiles
from hrtem_dask.population.sizes.distributions import cumulative, histogram
from hrtem_dask.population.sizes.size_sample import Sizes, size_statistics
from hrtem_dask.population.sizes.variance_components import variance_components

ONE = np.ones((1, 1))


def whole(values: np.ndarray, weights: np.ndarray | None = None) -> dict[str, float]:
    weights = np.ones(len(values)) if weights is None else weights
    sizes = Sizes(values, weights, np.zeros(len(values), dtype=int), 1)
    return {name: float(v[0]) for name, v in size_statistics(sizes, ONE).items()}


def test_moments_are_those_of_their_formulas(rng: np.random.Generator) -> None:
    x = rng.lognormal(2, 0.4, 300)
    found = whole(x)
    assert found["mean_nm"] == pytest.approx(x.mean())
    assert found["sd_nm"] == pytest.approx(x.std(ddof=1))
    assert found["geometric_mean_nm"] == pytest.approx(scipy.stats.gmean(x))
    assert found["geometric_sd"] == pytest.approx(scipy.stats.gstd(x))
    assert found["d32_nm"] == pytest.approx((x**3).sum() / (x**2).sum())
    assert found["d43_nm"] == pytest.approx((x**4).sum() / (x**3).sum())
    volume_mean = np.average(x, weights=x**3)
    assert found["volume_mean_nm"] == pytest.approx(volume_mean)
    assert found["volume_sd_nm"] == pytest.approx(np.sqrt(np.average((x - volume_mean) ** 2, weights=x**3)))
    assert found["volume_geometric_mean_nm"] == pytest.approx(np.exp(np.average(np.log(x), weights=x**3)))


def test_lognormal_moments_follow_hatch_and_choate(rng: np.random.Generator) -> None:
    log_sd = 0.25
    found = whole(8 * np.exp(log_sd * rng.standard_normal(400_000)))
    assert found["d32_nm"] == pytest.approx(8 * np.exp(2.5 * log_sd**2), rel=2e-3)
    assert found["d43_nm"] == pytest.approx(8 * np.exp(3.5 * log_sd**2), rel=3e-3)
    assert found["volume_median_nm"] == pytest.approx(8 * np.exp(3 * log_sd**2), rel=3e-3)
    assert found["volume_geometric_sd"] == pytest.approx(np.exp(log_sd), rel=5e-3)


@given(factor=st.floats(1e-3, 1e3), seed=st.integers(0, 1000))
def test_sizes_scale_with_the_pixel(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, w = rng.lognormal(2, 0.3, 30), rng.uniform(1, 2, 30)
    before, after = whole(x, w), whole(x * factor, w)
    for name, value in before.items():
        assert after[name] == pytest.approx(value * (factor if name.endswith("_nm") else 1), rel=1e-6)


def test_equal_weights_are_no_weights(rng: np.random.Generator) -> None:
    x = rng.lognormal(2, 0.3, 77)
    heavy = whole(x, np.full(77, 3.7))
    assert heavy == pytest.approx(whole(x))
    wanted = np.quantile(x, [0.1, 0.5, 0.9], method="hazen")
    assert [heavy["d10_nm"], heavy["median_nm"], heavy["d90_nm"]] == pytest.approx(wanted.tolist())


def test_a_resample_is_the_table_of_its_micrographs(make_sizes: Callable[..., Sizes], rng: np.random.Generator) -> None:
    sizes = make_sizes(rng, 12)
    counts = resamples(12, n_resamples=5, seed=1)
    found = size_statistics(sizes, counts)
    for i in range(1, 6):
        times = counts[i, sizes.owners].astype(int)
        alone = whole(np.repeat(sizes.values, times))
        for name in ("mean_nm", "geometric_mean_nm", "d32_nm", "d43_nm", "volume_mean_nm"):
            assert found[name][i] == pytest.approx(alone[name])
        for name in ("median_nm", "d10_nm", "d90_nm"):
            gap = np.diff(np.unique(np.repeat(sizes.values, times))).max()
            assert abs(found[name][i] - alone[name]) <= gap


def test_histogram_and_curve_hold_every_particle(rng: np.random.Generator) -> None:
    x, w = rng.lognormal(2, 0.3, 500), rng.uniform(1, 2, 500)
    bins = histogram(x, w)
    edges = np.array(bins["edges_nm"])
    assert np.diff(edges) == pytest.approx(bins["bin_width_nm"])
    assert bins["n_counted"] == np.histogram(x, edges)[0].tolist()
    assert sum(bins["number_fraction"]) == pytest.approx(1)
    volume = np.histogram(x, edges, weights=w * x**3)[0] / (w * x**3).sum()
    assert bins["volume_fraction"] == pytest.approx(volume.tolist())
    curve = cumulative(x, w)
    assert curve["number_size_nm"][50] == pytest.approx(weighted_quantiles(x, w, [0.5])[0])
    assert curve["number_size_nm"][50] < curve["volume_size_nm"][50]


def test_analysis_of_variance(make_sizes: Callable[..., Sizes], rng: np.random.Generator) -> None:
    sizes = make_sizes(rng, 15)
    groups = [sizes.values[sizes.owners == j] for j in range(15)]
    found = variance_components(sizes)
    expected = scipy.stats.f_oneway(*groups)
    assert (found["f"], found["p_value"]) == pytest.approx((expected.statistic, expected.pvalue))
    many = make_sizes(rng, 4000, between=0.2, within=0.1)
    assert variance_components(many)["intraclass_correlation"] == pytest.approx(0.8, abs=0.02)
    none = make_sizes(rng, 4000, between=0.0)
    assert variance_components(none)["intraclass_correlation"] == pytest.approx(0, abs=0.01)
