import json

import numpy as np
import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.population.relations.describe_relations import numeric_covariates, relations

SIZE = "equivalent_diameter_nm"
MATRIX = {"fault": {"fault": 80, "no_fault": 20}, "no_fault": {"fault": 10, "no_fault": 90}}


@pytest.fixture
def study(rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Simulated: three samples of 12 micrographs and one of an empty micrograph."""
    names = [f"{s}{i}" for s in "abc" for i in range(12)] + ["d0"]
    micrographs = pd.DataFrame({"micrograph_id": names, "sample": [n[0] for n in names], "status": "done"})
    micrographs["time_min"] = micrographs["sample"].map({"a": 1.0, "b": 5.0, "c": 25.0, "d": 125.0})
    micrographs["operator"] = "x"
    codes = np.repeat(np.arange(36), 20)
    rows = pd.DataFrame({"micrograph_id": np.array(names)[codes], "counted": True})
    rows["sample"] = rows["micrograph_id"].str[0]
    rows[SIZE] = rng.lognormal(1.8, 0.2, len(codes))
    rows["area_px"] = np.round(rows[SIZE] ** 2 * 300).astype(int)
    for name in ("circularity", "solidity", "roundness"):
        rows[name] = rng.beta(20, 2, len(codes))
    rows["aspect_ratio"] = 1 + rng.gamma(2, 0.1, len(codes))
    rows["fault_state"] = rng.choice(["fault", "no_fault", "unknown"], len(codes))
    return tables.conform(rows, tables.PARTICLES), tables.conform(micrographs, tables.MICROGRAPHS)


def test_everything_is_ready_for_json_and_the_same_twice(study: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    options = {"confusion": MATRIX, "confusion_measured_on": "simulated", "n_resamples": 200}
    first, second = (json.dumps(relations(*study, **options), allow_nan=False) for _ in range(2))  # type: ignore[arg-type]
    assert first == second


def test_each_sample_is_as_if_it_were_alone(study: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    particles, micrographs = study
    together = relations(particles, micrographs)
    assert list(together["samples"]) == ["a", "b", "c", "d"]
    alone = relations(particles[particles["sample"] == "b"], micrographs[micrographs["sample"] == "b"])
    assert alone["overall"] == alone["samples"]["b"] == together["samples"]["b"]


def test_a_sample_without_particles_is_there_and_says_why(study: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    empty = relations(*study)["samples"]["d"]
    assert empty["n_micrographs"] == 1
    assert empty["defect_fraction"]["reason"] == "no counted particle"


def test_covariates_come_from_the_micrographs(study: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    result = relations(*study)
    assert numeric_covariates(study[1]) == result["covariates"] == ["time_min"]
    assert [row["outcome"] for row in result["trends"]] == [SIZE, "aspect_ratio", "defect_fraction"]
    assert all(row["n_values"] == 3 and row["low"] is not None for row in result["trends"])


def test_no_correction_unless_a_matrix_is_given(study: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    assert relations(*study)["overall"]["defect_fraction_corrected"] is None
    corrected = relations(*study, confusion=MATRIX, confusion_measured_on="simulated")["overall"]
    assert corrected["defect_fraction_corrected"]["estimate"] != corrected["defect_fraction"]["fraction"]["estimate"]


def test_pixels_are_never_taken_for_nm(study: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    particles, micrographs = study
    result = relations(particles.assign(**{SIZE: np.nan, "equivalent_diameter_px": 50.0}), micrographs)
    assert result["overall"]["defect_curve"]["n"] == 0
    assert result["comparisons"]["samples"]["a"]["mean"]["estimate"] is None
    assert result["overall"]["defect_fraction"]["fraction"]["estimate"] > 0


def test_nothing_gives_reasons() -> None:
    result = relations(tables.empty(tables.PARTICLES), tables.empty(tables.MICROGRAPHS))
    json.dumps(result, allow_nan=False)
    assert result["samples"] == {}
    assert result["comparisons"]["reason"]
