"""What a found region is, by the particles that lie in it."""

import numpy as np
import pandas as pd
import pytest

from hrtem_dask.evaluation import true_region_classes


def particles(*rows: dict[str, object]) -> pd.DataFrame:
    standard = {
        "orientation": "on_zone",
        "n_faults": 0,
        "fault_visible": False,
        "visibility": 2.0,
        "touches_edge": False,
    }
    return pd.DataFrame([{**standard, "particle_id": i, **row} for i, row in enumerate(rows, start=1)])


def squares(*boxes: tuple[int, int, int, int], size: int = 60) -> np.ndarray:
    labels = np.zeros((size, size), np.int32)
    for i, (y0, x0, y1, x1) in enumerate(boxes, start=1):
        labels[y0:y1, x0:x1] = i
    return labels


ONE = (10, 10, 30, 30)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, "no_stacking_fault"),
        ({"n_faults": 1, "fault_visible": True}, "stacking_fault"),
        ({"n_faults": 1, "fault_visible": False}, None),  # a fault that is not seen edge-on is neither
        ({"orientation": "misoriented", "n_faults": 1}, "misoriented"),
        ({"orientation": "between"}, None),
    ],
)
def test_the_class_of_one_particle(row: dict[str, object], expected: str | None) -> None:
    known = true_region_classes(squares(ONE), squares(ONE), particles(row), ordinary=True)
    assert known["region_class"].tolist() == [expected]
    assert known["true_particle_id"].tolist() == [1]


def test_merged_regions_are_agglomerations_and_parted_ones_are_not() -> None:
    truth = squares(ONE, (10, 32, 30, 52))
    two = particles({}, {"visibility": 1.0})
    merged = true_region_classes(squares((10, 10, 30, 52)), truth, two, ordinary=True)
    assert merged["region_class"].tolist() == ["agglomeration"]
    assert merged["visibility"].tolist() == [1.0]
    assert merged["is_clear"].tolist() == [False]
    parted = true_region_classes(truth, truth, two, ordinary=True)
    assert parted["region_class"].tolist() == ["no_stacking_fault"] * 2
    assert parted["is_clear"].tolist() == [True, False]


def test_what_is_no_particle_and_what_is_a_piece_of_one() -> None:
    truth = squares(ONE)
    beside = true_region_classes(squares((35, 35, 50, 50)), truth, particles({}), ordinary=True)
    assert beside["region_class"].tolist() == ["no_particle"]
    assert beside["is_clear"].tolist() == [True]
    piece = true_region_classes(squares((10, 10, 30, 18)), truth, particles({}), ordinary=True)
    assert piece["region_class"].tolist() == [None]  # 40 % of a particle
    much_larger = true_region_classes(squares((0, 0, 55, 55)), truth, particles({}), ordinary=True)
    assert much_larger["region_class"].tolist() == [None]


@pytest.mark.parametrize(("orientation", "visibility", "clear"), [("on_zone", 1.6, False), ("misoriented", 0.9, True)])
def test_clear(orientation: str, visibility: float, clear: bool) -> None:
    row = particles({"orientation": orientation, "visibility": visibility})
    assert true_region_classes(squares(ONE), squares(ONE), row, ordinary=True)["is_clear"].tolist() == [clear]
    assert true_region_classes(squares(ONE), squares(ONE), row, ordinary=False)["is_clear"].tolist() == [False]


def test_the_border_cuts() -> None:
    at_border = squares((0, 10, 20, 30))
    assert true_region_classes(at_border, at_border, particles({}), ordinary=True)["touches_edge"].tolist() == [True]
    # a region within, of a particle that reaches out
    within = true_region_classes(squares((5, 10, 20, 30)), at_border, particles({"touches_edge": True}), ordinary=True)
    assert within["touches_edge"].tolist() == [True]


def test_agrees_with_the_simulators_own_regions() -> None:
    """On true masks the classes are those of the simulator's table of regions."""
    from hrtem_dask.simulation import SimulationRanges, simulate_micrograph
    from hrtem_dask.training.forest.region_table import is_ordinary

    ranges = SimulationRanges(
        size_px=384, pixel_size_nm=(0.05, 0.05), touching_fraction=0.4, empty_fraction=0, coverage=(0.25, 0.3),
        median_diameter_nm=(2.5, 2.6), materials={"CdSe": 1.0},
    )  # fmt: skip
    seen = 0
    for index in range(2):
        one = simulate_micrograph(ranges, seed=7, index=index)
        ordinary = is_ordinary(one.micrograph.iloc[0])
        known = true_region_classes(one.region_labels, one.labels, one.particles, ordinary=ordinary)
        expected_regions = one.regions.set_index("region_id")
        for region, row in known.iterrows():
            # of a cut region less is seen than its class says
            if not expected_regions.loc[region, "touches_edge"]:
                expected = expected_regions.loc[region, "region_class"]
                assert row["region_class"] == (None if pd.isna(expected) else expected)
                assert row["is_clear"] == expected_regions.loc[region, "is_clear"]
                seen += 1
    assert seen >= 5
