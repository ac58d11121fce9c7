import numpy as np
import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.population.relations.comparisons import compare_samples

SIZE = "equivalent_diameter_nm"


def sample(
    rng: np.random.Generator,
    name: str,
    *,
    median_nm: float = 6.0,
    sigma: float = 0.15,
    faulted: float = 0.3,
    n_micrographs: int = 30,
) -> pd.DataFrame:
    """Simulated: lognormal sizes, a quarter of whose variance lies between micrographs."""
    codes = np.repeat(np.arange(n_micrographs), 15)
    z = 0.5 * rng.normal(size=n_micrographs)[codes] + np.sqrt(0.75) * rng.normal(size=len(codes))
    rows = pd.DataFrame({SIZE: median_nm * np.exp(sigma * z), "sample": name, "counted": True})
    rows["fault_state"] = np.where(rng.random(len(codes)) < faulted, "fault", "no_fault")
    rows["micrograph_id"] = [f"{name}{i}" for i in codes]
    return tables.conform(rows, tables.PARTICLES)


def differences(*samples: pd.DataFrame) -> dict[tuple[str, str, str], dict[str, object]]:
    rows = compare_samples(pd.concat(samples, ignore_index=True))["differences"]
    return {(row["statistic"], row["sample_a"], row["sample_b"]): row for row in rows}


def test_planted_differences_are_found(rng: np.random.Generator) -> None:
    rows = differences(
        sample(rng, "a"), sample(rng, "b", median_nm=7.0), sample(rng, "c", sigma=0.3), sample(rng, "d", faulted=0.6)
    )
    larger = rows["median", "a", "b"]
    assert larger["low"] < 1.0 < larger["high"]
    wider = rows["geometric_sd", "a", "c"]
    assert wider["low"] < np.exp(0.3) - np.exp(0.15) < wider["high"]
    worse = rows["defect_fraction", "a", "d"]
    assert worse["low"] < 0.3 < worse["high"]
    for row in (larger, wider, worse, rows["mean", "a", "b"]):
        assert row["differs"]
    assert not rows["defect_fraction", "a", "b"]["differs"]
    assert not rows["geometric_sd", "a", "b"]["differs"]


def test_the_other_way_round_is_the_negative(rng: np.random.Generator) -> None:
    a, b = sample(rng, "a"), sample(rng, "b", median_nm=6.3, faulted=0.35)
    forth, back = differences(a, b), differences(a.assign(sample="z"), b)
    for statistic in ("mean", "median", "geometric_sd", "defect_fraction"):
        row, negative = forth[statistic, "a", "b"], back[statistic, "b", "z"]
        assert (row["low"], row["p_value"]) == pytest.approx((-negative["high"], negative["p_value"]), rel=1e-6)
        assert (row["low"] > 0 or row["high"] < 0) == (row["p_value"] < 0.05)


def test_kruskal_sees_what_differs(rng: np.random.Generator) -> None:
    tables_ = [sample(rng, "a"), sample(rng, "b", median_nm=7.0), sample(rng, "c")]
    kruskal = compare_samples(pd.concat(tables_, ignore_index=True))["kruskal"]
    assert kruskal["median"]["p_value"] < 1e-4 < kruskal["defect_fraction"]["p_value"]
    assert (kruskal["median"]["n_samples"], kruskal["median"]["n_micrographs"]) == (3, 90)


def test_no_fault_seen_is_compared_too(rng: np.random.Generator) -> None:
    row = differences(sample(rng, "a", faulted=0.0), sample(rng, "b", faulted=0.9))["defect_fraction", "a", "b"]
    assert row["differs"]
    assert row["low"] > 0.5


def test_one_sample_and_few_micrographs_say_so(rng: np.random.Generator) -> None:
    alone = compare_samples(sample(rng, "a"))
    assert alone["differences"] == []
    assert "two are needed" in alone["reason"]
    assert compare_samples(tables.empty(tables.PARTICLES))["samples"] == {}
    rows = differences(sample(rng, "a"), sample(rng, "b", n_micrographs=3, median_nm=9))
    row = rows["mean", "a", "b"]
    assert row["estimate"] > 2
    assert row["differs"] is row["low"] is None
    assert "3 micrographs" in row["reason"]


def test_unknown_faults_and_sizes(rng: np.random.Generator) -> None:
    a, b = sample(rng, "a").assign(fault_state="unknown"), sample(rng, "b").assign(**{SIZE: np.nan})
    result = compare_samples(pd.concat([a, b], ignore_index=True))
    assert result["samples"]["a"]["defect_fraction"]["estimate"] is None
    assert result["samples"]["b"]["mean"]["reason"] == "no particle has a size"
    assert all(row["estimate"] is None and row["reason"] for row in result["differences"])
    assert "two are needed" in result["kruskal"]["median"]["reason"]


def test_nothing_differs_in_at_most_one_of_twenty_studies(rng: np.random.Generator) -> None:
    """Holm over all pairs and statistics; the slow test has the many trials."""
    found = [
        any(row["differs"] for row in differences(sample(rng, "a"), sample(rng, "b"), sample(rng, "c")).values())
        for _ in range(15)
    ]
    assert sum(found) <= 4  # 1 in 20: more than 4 of 15 once in 1600 runs
