"""The verdict follows its truth table, and what it rests on follows the sizes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask import tables
from hrtem_dask.analysis import verdict
from hrtem_dask.analysis.verdict import evidence, judge_micrograph

SMALLEST, LARGEST = verdict.NETWORK_DIAMETERS_PX
GOOD = {
    "corrected": False,
    "n_particles": 40,
    "regime": "contrast",
    "predicted_dice": 0.95,
    "network_scale_score": 0.95,
    "network_scale_margin": 0.3,
    "pixel_size_in_training": None,
    "median_diameter_network_px": 80.0,
    "area_to_number_median": 1.0,
    "quality_flags": None,
}
LATTICE = {"regime": "lattice", "network_scale_score": None, "network_scale_margin": None}
EMPTY = {"n_particles": 0, "predicted_dice": None, "median_diameter_network_px": None, "area_to_number_median": None}


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"predicted_dice": verdict.MIN_PREDICTED_DICE}, []),
        ({"predicted_dice": verdict.MIN_PREDICTED_DICE - 1e-6}, [verdict.LOW_DICE]),
        ({"network_scale_margin": 0.0}, []),
        ({"network_scale_margin": None}, []),
        ({"median_diameter_network_px": SMALLEST}, []),
        ({"median_diameter_network_px": SMALLEST - 0.1}, [verdict.SMALL]),
        ({"median_diameter_network_px": LARGEST + 0.1}, [verdict.LARGE]),
        ({"area_to_number_median": verdict.MAX_AREA_TO_NUMBER_MEDIAN}, []),
        ({"area_to_number_median": verdict.MAX_AREA_TO_NUMBER_MEDIAN + 1e-6}, [verdict.SPECKS]),
        ({"fused_area_fraction": verdict.MAX_FUSED_AREA}, []),
        ({"fused_area_fraction": verdict.MAX_FUSED_AREA + 1e-6}, [verdict.FUSED]),
        ({"n_counted": 0, "coverage": 0.51}, [verdict.NONE_WHOLE]),
        ({"n_counted": 0, "coverage": 0.49}, []),
        ({"n_counted": 1, "coverage": 0.9}, []),
        ({"n_counted": 9, "n_too_small": 10}, [verdict.BELOW_LIMIT]),
        ({"n_counted": 10, "n_too_small": 10}, []),
        ({"n_counted": 0, "n_too_small": 9}, []),
        ({"n_counted": 0, "n_too_small": 10}, [verdict.BELOW_LIMIT]),
        ({"predicted_dice": 0.1, "area_to_number_median": 9.0}, [verdict.LOW_DICE, verdict.SPECKS]),
        ({**LATTICE, "pixel_size_in_training": True}, []),
        ({**LATTICE, "pixel_size_in_training": False}, [verdict.PIXEL_SIZE]),
        ({**LATTICE, "pixel_size_in_training": None}, []),
        ({**EMPTY}, [verdict.EMPTY_BUT_SEEN]),
        ({**EMPTY, "quality_flags": "empty_field"}, [verdict.EMPTY_BUT_SEEN]),
        ({**EMPTY, "network_scale_score": None}, [verdict.EMPTY_BUT_CONTRAST]),
        ({**EMPTY, "network_scale_score": None, "quality_flags": "blur,empty_field"}, []),
        ({**EMPTY, **LATTICE, "mass_contrast": 3.9, "peak_snr": 14.9}, []),
        ({**EMPTY, **LATTICE, "mass_contrast": 0.1, "peak_snr": 1.0, "n_uncertain": 2}, [verdict.EMPTY_BUT_UNCERTAIN]),
        (
            {**EMPTY, **LATTICE, "mass_contrast": 0.1, "peak_snr": 1.0, "quality_flags": "saturation,empty_field"},
            [verdict.EMPTY_BUT_SATURATED],
        ),
        ({**EMPTY, **LATTICE, "mass_contrast": 4.1, "peak_snr": 14.9}, [verdict.EMPTY_BUT_CONTRAST]),
        ({**EMPTY, **LATTICE, "mass_contrast": 3.9, "peak_snr": 15.1}, [verdict.EMPTY_BUT_CONTRAST]),
        ({**EMPTY, **LATTICE, "pixel_size_in_training": True}, [verdict.EMPTY_BUT_CONTRAST]),
        ({**EMPTY, **LATTICE, "pixel_size_in_training": True, "quality_flags": "empty_field"}, []),
    ],
)
def test_the_truth_table(changes: dict[str, object], reasons: list[str]) -> None:
    found = judge_micrograph({**GOOD, **changes}, is_calibrated=True)
    expected = {"verdict": "doubtful" if reasons else "trusted", "doubt_reasons": "; ".join(reasons) or None}
    assert found == expected


def test_without_a_prediction_nothing_is_trusted() -> None:
    nothing = {"verdict": None, "doubt_reasons": None}
    assert judge_micrograph(GOOD, is_calibrated=False) == nothing
    assert judge_micrograph({**GOOD, "predicted_dice": 0.1}, is_calibrated=False) == nothing


@pytest.mark.parametrize("is_calibrated", [True, False])
def test_labels_corrected_by_hand_are_trusted(is_calibrated: bool) -> None:
    row = {**GOOD, "corrected": True, "predicted_dice": None, "area_to_number_median": 9.0}
    assert judge_micrograph(row, is_calibrated=is_calibrated)["verdict"] == "trusted"


@pytest.mark.parametrize("null", [None, pd.NA, float("nan")])
def test_a_row_of_a_table_gets_the_same_verdict(null: object) -> None:
    row = {name: null if value is None else value for name, value in {**GOOD, **LATTICE}.items()}
    assert judge_micrograph(row, is_calibrated=True)["verdict"] == "trusted"
    emptied = {name: null if value is None else value for name, value in {**row, **EMPTY}.items()}
    assert judge_micrograph(emptied, is_calibrated=True)["doubt_reasons"] == verdict.EMPTY_BUT_CONTRAST


@given(st.floats(0, 1), st.floats(0, 1), st.floats(1, 9), st.floats(1, 1000))
def test_no_reason_hides_another(dice: float, margin: float, specks: float, diameter: float) -> None:
    values = {
        "predicted_dice": dice,
        "network_scale_margin": margin,
        "area_to_number_median": specks,
        "median_diameter_network_px": diameter,
    }
    alone = [
        judge_micrograph({**GOOD, name: value}, is_calibrated=True)["doubt_reasons"] for name, value in values.items()
    ]
    together = judge_micrograph({**GOOD, **values}, is_calibrated=True)["doubt_reasons"]
    assert set((together or "").split("; ")) - {""} == {reason for reason in alone if reason}


def sizes(diameters_px: list[float], counted: list[bool] | None = None) -> tables.Rows:
    columns = {
        "equivalent_diameter_px": np.array(diameters_px),
        "counted": np.array(counted or [True] * len(diameters_px)),
    }
    return tables.Rows(tables.PARTICLES, len(diameters_px), columns)


def test_specks_separate_the_medians() -> None:
    spheres = [100.0] * 10
    assert evidence(sizes(spheres), network_scale=0.5) == {
        "median_diameter_network_px": 50.0,
        "area_to_number_median": 1,
    }
    with_specks = evidence(sizes([*spheres, *[12.5] * 30]), network_scale=0.5)
    assert with_specks == {"median_diameter_network_px": 6.25, "area_to_number_median": 8.0}


@given(st.floats(0.05, 0.7))
def test_the_ratio_of_a_lognormal_population_is_that_of_hatch_and_choate(sigma: float) -> None:
    """The area of a lognormal population has its median at exp(2σ²) times that of the number."""
    probability = (np.arange(4_000) + 0.5) / 4_000
    found = evidence(sizes(list(np.exp(4 + sigma * scipy.stats.norm.ppf(probability)))), network_scale=1.0)
    assert found["area_to_number_median"] == pytest.approx(np.exp(2 * sigma**2), rel=0.02)


def test_only_counted_particles_are_evidence() -> None:
    assert evidence(sizes([100.0, 5.0, 5.0], [True, False, False]), network_scale=1.0)["area_to_number_median"] == 1
    nothing = {"median_diameter_network_px": None, "area_to_number_median": None}
    assert evidence(sizes([100.0], [False]), network_scale=1.0) == nothing
    assert evidence(sizes([100.0]), network_scale=None)["median_diameter_network_px"] is None


def test_the_concepts_name_the_limits() -> None:
    concepts = (Path(__file__).parents[2] / "docs" / "concepts.md").read_text(encoding="utf-8")
    assert f"`predicted_dice` is below {verdict.MIN_PREDICTED_DICE:g} |" in concepts
    assert f"`median_diameter_network_px` is below {SMALLEST:g} or above {LARGEST:g} network pixels" in concepts
    assert f"`area_to_number_median` is above {verdict.MAX_AREA_TO_NUMBER_MEDIAN:g}:" in concepts
