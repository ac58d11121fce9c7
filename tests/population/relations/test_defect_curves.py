import numpy as np
import pandas as pd
import pytest
from scipy.special import expit

from hrtem_dask import tables
from hrtem_dask.population.relations.defect_curves import defect_curve

SIZE = "equivalent_diameter_nm"


def particles(rng: np.random.Generator, *, slope: float = 0.0, n: int = 900, n_micrographs: int = 30) -> pd.DataFrame:
    """Simulated: sizes 6 ± 1 nm, faulted with odds that rise by exp(slope) per nm."""
    size = rng.normal(6, 1, n)
    fault = rng.random(n) < expit(slope * (size - 6) - 0.4)
    rows = pd.DataFrame({SIZE: size, "fault_state": np.where(fault, "fault", "no_fault"), "counted": True})
    rows["micrograph_id"] = [f"m{i}" for i in rng.integers(0, n_micrographs, n)]
    rows["sample"] = "Au"
    return tables.conform(rows, tables.PARTICLES)


def test_a_planted_effect_is_found(rng: np.random.Generator) -> None:
    result = defect_curve(particles(rng, slope=0.7, n=4000))
    ratio = result["odds_ratio_per_sd"]
    assert ratio["low"] < np.exp(0.7 * result["sd"]) < ratio["high"]
    assert ratio["p_value"] < 1e-6
    curve = {k: np.array(v) for k, v in result["logistic"].items()}
    truth = expit(0.7 * (curve["value"] - 6) - 0.4)
    assert np.abs(curve["fraction"] - truth).max() < 0.05
    assert ((curve["low"] < curve["fraction"]) & (curve["fraction"] < curve["high"])).all()
    assert result["isotonic"]["increasing"]


def test_a_falling_curve_falls_whichever_way_it_is_drawn(rng: np.random.Generator) -> None:
    result = defect_curve(particles(rng, slope=-0.7))
    assert result["odds_ratio_per_sd"]["high"] < 1
    for name in ("logistic", "isotonic"):
        assert (np.diff(result[name]["fraction"]) <= 1e-12).all()


def test_unknown_particles_change_only_the_bounds(rng: np.random.Generator) -> None:
    table = particles(rng, slope=0.3)
    extra = particles(rng, n=300).assign(fault_state="unknown")
    few, many = (defect_curve(t) for t in (table, pd.concat([table, extra], ignore_index=True)))
    for name in ("n", "n_fault", "odds_ratio_per_sd", "logistic", "isotonic"):
        assert few[name] == many[name]
    for one, other in zip(few["bins"], many["bins"], strict=True):
        assert one["estimate"] == other["estimate"]
        assert one["n_unknown"] == 0
        assert one["bounds"]["low"] == pytest.approx(one["estimate"])
        bounds = other["bounds"]
        assert bounds["low"] == pytest.approx(other["estimate"] * other["n"] / (other["n"] + other["n_unknown"]))
        assert bounds["high"] == pytest.approx(bounds["low"] + other["n_unknown"] / (other["n"] + other["n_unknown"]))
    assert sum(b["n_unknown"] for b in many["bins"]) == 300


def test_bins_hold_all_particles_once(rng: np.random.Generator) -> None:
    table = particles(rng)
    bins = defect_curve(table, n_bins=6)["bins"]
    assert sum(b["n"] for b in bins) == len(table)
    assert np.dot([b["n"] for b in bins], [b["estimate"] for b in bins]) == pytest.approx(
        (table["fault_state"] == "fault").sum()
    )


def test_samples_keep_their_own_level(rng: np.random.Generator) -> None:
    """Large particles come from the faulty sample; within each, size does not matter (Simpson's paradox)."""
    small, large = particles(rng, n=1500), particles(rng, n=1500)
    small["fault_state"] = np.where(rng.random(1500) < 0.1, "fault", "no_fault")
    large["fault_state"] = np.where(rng.random(1500) < 0.6, "fault", "no_fault")
    large = large.assign(**{SIZE: large[SIZE] + 3, "sample": "CdSe", "micrograph_id": "c" + large["micrograph_id"]})
    both = pd.concat([small, large], ignore_index=True)
    apart = defect_curve(both)["odds_ratio_per_sd"]
    mixed = defect_curve(both.assign(sample="all"))["odds_ratio_per_sd"]
    assert apart["low"] < 1 < apart["high"]
    assert mixed["low"] > 2


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"fault_state": "fault"}, "at least 10 of each"),
        ({"fault_state": "unknown"}, "at least 10 of each"),
        ({"micrograph_id": "one"}, "1 micrograph,"),
        ({SIZE: 5.0}, "are equal"),
        ({SIZE: np.nan}, "at least 10 of each"),
        ({"counted": False}, "at least 10 of each"),
    ],
)
def test_too_few_particles_give_a_reason(rng: np.random.Generator, change: dict[str, object], words: str) -> None:
    result = defect_curve(tables.conform(particles(rng).assign(**change), tables.PARTICLES))
    assert words in result["reason"]
    assert result["logistic"] is None
    assert result["odds_ratio_per_sd"]["low"] is None


def test_separation_is_reported(rng: np.random.Generator) -> None:
    table = particles(rng)
    table["fault_state"] = np.where(table[SIZE] > 6, "fault", "no_fault")
    result = defect_curve(table)
    assert "completely" in result["reason"]
    assert result["isotonic"]["fraction"][0] == 0
