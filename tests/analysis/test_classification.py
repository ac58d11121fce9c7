"""What classes mean for particles: fault states, traces, and who is counted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier

from hrtem_dask import analysis, fourier, tables
from hrtem_dask.defects import Calibration, DefectClassifier, Forest
from hrtem_dask.defects.forest import LEAF
from hrtem_dask.errors import ModelError
from hrtem_dask.particles import Particles
from hrtem_dask.segmentation import Segmentation, make_segmenter
from hrtem_dask.settings import Settings
from hrtem_dask.tables import REGION_CLASSES, REGION_FEATURES

PIXEL = (0.04, 0.04)
SETTINGS = Settings().updated({"particles": {"opening_radius_px": 0, "closing_radius_px": 0}})


def says(**probabilities: float) -> DefectClassifier:
    values = np.array([[probabilities.get(name, 0.0) for name in REGION_CLASSES]])
    one_leaf = Forest(
        n_features=len(REGION_FEATURES), depth=0, start=np.zeros(1, np.int32), feature=np.array([LEAF], np.int16),
        threshold=np.zeros(1, np.float32), right_step=np.zeros(1, np.int32), missing_goes_left=np.zeros(1, bool),
        leaf_row=np.zeros(1, np.int32), values=values / values.sum(),
    )  # fmt: skip
    names = tuple(column.name for column in REGION_FEATURES)
    return DefectClassifier(names, REGION_CLASSES, one_leaf, Calibration.identity(5), unsure_threshold=0.5)


def field(*centres: tuple[int, int], radius: int = 25, size: int = 160) -> tuple[np.ndarray, Particles]:
    """Disks with two sets of fringes on noise, and what is found there."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    mask = np.zeros((size, size), bool)
    for cy, cx in centres:
        mask |= np.hypot(y - cy, x - cx) <= radius
    fringes = np.cos(2 * np.pi * 0.04 / 0.235 * x) + np.cos(2 * np.pi * 0.04 / 0.235 * (0.33 * x + 0.94 * y))
    image = (0.6 + rng.normal(0, 0.03, mask.shape) - 0.2 * mask + 0.05 * fringes * mask).astype(np.float32)
    segmented = Segmentation(probability=mask.astype(np.float32), mask=mask, engine="none", device="cpu")
    return image, analysis.label(image, segmented, SETTINGS, pixel_size_nm=PIXEL)


@pytest.mark.parametrize(
    ("class_name", "state"),
    [("stacking_fault", "fault"), ("no_stacking_fault", "no_fault"), ("misoriented", "unknown"),
     ("no_particle", "unknown"), ("agglomeration", "unknown")],
)  # fmt: skip
def test_fault_states(class_name: str, state: str) -> None:
    """Misoriented is unknown, never no fault."""
    image, found = field((80, 80))
    done = analysis.classify(image, found, SETTINGS, says(**{class_name: 0.8, "misoriented": 0.2}), pixel_size_nm=PIXEL)
    assert done.regions["region_class"].tolist() == [class_name]
    assert done.particles["fault_state"].tolist() == [state]
    assert done.particles["fault_trace_deg"].notna().tolist() == [state == "fault"]
    assert done.particles["counted"].tolist() == [True]  # 0.8 is not sure enough to leave anything out


def test_doubt_is_unsure_and_unknown() -> None:
    image, found = field((80, 80))
    doubtful = says(stacking_fault=0.4, no_stacking_fault=0.35, misoriented=0.25)
    done = analysis.classify(image, found, SETTINGS, doubtful, pixel_size_nm=PIXEL)
    assert done.regions["region_class"].tolist() == ["unsure"]
    assert done.particles["fault_state"].tolist() == ["unknown"]
    assert done.particles["fault_probability"].iloc[0] == pytest.approx(0.4 / 0.75)


@pytest.mark.parametrize(("class_name", "reason"), [("no_particle", "no_particle"), ("agglomeration", "agglomerate")])
def test_what_is_surely_no_single_particle_is_not_counted(class_name: str, reason: str) -> None:
    image, found = field((80, 80))
    classifier = says(**{class_name: 0.95, "misoriented": 0.05})
    done = analysis.classify(image, found, SETTINGS, classifier, pixel_size_nm=PIXEL)
    assert done.particles["exclusion_reason"].tolist() == [reason]
    assert not done.particles["counted"].any()
    kept = SETTINGS.updated({"defects": {"min_exclusion_probability": 1.1}})
    assert analysis.classify(image, found, kept, classifier, pixel_size_nm=PIXEL).particles["counted"].all()


def test_parts_of_a_split_region_have_a_state_of_their_own() -> None:
    image, found = field((80, 50), (80, 98))
    assert len(found.regions) == 1
    assert len(found.particles) == 2
    classifier = says(agglomeration=0.95, stacking_fault=0.04, misoriented=0.01)
    done = analysis.classify(image, found, SETTINGS, classifier, pixel_size_nm=PIXEL)
    assert done.regions["region_class"].tolist() == ["agglomeration"]
    assert done.regions["n_parts"].tolist() == [2]
    assert done.particles["fault_state"].tolist() == ["fault", "fault"]  # 0.04 of 0.05: what one particle can be
    assert done.particles["counted"].all()  # it was split, so its parts are sizes
    assert done.particles["fault_offset_nm"].notna().all()


@pytest.mark.parametrize("pixel_size_nm", [None, (0.2, 0.2)])
def test_where_no_lattice_can_be_seen_nothing_is_said(pixel_size_nm: tuple[float, float] | None) -> None:
    image, found = field((80, 80))
    done = analysis.classify(image, found, SETTINGS, says(stacking_fault=1.0), pixel_size_nm=pixel_size_nm)
    pd.testing.assert_frame_equal(done.particles, found.particles)
    assert done.particles["fault_state"].tolist() == ["unknown"]
    assert analysis.classify(image, found, SETTINGS, None, pixel_size_nm=PIXEL) is found


def test_specks_are_not_measured() -> None:
    image, found = field((80, 80), radius=4)
    assert found.particles["exclusion_reason"].tolist() == ["too_small"]
    done = analysis.classify(image, found, SETTINGS, says(no_particle=1.0), pixel_size_nm=PIXEL)
    assert done.regions["region_class"].tolist() == ["unsure"]
    assert done.particles["exclusion_reason"].tolist() == ["too_small"]
    assert done.regions["row_1_snr"].isna().all()


def test_a_region_beyond_the_limit_is_an_agglomeration() -> None:
    image, found = field((80, 80))
    limited = SETTINGS.updated({"particles": {"max_region_area_nm2": 2.0}})
    done = analysis.classify(image, found, limited, says(no_stacking_fault=1.0), pixel_size_nm=PIXEL)
    assert done.regions["region_class"].tolist() == ["agglomeration"]
    assert done.regions["probability_agglomeration"].tolist() == [1.0]


def test_bright_particles_are_seen_inverted() -> None:
    image, found = field((80, 80))
    bright = SETTINGS.updated({"segmentation": {"particles_are": "bright"}})
    classifier = says(no_stacking_fault=1.0)
    dark = analysis.classify(image, found, SETTINGS, classifier, pixel_size_nm=PIXEL).regions
    inverted = analysis.classify(image.max() - image, found, bright, classifier, pixel_size_nm=PIXEL).regions
    for name in ("support_contrast", "band_contrast", "row_1_snr", "phase_step_gain"):
        np.testing.assert_allclose(
            dark[name].astype(float), inverted[name].astype(float), rtol=1e-3, atol=1e-4, err_msg=name
        )  # fmt: skip


def test_a_uniform_image_is_no_trouble() -> None:
    """Sharp edges on constants: every ratio has something to divide by, or is not given."""
    image = np.full((100, 100), 1.0)
    image[30:70, 30:70] = 0.1
    settings = SETTINGS.updated({"segmentation": {"method": "otsu"}})
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    done = analysis.analyse(
        image, pixel_size_nm=(0.05, 0.05), settings=settings, segmenter=segmenter, classifier=says(misoriented=1.0)
    )
    assert done.status == "done"
    features = done.regions[[column.name for column in REGION_FEATURES]].astype(float).iloc[0]
    assert features[["phase_step_gain", "support_contrast"]].abs().max() < 1e6
    assert not np.isinf(features).any()


def test_features_do_not_depend_on_where_a_region_is() -> None:
    image, found = field((80, 80))
    moved = replace(found, labels=np.roll(found.labels, (7, -11), (0, 1)))
    boxes = {"bbox_y0_px": 7, "bbox_y1_px": 7, "bbox_x0_px": -11, "bbox_x1_px": -11}
    moved = replace(
        moved, region_rows=found.region_rows.filled({k: found.region_rows.integers(k) + v for k, v in boxes.items()})
    )
    here = analysis.region_features(image, found, pixel_size_nm=PIXEL)
    there = analysis.region_features(np.roll(image, (7, -11), (0, 1)), moved, pixel_size_nm=PIXEL)
    pd.testing.assert_frame_equal(here, there, rtol=1e-5)


def test_particles_counted_by_size_alone_are_not_classified() -> None:
    image, found = field((80, 80), radius=4)
    sized = {"exclusion_reason": np.array([None]), "counted": np.array([True]), "solidity": np.array([np.nan])}
    found = replace(found, particle_rows=found.particle_rows.filled(sized))
    done = analysis.classify(image, found, SETTINGS, says(stacking_fault=1.0), pixel_size_nm=PIXEL)
    assert done.regions["region_class"].tolist() == ["unsure"]
    assert done.particles["fault_state"].tolist() == ["unknown"]
    assert done.particles["counted"].all()


def test_a_forest_of_the_papers_features_measures_no_lattice() -> None:
    """It sees the crops of regions at 8 bits, as in its training (`training.forest.region_table`)."""
    image, found = field((40, 40), (110, 110))
    crops = [
        np.round(255 * image[y0:y1, x0:x1])
        for y0, x0, y1, x1 in found.regions[list(tables.BOX_COLUMNS)].to_numpy(np.int64)
    ]
    values = pd.DataFrame([fourier.groschner2021_features(crop) for crop in crops])
    assert len(values) == 2
    names = ("no_stacking_fault", "stacking_fault")
    fitted = RandomForestClassifier(10, bootstrap=False, random_state=0).fit(values.to_numpy(), [0, 1])
    forest, identity = Forest.from_sklearn(fitted), Calibration.identity(2)
    classifier = DefectClassifier(fourier.GROSCHNER2021_COLUMNS, names, forest, identity)
    done = analysis.classify(image, found, SETTINGS, classifier, pixel_size_nm=PIXEL)
    assert done.regions["region_class"].tolist() == list(names)
    assert done.particles["fault_state"].tolist() == ["no_fault", "fault"]
    assert done.particles["fault_trace_deg"].isna().all()  # no plane was looked for
    assert done.regions["solidity"].notna().all()
    assert done.regions[["row_1_snr", "phase_step_gain", "bragg_coverage"]].isna().all(axis=None)
    assert done.regions["probability_misoriented"].isna().all()


def test_a_feature_that_is_not_known_is_named() -> None:
    image, found = field((80, 80))
    classifier = replace(says(misoriented=1.0), features=("moonlight", *(c.name for c in REGION_FEATURES[1:])))
    with pytest.raises(ModelError, match="moonlight"):
        analysis.classify(image, found, SETTINGS, classifier, pixel_size_nm=PIXEL)


def test_without_the_lattice_its_columns_are_null() -> None:
    image, found = field((80, 80))
    with_lattice = analysis.measure(image, found, SETTINGS, pixel_size_nm=PIXEL)
    assert with_lattice["n_reflections"].iloc[0] >= 2
    settings = SETTINGS.updated({"fourier": {"lattice": False}})
    without = analysis.measure(image, found, settings, pixel_size_nm=PIXEL)
    columns = [*fourier.LATTICE_COLUMNS, *fourier.ZONE_AXIS_COLUMNS]
    assert without[columns].isna().all(axis=None)
    pd.testing.assert_frame_equal(without.drop(columns=columns), with_lattice.drop(columns=columns))


@pytest.mark.parametrize(
    ("voltage_kv", "state"), [(None, "fault"), (200.0, "fault"), (300.0, "fault"), (80.0, "unknown"), (60.0, "unknown")]
)
def test_fault_states_are_unknown_at_a_voltage_that_the_classifier_does_not_hold_for(
    voltage_kv: float | None, state: str
) -> None:
    image, found = field((80, 80))
    faulty = says(stacking_fault=0.9, misoriented=0.1)
    done = analysis.classify(image, found, SETTINGS, faulty, pixel_size_nm=PIXEL, voltage_kv=voltage_kv)
    assert done.regions["region_class"].tolist() == ["stacking_fault"], "what it says is kept"
    assert done.particles["fault_state"].tolist() == [state]
    assert done.particles["fault_probability"].notna().tolist() == [state == "fault"]
    assert done.particles["fault_trace_deg"].notna().tolist() == [state == "fault"]
    own = SETTINGS.updated({"defects": {"voltage_range_kv": [60.0, 100.0]}})
    done = analysis.classify(image, found, own, faulty, pixel_size_nm=PIXEL, voltage_kv=80.0)
    assert done.particles["fault_state"].tolist() == ["fault"]


@pytest.mark.parametrize("spacing_range_nm", [(0.1, 0.42), (0.15, 0.42)])
def test_reflections_that_are_known_change_nothing(spacing_range_nm: tuple[float, float]) -> None:
    """They are found once, at the lowest of all limits, and in another range of spacings they are searched again."""
    settings = SETTINGS.updated({"fourier": {"spacing_range_nm": list(spacing_range_nm)}})
    image, found = field((40, 40), (110, 110))
    image = image + np.random.default_rng(0).normal(0, 0.05, image.shape)
    known = analysis.particle_reflections(image, found, settings, pixel_size_nm=PIXEL)
    assert known is not None
    assert all(known)
    once, again = (
        analysis.classify(
            image, found, settings, says(stacking_fault=1.0), pixel_size_nm=PIXEL, reflections=reflections
        )
        for reflections in (known, None)
    )
    pd.testing.assert_frame_equal(once.regions, again.regions)
    pd.testing.assert_frame_equal(once.particles, again.particles)
