"""The median size in words."""

import numpy as np
import pandas as pd

from hrtem_dask.population import PopulationOptions, summarize
from hrtem_dask.population.relations.comparisons import compare_samples
from hrtem_dask.population.size_lines import median_text, size_lines


def population(sample: str, n_micrographs: int, size_nm: float) -> pd.DataFrame:
    sizes = np.random.default_rng(n_micrographs).normal(size_nm, 0.1 * size_nm, (n_micrographs, 10)).ravel()
    area_nm2 = np.pi / 4 * sizes**2
    names = [f"{sample}{i // 10}" for i in range(len(sizes))]
    return pd.DataFrame(
        {"sample": sample, "micrograph_id": names, "particle_id": range(len(sizes)), "counted": True,
         "equivalent_diameter_nm": sizes, "area_nm2": area_nm2, "area_px": area_nm2 / 0.05**2}
    )  # fmt: skip


def test_samples_have_their_own_lines_and_too_few_micrographs_no_uncertainty() -> None:
    table = pd.concat([population("A", 6, 4.0), population("B", 2, 8.0)], ignore_index=True)
    summary = summarize(table, options=PopulationOptions(n_resamples=100, n_fit_simulations=10))
    whole, first, second = size_lines(summary)
    assert "80 particles of 8 micrographs" in whole
    budget = summary["samples"]["A"]["equivalent_diameter_nm"]["uncertainty"]["median_nm"]
    assert first.startswith(f"A: median diameter {budget['value_nm']:.2f} ± ")
    assert "(k = " in first
    assert "60 particles of 6 micrographs" in first
    median = summary["samples"]["B"]["equivalent_diameter_nm"]["median"]
    assert second.startswith(f"B: median diameter {median:.3g} nm, uncertainty not known: too few micrographs")
    assert size_lines({"all": summary["samples"]["A"], "samples": {"A": {}}}) == [first.removeprefix("A: ")]


def test_doubtful_sizes_say_so_first() -> None:
    table = pd.concat([population("A", 2, 4.0), population("B", 2, 8.0)], ignore_index=True)
    summary = summarize(table, options=PopulationOptions(n_resamples=100, n_fit_simulations=10))
    doubts = {"sizes_are_doubtful": True, "samples": {"A": {"sizes_are_doubtful": True}, "B": {}}}
    whole, first, second = size_lines({**summary, "verdicts": doubts})
    assert whole.startswith("doubtful: median diameter ")
    assert first.startswith("A, doubtful: median diameter ")
    assert second.startswith("B: median diameter ")


def test_counted_particles_without_a_size_in_nm_are_named() -> None:
    """With --pixels the median stood on 11 of 34 counted particles, those of the one calibrated micrograph."""
    table = pd.concat([population("A", 2, 4.0), population("B", 2, 8.0)], ignore_index=True)
    table.loc[table["sample"] == "B", ["equivalent_diameter_nm", "area_nm2"]] = np.nan
    summary = summarize(table, options=PopulationOptions(n_resamples=100, n_fit_simulations=10))
    assert "(20 particles of 2 micrographs; 20 counted particles without a size in nm)" in size_lines(summary)[0]


def test_without_sizes_there_is_no_line() -> None:
    assert size_lines({"all": {"equivalent_diameter_nm": None}, "samples": {}}) == []
    assert median_text({}) == ""


def test_an_uncertainty_larger_than_the_value_is_said_and_not_written_as_a_range_below_zero() -> None:
    budget = {"value_nm": 10.42, "expanded_uncertainty_nm": 48.3, "coverage_factor": 2.34, "reason": None}
    text = median_text({"equivalent_diameter_nm": {"n": 9, "n_micrographs": 6, "uncertainty": {"median_nm": budget}}})
    assert text == (
        "median diameter 10.4 nm, its uncertainty is larger than that: ± 48 nm (k = 2.3; 9 particles of 6 micrographs)"
    )


def test_a_budget_with_an_unknown_source_gives_no_number() -> None:
    budget = {"value_nm": 4.0, "expanded_uncertainty_nm": float("nan"), "coverage_factor": float("nan"), "reason": None}
    text = median_text({"equivalent_diameter_nm": {"n": 1, "n_micrographs": 1, "uncertainty": {"median_nm": budget}}})
    assert (
        text
        == "median diameter 4 nm, uncertainty not known: one of its sources is not known (1 particle of 1 micrograph)"
    )


def test_one_micrograph_with_nearly_all_particles_gives_no_uncertainty_anywhere() -> None:
    """The headline said 25.6 ± 2.7 nm where the section below said that there are no intervals."""
    table = pd.concat([population("A", 6, 4.0)] * 20 + [population("A", 6, 4.0)], ignore_index=True)
    table = table[(table["micrograph_id"] == "A0") | ~table.duplicated()].assign(feret_min_nm=4.0)
    summary = summarize(table, options=PopulationOptions(n_resamples=100, n_fit_simulations=10))
    size = summary["all"]["equivalent_diameter_nm"]
    assert size["interval_reason"].startswith("no intervals: one of the 6 micrographs has 81% of the counted particles")
    assert size["precision"]["reason"].startswith("no interval: one of the 6 micrographs")
    for found in size["uncertainty"].values():
        assert found["expanded_uncertainty_nm"] is None
        assert found["reason"].startswith(
            "too few micrographs for the uncertainty of sampling (one of the 6 micrographs"
        )
    assert summary["all"]["feret_min_nm"]["below_100_nm"]["low"] is None
    assert "uncertainty not known: too few micrographs" in size_lines(summary)[0]
    compared = compare_samples(table.assign(fault_state="fault"))["samples"]["A"]
    for found in compared.values():
        assert found["estimate"] is not None
        assert found["low"] is None
        assert "has 81% of the counted particles" in found["reason"]
