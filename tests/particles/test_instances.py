"""Instances that overlap: each is measured as if it were alone."""

import numpy as np
import pytest

from hrtem_dask.detection import InstanceMask, Instances
from hrtem_dask.detection.instance_masks import mask_of_box
from hrtem_dask.particles import instance_layers, instance_runs, measure_instances, measure_labels
from hrtem_dask.settings import ParticleSettings

SHAPE = (160, 200)
BOXES = np.array([[80, 80, 100, 21, 0.0], [80, 80, 101, 15, -60], [83, 78, 61, 17, 35], [170, 130, 41, 19, 80],
                  [190, 40, 40, 21, 0]])  # fmt: skip
RULES = ParticleSettings(bridge_gap_nm=0)


def _found() -> Instances:
    return Instances.from_rotated_boxes(
        BOXES, shape=SHAPE, class_names="rod", scores=np.array([0.6, 0.9, 0.7, 0.8, 0.95]),
        masks=[mask_of_box(box, SHAPE) for box in BOXES],
    )  # fmt: skip


def _measured_alone() -> dict[float, float]:
    """Return the box's length → area of the instance measured alone."""
    areas = {}
    for box in BOXES:
        labels = np.zeros(SHAPE, int)
        mask_of_box(box, SHAPE).paint(labels)
        areas[float(box[2])] = measure_labels(labels, np.zeros(SHAPE), RULES, pixel_size_nm=(0.5, 0.5)).particles.iloc[
            0
        ]
    return areas


def test_each_is_measured_as_if_it_were_alone() -> None:
    image = np.random.default_rng(0).normal(size=SHAPE)
    found = measure_instances(_found(), image, RULES, pixel_size_nm=(0.5, 0.5))
    alone = _measured_alone()
    table = found.particles.particles
    assert len(table) == 5
    assert table["detection_score"].tolist() == [0.6, 0.7, 0.8, 0.9, 0.95]
    for _, row in table.iterrows():
        expected = alone[row["box_length_px"]]
        for column in ("area_px", "area_nm2", "feret_max_px", "orientation_deg", "centroid_x_px", "touches_edge"):
            assert row[column] == pytest.approx(expected[column]), column
        assert row["box_length_nm"] == pytest.approx(row["box_length_px"] / 2)
        assert row["box_aspect_ratio"] == pytest.approx(row["box_length_px"] / row["box_width_px"])
    assert table["exclusion_reason"].isna().tolist() == [True, True, True, True, False]
    assert table["exclusion_reason"].iloc[4] == "edge"


def test_regions_are_connected_pieces_of_the_union() -> None:
    found = measure_instances(_found(), np.zeros(SHAPE), RULES, pixel_size_nm=None)
    regions = found.particles.particles.groupby("region_id")["box_length_px"].apply(sorted).tolist()
    assert sorted(regions) == [[40], [41], [61, 100, 101]]
    assert found.particles.regions["n_particles"].sum() == 5
    union = np.zeros(SHAPE, bool)
    for box in BOXES:
        mask_of_box(box, SHAPE).paint(union)
    assert found.particles.regions["area_px"].sum() == union.sum()


def test_the_surest_lies_on_top_and_the_overlap_is_known() -> None:
    found = measure_instances(_found(), np.zeros(SHAPE), RULES, pixel_size_nm=None)
    masks = {round(m.area_px): m for m in _found().masks or ()}
    table = found.particles.particles.set_index("particle_id")
    assert found.particles.labels[80, 80] == table.index[table["detection_score"] == 0.9][0]
    assert table["overlap_fraction"].loc[[3, 5]].tolist() == [0, 0]
    one = masks[max(masks)]
    shared = np.zeros(SHAPE, int)
    for mask in _found().masks or ():
        shared[mask.window] += mask.crop
    expected = float((shared[one.window][one.crop] > 1).mean())
    assert table["overlap_fraction"].loc[1] == pytest.approx(expected)


def test_layers_and_runs_hold_every_mask_whole() -> None:
    masks = _found().masks or ()
    layers = instance_layers(masks, SHAPE)
    runs = instance_runs(masks)
    assert len(layers) == 3  # three cross in one point
    for number, mask in enumerate(masks, 1):
        whole = np.zeros(SHAPE, bool)
        mask.paint(whole)
        np.testing.assert_array_equal((layers == number).any(axis=0), whole)
        again = np.zeros(SHAPE, bool)
        for row, start, stop in runs.loc[runs["particle_id"] == number, ["row_px", "start_px", "stop_px"]].to_numpy(
            int
        ):
            assert not again[row, start:stop].any()
            again[row, start:stop] = True
        np.testing.assert_array_equal(again, whole)


def test_pixels_that_are_not_square() -> None:
    found = measure_instances(_found(), np.zeros(SHAPE), RULES, pixel_size_nm=(1.0, 0.5))
    row = found.particles.particles.set_index("box_length_px").loc[100]
    assert (row["box_length_nm"], row["box_width_nm"]) == pytest.approx((50, 21))


def test_nothing_found_and_what_cannot_be_measured() -> None:
    none = _found().select(np.zeros(0, int))
    found = measure_instances(none, np.zeros(SHAPE), RULES, pixel_size_nm=None)
    assert len(found.particles.particles) == len(found.particles.regions) == len(found.runs) == 0
    assert not found.particles.labels.any()
    empty = Instances.from_rotated_boxes(BOXES[:1], shape=SHAPE, class_names="rod",
                                         masks=[InstanceMask(np.zeros((0, 0), bool), 0, 0)])  # fmt: skip
    with pytest.raises(ValueError, match="at least one pixel"):
        measure_instances(empty, np.zeros(SHAPE), RULES, pixel_size_nm=None)
