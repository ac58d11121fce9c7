"""Any partitioning gives the answer of the whole table, to the last bit."""

from collections.abc import Callable
from pathlib import Path

import dask
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask import tables
from hrtem_dask.population import PopulationOptions, summarize
from hrtem_dask.population.reduction import collect, finish, merge, summarize_partition

QUICK = PopulationOptions(n_resamples=100, n_fit_simulations=20)


@pytest.fixture(scope="module")
def population(make_frames: Callable[..., tuple[pd.DataFrame, pd.DataFrame]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(4)
    particles, micrographs = make_frames(rng, frames=7, per_frame=8, median_nm=5, log_sd=0.3, frame_px=400, px=0.1)
    second = particles["micrograph_id"] >= "m00004"
    return particles.assign(sample=np.where(second, "Pt", "Au")), micrographs


@settings(max_examples=15)
@given(data=st.data())
def test_partitions_in_any_order(population: tuple[pd.DataFrame, pd.DataFrame], data: st.DataObject) -> None:
    particles = population[0]
    n = len(particles)
    order = np.random.default_rng(data.draw(st.integers(0, 2**32))).permutation(n)
    cuts = sorted(data.draw(st.lists(st.integers(0, n), max_size=6)))
    shuffled = particles.iloc[order]
    parts = [shuffled.iloc[a:b] for a, b in zip([0, *cuts], [*cuts, n], strict=True)]
    summaries = [summarize_partition(part) for part in parts]
    half = data.draw(st.integers(1, len(summaries)))
    left = merge(pd.concat(summaries[:half], ignore_index=True))
    tree = merge(pd.concat([*summaries[half:], left], ignore_index=True))
    whole, again = collect(particles), finish(tree)
    pd.testing.assert_frame_equal(again.counted, whole.counted, check_exact=True)
    pd.testing.assert_frame_equal(again.excluded, whole.excluded, check_exact=True)


@pytest.mark.parametrize("n_parts", [1, 3, 11])
def test_dask_equals_pandas(population: tuple[pd.DataFrame, pd.DataFrame], tmp_path: Path, n_parts: int) -> None:
    particles, micrographs = population
    edges = np.linspace(0, len(particles), n_parts + 1).astype(int)
    for i in range(n_parts):  # later rows in earlier files
        particles.iloc[edges[-2 - i] : edges[-1 - i]].to_parquet(tmp_path / f"part-{i:02d}.parquet")
    tables.empty(tables.PARTICLES).to_parquet(tmp_path / "part-99.parquet")
    with dask.config.set(scheduler="synchronous"):
        lazy = summarize(dd.read_parquet(tmp_path), micrographs, QUICK)
    assert lazy == summarize(particles, micrographs, QUICK)


def test_a_lazy_table_is_reduced_where_its_partitions_are(population: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    widest = 0

    def watch(part: pd.DataFrame) -> pd.DataFrame:
        nonlocal widest
        widest = max(widest, len(part))
        return part

    lazy = dd.from_pandas(population[0], npartitions=6, sort=False)
    lazy = lazy.map_partitions(watch, meta=population[0].iloc[:0])
    with dask.config.set(scheduler="synchronous"):
        assert len(collect(lazy).counted) == population[0]["counted"].sum()
    assert widest < len(population[0]) / 3
