"""The fast median is NumPy's."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask import medians
from hrtem_dask.medians import FEW, count_values, median, median_of_counts


@settings(max_examples=60, deadline=None)
@given(
    n=st.one_of(st.integers(1, 50), st.integers(FEW - 2, FEW + 50), st.integers(20_000, 60_000)),
    kind=st.sampled_from(["normal", "constant", "sorted", "two values", "integers", "heavy tails"]),
    dtype=st.sampled_from([np.float32, np.float64, np.uint8, np.uint16, np.int16]),
    seed=st.integers(0, 1000),
)
def test_the_median_of_numpy(n: int, kind: str, dtype: type, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = {
        "normal": lambda: rng.normal(100, 20, n),
        "constant": lambda: np.full(n, 7.0),
        "sorted": lambda: np.sort(rng.normal(100, 20, n)),
        "two values": lambda: rng.integers(0, 2, n) * 200.0,
        "integers": lambda: rng.integers(0, 4, n).astype(float),
        "heavy tails": lambda: np.clip(rng.standard_cauchy(n), 0, 250),
    }[kind]().astype(dtype)
    assert median(values) == np.median(values)


@pytest.mark.parametrize("n", [5, 3 * FEW])
def test_a_nan_is_a_nan(n: int) -> None:
    values = np.arange(float(n))
    values[n // 3] = np.nan
    assert np.isnan(median(values))


def test_shape_does_not_matter() -> None:
    values = np.random.default_rng(0).normal(size=(200, 300))
    assert median(values) == median(values.T) == np.median(values)
    assert median(values > 0) == np.median(values > 0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1000), n=st.integers(1, 30))
def test_the_median_of_counted_values(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    values, counts = rng.permutation(100)[:n].astype(np.float32), rng.integers(1, 5, n)
    assert median_of_counts(counts, values) == np.median(np.repeat(values, counts))
    assert median_of_counts(counts) == np.median(np.repeat(np.arange(n), counts))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_values_are_counted_in_pieces(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).integers(0, 200, (37, 41)).astype(dtype)
    values[:5] = 0
    for at_once in (1, 100, 10**6):
        monkeypatch.setattr(medians, "AT_ONCE", at_once)
        assert np.array_equal(count_values(values), np.bincount(values.ravel()))
    assert count_values(values[:0]).size == 0
