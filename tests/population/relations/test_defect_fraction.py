import numpy as np
import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.population.relations.defect_fraction import defect_fraction, fault_states


def particles(states: list[str | None], *, n_micrographs: int = 10, counted: bool = True) -> pd.DataFrame:
    rows = pd.DataFrame({"fault_state": states, "counted": counted, "sample": "Au"})
    rows["micrograph_id"] = [f"m{i % n_micrographs}" for i in range(len(rows))]
    return tables.conform(rows, tables.PARTICLES)


def test_misoriented_is_unknown_and_never_without_a_fault() -> None:
    few = defect_fraction(particles(["fault"] * 20 + ["no_fault"] * 30))
    many = defect_fraction(particles(["fault"] * 20 + ["no_fault"] * 30 + ["unknown"] * 50))
    assert few["fraction"]["estimate"] == many["fraction"]["estimate"] == 0.4
    assert (few["fraction"]["low"], few["fraction"]["high"]) == (many["fraction"]["low"], many["fraction"]["high"])


def test_the_papers_numbers() -> None:
    """Groschner 2021 counts: the fraction in the right orientation, and of those the fraction that is faulted."""
    result = defect_fraction(particles(["fault"] * 20 + ["no_fault"] * 30 + ["unknown"] * 50))
    assert result["assessable"]["estimate"] == 0.5
    assert result["not_assessable"]["estimate"] == 0.5
    assert (result["n_fault"], result["n_no_fault"], result["n_unknown"]) == (20, 30, 50)


def test_bounds_hold_every_way_to_fill_in_the_unknown(rng: np.random.Generator) -> None:
    table = particles(list(rng.choice(["fault", "no_fault", "unknown"], 200)))
    bounds = defect_fraction(table)["bounds"]
    for share in (0.0, 0.3, 1.0):
        unknown = (table["fault_state"] == "unknown").to_numpy()
        filled = np.where(rng.random(200) < share, "fault", "no_fault")
        states = np.where(unknown, filled, table["fault_state"].to_numpy(dtype=object))
        estimate = defect_fraction(particles(list(states)))["fraction"]["estimate"]
        assert bounds["low"]["estimate"] - 1e-12 <= estimate <= bounds["high"]["estimate"] + 1e-12
    assert bounds["low"]["low"] < bounds["low"]["estimate"] < bounds["high"]["estimate"] < bounds["high"]["high"]


def test_a_null_state_is_unknown() -> None:
    np.testing.assert_array_equal(fault_states(particles(["fault", None, "no_fault", "x"])), [1, np.nan, 0, np.nan])


def test_nothing_assessable_says_so() -> None:
    result = defect_fraction(particles(["unknown"] * 20))
    assert result["fraction"]["estimate"] is None
    assert "assessable" in result["reason"]
    assert result["bounds"]["high"]["estimate"] == 1
    for table in (tables.empty(tables.PARTICLES), particles(["fault"] * 9, counted=False)):
        assert defect_fraction(table)["reason"] == "no counted particle"


def test_few_micrographs_give_a_fraction_without_interval() -> None:
    fraction = defect_fraction(particles(["fault", "no_fault"] * 20, n_micrographs=3))["fraction"]
    assert fraction["estimate"] == pytest.approx(0.5)
    assert fraction["low"] is None
    assert "3 micrographs" in fraction["reason"]
