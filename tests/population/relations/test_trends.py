import numpy as np
import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.population.relations.trends import covariate_trends

SIZE = "equivalent_diameter_nm"


def particles(
    rng: np.random.Generator, *, slope: float = 0.0, by_sample: bool = False, n_micrographs: int = 36
) -> pd.DataFrame:
    codes = np.repeat(np.arange(n_micrographs), 12)
    time = (np.arange(n_micrographs) % 6) * 10.0
    rows = pd.DataFrame({"time_min": time[codes], "counted": True})
    rows[SIZE] = (
        5 + slope * rows["time_min"] + rng.normal(size=len(codes)) + 0.6 * rng.normal(size=n_micrographs)[codes]
    )
    rows["fault_state"] = np.where(rng.random(len(codes)) < 0.2 + 0.01 * rows["time_min"], "fault", "no_fault")
    rows["micrograph_id"] = [f"m{i}" for i in codes]
    rows["sample"] = [f"s{t:g}" for t in rows["time_min"]] if by_sample else "Au"
    return tables.conform(rows, tables.PARTICLES)


def trend(table: pd.DataFrame, outcome: str) -> dict[str, object]:
    (row,) = covariate_trends(table, ["time_min"], outcomes=[outcome])
    return row


def test_planted_slopes_are_found(rng: np.random.Generator) -> None:
    table = particles(rng, slope=0.05)
    for outcome, truth in ((SIZE, 0.05), ("defect_fraction", 0.01)):
        row = trend(table, outcome)
        assert row["low"] < truth < row["high"]
        assert row["p_value"] < 0.001
        assert row["n_values"] == 6


def test_the_unit_of_time_turns_the_slope(rng: np.random.Generator) -> None:
    table = particles(rng, slope=0.02)
    hours = table.assign(time_min=table["time_min"] / 60)
    assert trend(hours, SIZE)["estimate"] == pytest.approx(60 * trend(table, SIZE)["estimate"])
    assert trend(hours, SIZE)["p_value"] == pytest.approx(trend(table, SIZE)["p_value"])


def test_a_covariate_of_the_sample_is_distinguished_from_one_of_the_micrograph(rng: np.random.Generator) -> None:
    row = trend(particles(rng, by_sample=True), SIZE)
    assert "another synthesis" in row["note"]
    assert row["between_samples"]["n_samples"] == 6
    assert row["between_samples"]["low"] < row["estimate"] < row["between_samples"]["high"]
    assert trend(particles(rng), SIZE)["between_samples"] is None


def test_what_varies_within_a_micrograph_is_no_covariate(rng: np.random.Generator) -> None:
    table = particles(rng)
    assert "differs within" in trend(table.assign(time_min=rng.random(len(table))), SIZE)["reason"]
    assert "fewer than two values" in trend(table.assign(time_min=3.0), SIZE)["reason"]
    assert "fewer than two values" in trend(table.drop(columns="time_min"), SIZE)["reason"]
    assert "4 micrographs" in trend(particles(rng, n_micrographs=4), SIZE)["reason"]


def test_no_trend_is_rarely_found(rng: np.random.Generator) -> None:
    found = [trend(particles(rng), SIZE)["p_value"] < 0.05 for _ in range(50)]
    assert sum(found) <= 9  # 1 in 20: more than 9 of 50 once in 4000 runs
