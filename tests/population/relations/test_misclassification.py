import numpy as np
import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.population.relations.misclassification import ConfusionError, corrected_defect_fraction

MATRIX = {"fault": {"fault": 160, "no_fault": 40}, "no_fault": {"fault": 20, "no_fault": 180}}


def particles(states: np.ndarray, codes: np.ndarray) -> pd.DataFrame:
    rows = pd.DataFrame({"fault_state": states, "micrograph_id": codes.astype(str), "counted": True, "sample": "Au"})
    return tables.conform(rows, tables.PARTICLES)


def classified(true: np.ndarray, rates: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a classifier of these rates (true × predicted) calls particles of these states."""
    states = np.array(["fault", "no_fault", "unknown"])[: rates.shape[1]]
    return np.asarray(states[(rng.random(len(true))[:, None] > rates[true].cumsum(axis=1)).sum(axis=1)])


def test_two_states_are_rogan_and_gladens_formula(rng: np.random.Generator) -> None:
    states = np.where(np.arange(400) < 150, "fault", "no_fault")
    result = corrected_defect_fraction(particles(states, np.arange(400) % 20), MATRIX, measured_on="this sample")
    assert result["uncorrected"] == 150 / 400
    assert result["estimate"] == pytest.approx((150 / 400 + 0.9 - 1) / (0.8 + 0.9 - 1))
    assert result["low"] < result["estimate"] < result["high"]
    assert result["measured_on"] == "this sample"


def test_a_perfect_classifier_needs_no_correction(rng: np.random.Generator) -> None:
    states = rng.choice(["fault", "no_fault", "unknown"], 300)
    perfect = {s: {s: 1000} for s in ("fault", "no_fault", "unknown")}
    result = corrected_defect_fraction(particles(states, np.arange(300) % 15), perfect, measured_on="simulation")
    assert result["estimate"] == pytest.approx(result["uncorrected"])


def test_faults_that_are_more_often_unknown_are_won_back(rng: np.random.Generator) -> None:
    rates = np.array([[0.5, 0.1, 0.4], [0.05, 0.85, 0.1], [0.05, 0.05, 0.9]])
    true = rng.choice(3, 60_000, p=[0.3, 0.5, 0.2])
    table = particles(classified(true, rates, rng), np.arange(60_000) % 30)
    names = ("fault", "no_fault", "unknown")
    matrix = {t: {p: int(1000 * rates[i, j]) for j, p in enumerate(names)} for i, t in enumerate(names)}
    result = corrected_defect_fraction(table, matrix, measured_on="simulation")
    assert result["uncorrected"] < 0.33
    assert result["estimate"] == pytest.approx(0.3 / 0.8, abs=0.01)


def test_a_small_matrix_widens_the_interval() -> None:
    states = np.where(np.arange(4000) % 3 == 0, "fault", "no_fault")
    table = particles(states, np.arange(4000) % 40)
    small = {t: {p: n // 10 for p, n in line.items()} for t, line in MATRIX.items()}
    wide, narrow = (corrected_defect_fraction(table, m, measured_on="simulation") for m in (small, MATRIX))
    assert wide["estimate"] == pytest.approx(narrow["estimate"])
    assert wide["high"] - wide["low"] > 2 * (narrow["high"] - narrow["low"])


@pytest.mark.parametrize(
    ("matrix", "measured_on", "words"),
    [
        (MATRIX, "  ", "measured_on"),
        ({"fault": {"fault": 5, "no_fault": 5}, "no_fault": {"fault": 5, "no_fault": 5}}, "x", "0.00"),
        ({"fault": {"fault": 5}}, "x", "required"),
        ({"fault": {"fault": 5, "twin": 1}, "no_fault": {"no_fault": 5}}, "x", "twin"),
        ({"fault": {"fault": 5}, "no_fault": {"no_fault": 0}}, "x", "counts"),
    ],
)
def test_a_matrix_that_cannot_correct_is_refused(
    matrix: dict[str, dict[str, int]], measured_on: str, words: str
) -> None:
    with pytest.raises(ConfusionError, match=words):
        corrected_defect_fraction(tables.empty(tables.PARTICLES), matrix, measured_on=measured_on)


def test_no_particles_no_correction() -> None:
    result = corrected_defect_fraction(tables.empty(tables.PARTICLES), MATRIX, measured_on="simulation")
    assert result["estimate"] is None
    assert "assessable" in result["reason"]


def test_the_interval_holds_the_truth(rng: np.random.Generator) -> None:
    """Matrix and micrographs are both drawn anew in each trial; the slow test has the many trials."""
    sensitivity, specificity, held = 0.8, 0.9, []
    codes = np.repeat(np.arange(30), 12)
    for _ in range(100):
        true = (rng.random(360) >= rng.beta(4, 6, 30)[codes]).astype(int)
        states = classified(true, np.array([[sensitivity, 1 - sensitivity], [1 - specificity, specificity]]), rng)
        hits, refused = rng.binomial(150, sensitivity), rng.binomial(150, specificity)
        matrix = {
            "fault": {"fault": int(hits), "no_fault": int(150 - hits)},
            "no_fault": {"fault": int(150 - refused), "no_fault": int(refused)},
        }
        result = corrected_defect_fraction(particles(states, codes), matrix, measured_on="simulation", n_resamples=400)
        held.append(result["low"] <= 0.4 <= result["high"])
    assert np.mean(held) >= 0.88
