"""Budgets of shape and defects, nested variance, reference sizes and associations, against known truth."""

import numpy as np
import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.errors import SettingsError
from hrtem_dask.population.budgets.associations import associations
from hrtem_dask.population.budgets.combined import budget
from hrtem_dask.population.budgets.defect_budgets import defect_budget
from hrtem_dask.population.budgets.nested_variance import nested_components, nested_variance
from hrtem_dask.population.budgets.reference import compare_with_reference, read_reference
from hrtem_dask.population.budgets.shape_budgets import moved_outlines, shape_budgets
from hrtem_dask.population.relations.describe_relations import relations

SIZE = "equivalent_diameter_nm"


def particles(rng: np.random.Generator, micrographs: int = 12, per: int = 20) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ellipses of 20 to 60 px; faults are independent of everything."""
    n = micrographs * per
    codes = np.repeat(np.arange(micrographs), per)
    short, aspect = rng.uniform(20, 60, n), rng.uniform(1, 1.6, n)
    long = short * aspect
    perimeter = np.pi * (3 * (short + long) - np.sqrt((3 * short + long) * (short + 3 * long))) / 2
    area = np.pi / 4 * short * long
    rows = pd.DataFrame({"micrograph_id": [f"m{c}" for c in codes], "sample": "Au", "counted": True})
    rows = rows.assign(
        area_px=area.astype(int), perimeter_px=perimeter, convex_perimeter_px=perimeter, feret_max_px=long,
        feret_min_px=short, aspect_ratio=aspect, circularity=4 * np.pi * area / perimeter**2, solidity=1.0,
        convexity=1.0, roundness=1 / aspect, compactness=aspect**-0.5, extent=np.pi / 4,
        fault_state=np.where(rng.random(n) < 0.4, "fault", "no_fault"), **{SIZE: np.sqrt(short * long) / 10},
    )  # fmt: skip
    ids = [f"m{i}" for i in range(micrographs)]
    frames = pd.DataFrame({"micrograph_id": ids, "sample": "Au", "status": "done", "edge_position_px": 1.5})
    return tables.conform(rows, tables.PARTICLES), tables.conform(frames, tables.MICROGRAPHS)


def test_few_micrographs_have_a_large_coverage_factor() -> None:
    alone = budget(1.0, [("sampling", 0.1, "")], degrees_of_freedom=4, confidence=0.95)
    assert alone["coverage_factor"] == pytest.approx(2.776, abs=1e-3)
    assert budget(1.0, [("sampling", None, "")], degrees_of_freedom=4, confidence=0.95)["reason"]


def test_moved_outlines_are_those_of_larger_disks_and_rectangles() -> None:
    disk = pd.DataFrame({"area_px": [np.pi * 400], "perimeter_px": 40 * np.pi, "convex_perimeter_px": 40 * np.pi})
    disk = disk.assign(feret_max_px=40.0, feret_min_px=40.0, solidity=1.0)
    for shift in (-2.0, 3.0):
        row = moved_outlines(disk, shift).iloc[0]
        for name in ("aspect_ratio", "circularity", "roundness", "compactness", "solidity", "convexity"):
            assert row[name] == pytest.approx(1), name
    capsule = moved_outlines(disk.assign(feret_max_px=60.0), 5.0).iloc[0]
    assert capsule["aspect_ratio"] == pytest.approx(70 / 50)


def test_shape_medians_have_intervals_and_a_segmentation_term(rng: np.random.Generator) -> None:
    found = shape_budgets(*particles(rng))
    row = found["aspect_ratio"]
    assert row["median"]["low"] < 1.3 < row["median"]["high"]
    segmentation = row["budget"]["sources"][0]["standard_uncertainty"]
    # 1.5 px on both sides of about 40 px across change (W r + 2 s)/(W + 2 s) by 2 s (1 − r)/W
    assert segmentation == pytest.approx(2 * 1.5 * 0.3 / 40 / np.sqrt(3), rel=0.4)
    assert row["budget"]["expanded_uncertainty"] > 2 * segmentation
    assert (
        "assumed"
        in shape_budgets(particles(rng)[0], particles(rng)[1].assign(edge_position_px=pd.NA))["aspect_ratio"]["budget"][
            "sources"
        ][0]["basis"]
    )


def test_the_defect_fraction_has_a_budget(rng: np.random.Generator) -> None:
    table, frames = particles(rng)
    found = defect_budget(relations(table, frames)["overall"])
    assert found is not None
    sources = {row["source"]: row["standard_uncertainty"] for row in found["sources"]}
    assert set(sources) == {"classification", "segmentation", "sampling"}
    assert sources["sampling"] == pytest.approx(np.sqrt(0.24 / 240), rel=0.3)
    assert found["expanded_uncertainty"] >= 2 * sources["sampling"]
    unknown = relations(table.assign(fault_state="unknown"), frames)["overall"]
    assert defect_budget(unknown) is None


def test_nested_components_are_recovered_from_uneven_groups(rng: np.random.Generator) -> None:
    found = []
    for _ in range(40):
        micrographs = np.repeat(np.arange(60), rng.integers(3, 20, 60))
        sessions, samples = micrographs // 4, micrographs // 12
        values = 3.0 * rng.normal(size=5)[samples] + 2.0 * rng.normal(size=15)[sessions]
        values = values + 1.0 * rng.normal(size=60)[micrographs] + 0.5 * rng.normal(size=len(micrographs))
        found.append(nested_components(values, [samples, sessions, micrographs]))
    assert np.mean(found, axis=0) == pytest.approx([9, 4, 1, 0.25], rel=0.35)


def test_nested_variance_uses_sessions_and_names_levels(rng: np.random.Generator) -> None:
    table, frames = particles(rng)
    days = [f"2026-11-{1 + i // 4:02d}T10:00:00" for i in range(12)]
    rows = nested_variance(table, frames.assign(acquired_at=days))["components"]
    assert [(r["level"], r["n_groups"]) for r in rows] == [("session", 3), ("micrograph", 12), ("particle", 240)]
    assert sum(r["share"] for r in rows) == pytest.approx(1)
    assert nested_variance(table.iloc[:1], frames)["reason"]


@pytest.mark.parametrize("text", ["30.2±0.6", "30.2 +- 0.6", " 30.2+/-0.6 nm"])
def test_a_reference_is_read(text: str) -> None:
    assert read_reference(text) == (30.2, 0.6)


@pytest.mark.parametrize("text", ["30.2", "30.2±", "±0.6", "30.2±0", "a±b", "-3±1"])
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="value±expanded"):
        read_reference(text)


def test_a_wrong_size_does_not_agree_with_the_certificate() -> None:
    measured = {"value_nm": 33.0, "expanded_uncertainty_nm": 0.8, "combined_standard_uncertainty_nm": 0.4}
    found = compare_with_reference(measured, 30.2, 0.6)
    assert found["agrees"] is False
    assert found["e_n"] == pytest.approx(2.8)
    assert found["bias_term_nm"] == pytest.approx(np.hypot(2.8 / np.sqrt(3), 0.3))
    unknown = compare_with_reference({**measured, "expanded_uncertainty_nm": None}, 30.2, 0.6)
    assert unknown["agrees"] is None


def test_associations_within_and_between_micrographs_can_have_opposite_signs(rng: np.random.Generator) -> None:
    table, _ = particles(rng, micrographs=30)
    level = np.repeat(rng.normal(size=30), 20)
    own = rng.normal(size=600)
    table = table.assign(contrast=level + own, solidity=level - own + 0.3 * rng.normal(size=600))
    (row,) = associations(table, descriptors=["solidity", "contrast"])
    assert row["within"]["high"] < -0.9
    assert row["between"]["low"] > 0.5
    assert associations(table.iloc[:40], descriptors=["solidity", "contrast"])[0]["within"]["reason"]
