"""Clusters that are there are found, whatever the units; what is not measured is in none."""

import numpy as np
import pandas as pd
from sklearn.metrics import adjusted_rand_score

from hrtem_dask import tables
from hrtem_dask.defects import embed_regions

NAMES = [column.name for column in tables.REGION_FEATURES]


def three_kinds(rng: np.random.Generator, n: int = 60) -> tuple[pd.DataFrame, np.ndarray]:
    kind = np.repeat([0, 1, 2], n)
    middle = rng.normal(0, 3, (3, len(NAMES)))
    return pd.DataFrame(middle[kind] + rng.normal(0, 0.7, (3 * n, len(NAMES))), columns=NAMES), kind


def test_kinds_become_clusters() -> None:
    table, kind = three_kinds(np.random.default_rng(0))
    found = embed_regions(table)
    clustered = found["cluster"] >= 0
    assert clustered.mean() > 0.8
    assert adjusted_rand_score(kind[clustered], found["cluster"][clustered]) > 0.95


def test_units_and_order_do_not_matter() -> None:
    rng = np.random.default_rng(1)
    table, _ = three_kinds(rng)
    here = embed_regions(table)
    scaled = table * rng.uniform(0.01, 1000, len(NAMES)) + rng.normal(0, 50, len(NAMES))
    pd.testing.assert_frame_equal(embed_regions(scaled), here, atol=1e-9)
    shuffled = embed_regions(table.sample(frac=1, random_state=3)).loc[table.index]
    np.testing.assert_allclose(shuffled["embedding_1"], here["embedding_1"], atol=1e-6)


def test_noise_is_no_kind() -> None:
    rng = np.random.default_rng(2)
    found = embed_regions(pd.DataFrame(rng.normal(size=(200, len(NAMES))), columns=NAMES))
    assert found["cluster"].nunique() <= 2
    assert (found["cluster"] == -1).mean() > 0.5


def test_what_is_not_measured_is_left_out() -> None:
    table, _ = three_kinds(np.random.default_rng(3))
    table.iloc[5] = np.nan
    table.iloc[6, :10] = np.nan
    found = embed_regions(tables.conform(table, tables.REGION_FEATURES))
    assert np.isnan(found["embedding_1"].iloc[5])
    assert found["cluster"].iloc[5] == -1
    assert np.isfinite(found["embedding_1"].drop(index=5)).all()
    few = embed_regions(table.iloc[:12])
    assert few["embedding_1"].isna().all()
    assert (few["cluster"] == -1).all()
