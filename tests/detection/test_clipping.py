"""The part of a box in the image, against shapely's polygons."""

import numpy as np
import shapely
from numpy.testing import assert_allclose

from hrtem_dask.detection.clipping import clip_boxes
from hrtem_dask.detection.rotated_boxes import canonical, corners


def test_the_clipped_box_is_the_smallest_in_its_direction_around_the_part() -> None:
    rng = np.random.default_rng(0)
    boxes = canonical(np.column_stack([rng.uniform(-30, 130, (200, 2)), rng.uniform(3, 90, (200, 2)),
                                       rng.uniform(0, 180, 200)]))  # fmt: skip
    clipped, share = clip_boxes(boxes, (80, 100))
    field = shapely.box(-0.5, -0.5, 99.5, 79.5)
    parts = shapely.intersection(shapely.polygons(corners(boxes)), field)
    assert_allclose(share, shapely.area(parts) / (boxes[:, 2] * boxes[:, 3]), atol=1e-9)
    for before, box, part in zip(boxes, clipped, parts, strict=True):
        if part.area < 1e-6:
            continue
        points = np.asarray(part.exterior.coords)
        angle = np.deg2rad(before[4])
        axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        assert_allclose(sorted(np.ptp(points @ axes, axis=0)), sorted(box[2:4]), atol=1e-6)
        assert shapely.buffer(shapely.Polygon(corners(box)), 1e-6).covers(part)


def test_boxes_inside_stay_and_those_outside_have_no_share() -> None:
    boxes = np.array([[50, 40, 20, 5, 30.0], [300, 40, 20, 5, 30]])
    clipped, share = clip_boxes(boxes, (80, 100))
    assert_allclose(clipped, boxes)
    assert share.tolist() == [1, 0]
    assert clip_boxes(np.zeros((0, 5)), (80, 100))[1].size == 0
