"""Detectability against size, and what it does to curves of defects; populations are simulated."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from hrtem_dask import tables
from hrtem_dask.errors import SettingsError
from hrtem_dask.population.relations.defect_curves import defect_curve
from hrtem_dask.population.relations.defect_effects import defect_effects, with_detectability
from hrtem_dask.population.relations.detectability import (
    Conditions,
    Detectability,
    fit_detectability,
    read_detectability,
)
from hrtem_dask.population.relations.detectability_effects import CONCLUSIONS

SIZE = "equivalent_diameter_nm"
ANSWERS = np.array(["fault", "no_fault", "unknown"])
STATES = np.array(["fault", "no_fault", "misoriented"])


def rising(diameters: np.ndarray, low: float) -> np.ndarray:
    return np.asarray(low + (0.95 - low) * expit((diameters - 6) / 0.7))


def draw(rng: np.random.Generator, micrographs: int, slope: float = 0.0) -> tuple[np.ndarray, ...]:
    """Micrograph, diameter, true state and answer: 40 % faults at every size unless there is a slope (per nm)."""
    codes = np.repeat(np.arange(micrographs), 15)
    d = 6 * np.exp(0.3 * rng.normal(size=len(codes)))
    fault = rng.random(len(d)) < expit(np.log(0.4 / 0.6) + slope * (d - 6))
    state = np.where(rng.random(len(d)) < 0.65, np.where(fault, 0, 1), 2)
    assessed = rng.random(len(d)) < np.select([state == 0, state == 1], [rising(d, 0.3), 0.9], 0.15)
    called = rng.random(len(d)) < np.select([state == 0, state == 1], [rising(d, 0.4), 0.08], 0.2)
    return codes, d, state, np.where(assessed, np.where(called, 0, 1), 2)


def measured(rng: np.random.Generator, micrographs: int = 60) -> Detectability:
    codes, d, state, answer = draw(rng, micrographs)
    rows = pd.DataFrame({"micrograph_id": codes, "true_diameter_nm": d, "true_state": STATES[state], "found": True})
    return fit_detectability(rows.assign(fault_state=ANSWERS[answer]), measured_on="simulated")


def study(rng: np.random.Generator, slope: float = 0.0, micrographs: int = 30) -> pd.DataFrame:
    codes, d, _, answer = draw(rng, micrographs, slope)
    rows = pd.DataFrame({SIZE: d, "micrograph_id": [f"m{c}" for c in codes], "sample": "Au", "counted": True})
    return tables.conform(rows.assign(fault_state=ANSWERS[answer]), tables.PARTICLES)


def test_measured_shares_are_the_true_ones(rng: np.random.Generator) -> None:
    found = measured(rng, 1500)
    d = np.array([4.0, 6.0, 9.0])
    assert found.called_fault["fault"].share(d) == pytest.approx(rising(d, 0.4), abs=0.05)
    assert found.assessed["fault"].share(d) == pytest.approx(rising(d, 0.3), abs=0.06)
    assert found.called_fault["no_fault"].share(d) == pytest.approx([0.08] * 3, abs=0.02)
    assert found.outcomes(d).sum(axis=2) == pytest.approx(np.ones((3, 3)))
    curves = found.curves(d)
    assert np.all(np.array(curves["sensitivity"]["low"]) < np.array(curves["sensitivity"]["high"]))


def test_detectability_is_not_taken_for_an_effect() -> None:
    """Before, three in four such studies had a significant curve; the limit is 7 %."""
    seen, called, ratios = [], [], []
    for seed in range(60):
        rng = np.random.default_rng([11, seed])
        curve = defect_curve(study(rng), detectability=measured(rng))
        seen.append(curve["odds_ratio_per_sd"]["p_value"] <= 0.05)
        called.append(curve["conclusion"]["code"] in {"effect", "hidden"})
        ratios.append((curve["odds_ratio_per_sd"]["estimate"], curve["corrected"]["odds_ratio_by_detectability"]))
    assert np.mean(seen) > 0.4
    assert np.mean(called) <= 0.07 + 0.03
    by_seeing, by_detectability = np.exp(np.log(ratios).mean(axis=0))
    assert by_detectability == pytest.approx(by_seeing, rel=0.1)


def test_a_real_effect_is_found_and_its_size_recovered() -> None:
    found, held = [], []
    for seed in range(20):
        rng = np.random.default_rng([12, seed])
        curve = defect_curve(study(rng, slope=0.8, micrographs=60), detectability=measured(rng, 120))
        row = curve["corrected"]["odds_ratio_per_sd"]
        found.append(curve["conclusion"]["code"] == "effect")
        held.append(row["low"] < np.exp(0.8 * curve["corrected"]["sd"]) < row["high"])
    assert np.mean(found) >= 0.9
    assert np.mean(held) >= 0.8


def test_bins_are_corrected_and_bounded(rng: np.random.Generator) -> None:
    curve = defect_curve(study(rng, micrographs=200), detectability=measured(rng, 400), n_bins=5)
    for row in curve["bins"]:
        assert row["bounds"]["low"] <= row["bounds"]["high"]
        assert row["corrected"]["estimate"] == pytest.approx(0.4, abs=0.12)
        assert row["corrected"]["low"] < row["corrected"]["estimate"] < row["corrected"]["high"]
    assert sum(row["corrected"]["low"] < 0.4 < row["corrected"]["high"] for row in curve["bins"]) >= 3
    assert curve["bins"][0]["estimate"] < 0.3  # what is seen of small particles


def test_the_default_calls_nothing_an_effect(rng: np.random.Generator) -> None:
    default = read_detectability(conditions=Conditions(pixel_size_nm=0.04, material="Au", dose_per_nm2=1e5))
    of_all = read_detectability()
    d = np.array([2.2, 6.0])
    for curve in (of_all.found, of_all.assessed["fault"], of_all.called_fault["fault"]):
        assert np.diff(curve.share(d))[0] > 0.02
    curve = defect_curve(study(rng, slope=1.5, micrographs=60), detectability=default)
    assert curve["odds_ratio_per_sd"]["p_value"] < 1e-6
    assert curve["conclusion"] == {"code": "beyond_default", "words": CONCLUSIONS["beyond_default"]}
    rows = with_detectability(defect_effects(study(rng, slope=1.5)), curve["conclusion"])
    of_size = next(row for row in rows if row["descriptor"] == SIZE)
    assert of_size["p_adjusted"] is None
    assert of_size["detectability"] == CONCLUSIONS["beyond_default"]


def test_tables_that_cannot_be_used_are_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(SettingsError, match="no column"):
        fit_detectability(pd.DataFrame({"micrograph_id": ["a"]}), measured_on="x")
    with pytest.raises(SettingsError, match="at least 20 are needed"):
        measured(rng, 1)
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"x\.csv"):
        read_detectability(tmp_path / "x.csv")
