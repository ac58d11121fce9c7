"""The annotated folders of real micrographs, read by the one entry point."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from hrtem_dask.storage.annotations import read_annotations

DATA = Path(os.environ.get("HRTEM_DASK_DATA", Path(__file__).parents[4] / "shared" / "data"))
pytestmark = pytest.mark.skipif(not (DATA / "dislocation_loops").is_dir(), reason="needs the real data")


def test_dislocation_loops_coco() -> None:
    images = read_annotations(DATA / "dislocation_loops" / "coco.json")
    assert len(images) == 8
    assert sum(len(i.instances) for i in images) == 76
    for image in images:
        assert image.image_path is not None
        painted = np.zeros(image.instances.shape, np.uint8)
        for mask in image.instances.masks or ():
            mask.paint(painted)
        given = cv2.imread(str(DATA / "dislocation_loops" / "masks" / image.name), cv2.IMREAD_GRAYSCALE) > 0
        # the masks beside them were drawn from the same polygons, with their outlines
        assert (painted & given).sum() > 0.97 * painted.sum()
        assert (painted & given).sum() > 0.8 * given.sum()


def test_catalyst_boxes_yolo() -> None:
    images = read_annotations(DATA / "catalyst_boxes" / "labels_yolo", class_names=["particle"])
    assert len(images) == 16
    assert sum(len(i.instances) for i in images) == 2262
    for image in images:
        height, width = image.instances.shape
        assert (image.instances.boxes >= -1.5).all()
        assert (image.instances.boxes <= [width + 1, height + 1] * 2).all()
        assert set(image.instances.class_names) == {"particle"}


def test_emps_label_images() -> None:
    images = read_annotations(DATA / "emps_tem" / "labels")
    assert len(images) == 110
    assert sum(len(i.instances) for i in images) == 1625
    assert all(i.image_path is not None and i.image_path.parent.name == "images" for i in images)
