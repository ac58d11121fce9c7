import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from hrtem_dask import tables
from hrtem_dask.population.relations.defect_effects import defect_effects

SIZE = "equivalent_diameter_nm"


def particles(rng: np.random.Generator, *, n: int = 1500, sample: str = "Au") -> pd.DataFrame:
    """Simulated: faults depend on size; solidity depends on size alone, contrast on nothing."""
    z = rng.normal(size=n)
    fault = rng.random(n) < expit(1.0 * z)
    rows = pd.DataFrame({SIZE: 6 + z, "fault_state": np.where(fault, "fault", "no_fault"), "counted": True})
    rows["solidity"] = 0.9 + 0.01 * (0.8 * z + 0.6 * rng.normal(size=n))
    rows["contrast"] = rng.normal(size=n)
    rows["micrograph_id"] = [f"{sample}{i}" for i in rng.integers(0, 40, n)]
    rows["sample"] = sample
    return tables.conform(rows, tables.PARTICLES)


def effects(table: pd.DataFrame) -> dict[str, dict[str, object]]:
    return {row["descriptor"]: row for row in defect_effects(table, descriptors=(SIZE, "solidity", "contrast"))}


def test_size_explains_what_shape_only_shows(rng: np.random.Generator) -> None:
    rows = effects(particles(rng))
    assert rows[SIZE]["odds_ratio_per_sd"]["low"] < np.e < rows[SIZE]["odds_ratio_per_sd"]["high"]
    assert rows["solidity"]["odds_ratio_per_sd"]["low"] > 1.5
    given = rows["solidity"]["odds_ratio_per_sd_given"]
    assert given["p_value"] > 0.001
    assert abs(np.log(given["estimate"])) < 0.25 * np.log(rows["solidity"]["odds_ratio_per_sd"]["estimate"])
    assert "held constant" in rows[SIZE]["odds_ratio_per_sd_given"]["reason"]
    assert rows["contrast"]["p_adjusted"] > 0.05 > rows["solidity"]["p_adjusted"]


def test_auc_and_means_are_those_of_others(rng: np.random.Generator) -> None:
    table = particles(rng)
    row = effects(table)[SIZE]
    fault = (table["fault_state"] == "fault").to_numpy()
    sizes = table[SIZE].to_numpy(dtype=float)
    assert row["auc"]["estimate"] == pytest.approx(roc_auc_score(fault, sizes))
    assert row["cliffs_delta"]["estimate"] == pytest.approx(2 * roc_auc_score(fault, sizes) - 1)
    assert row["difference_of_means"]["estimate"] == pytest.approx(sizes[fault].mean() - sizes[~fault].mean())


def test_the_error_of_auc_is_nearly_the_jackknifes(rng: np.random.Generator) -> None:
    table = particles(rng)
    row = effects(table)[SIZE]["cliffs_delta"]
    fault, sizes = (table["fault_state"] == "fault").to_numpy(), table[SIZE].to_numpy(dtype=float)
    kept = [(table["micrograph_id"] != g).to_numpy() for g in table["micrograph_id"].unique()]
    deltas = np.array([2 * roc_auc_score(fault[k], sizes[k]) - 1 for k in kept])
    jackknife = np.sqrt((len(kept) - 1) / len(kept) * ((deltas - row["estimate"]) ** 2).sum())
    assert row["standard_error"] == pytest.approx(jackknife, rel=0.03)


def test_samples_keep_their_own_level(rng: np.random.Generator) -> None:
    a, b = particles(rng), particles(rng, sample="CdSe")
    b = b.assign(contrast=b["contrast"] + 5)
    b["fault_state"] = np.where(rng.random(len(b)) < 0.95, "fault", "no_fault")
    row = effects(pd.concat([a, b], ignore_index=True))["contrast"]
    assert row["auc"]["low"] < 0.5 < row["auc"]["high"]
    assert row["difference_of_means"]["low"] < 0 < row["difference_of_means"]["high"]


def test_a_monotone_change_of_unit_keeps_ranks(rng: np.random.Generator) -> None:
    table = particles(rng)
    row, other = effects(table)[SIZE], effects(table.assign(**{SIZE: np.exp(table[SIZE].astype(float))}))[SIZE]
    assert row["auc"] == other["auc"]


def test_too_few_particles_give_a_reason() -> None:
    for row in defect_effects(tables.empty(tables.PARTICLES)):
        assert "at least 10" in row["reason"]
        assert row["auc"]["estimate"] is None


def test_complete_separation_is_an_auc_without_interval(rng: np.random.Generator) -> None:
    table = particles(rng)
    table["fault_state"] = np.where(table["contrast"] > 0, "fault", "no_fault")
    row = effects(table)["contrast"]
    assert row["auc"]["estimate"] == 1
    assert row["cliffs_delta"]["estimate"] == 1
    assert "completely" in row["auc"]["reason"]
    assert "infinite" in row["odds_ratio_per_sd"]["reason"]
