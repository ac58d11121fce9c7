"""Annotated micrographs: images and instances of any format, and what does not fit together is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile

from hrtem_dask.errors import NothingToAnalyseError
from hrtem_dask.training.detection.annotated import read_annotated

LINE = "0 100.5 50.5 40 10 0.5236\n"


def test_an_image_with_its_rotated_boxes(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 60000, (128, 256)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", image)
    (tmp_path / "a.txt").write_text(LINE)
    [sample] = read_annotated([tmp_path / "a.txt"], class_names=["rod"])
    assert sample.image.shape == (128, 256)
    assert sample.image.std() == pytest.approx(1, abs=1e-3)
    assert sample.instances.class_names.tolist() == ["rod"]
    np.testing.assert_allclose(sample.instances.rotated_boxes[0, :4], [100, 50, 40, 10])


def test_an_image_of_another_size_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((64, 64), dtype=np.uint16))
    content = {
        "images": [{"id": 1, "file_name": "a.tif", "width": 256, "height": 128}],
        "categories": [{"id": 1, "name": "rod"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 10, 40, 20]}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(NothingToAnalyseError, match="64 × 64 px, its annotations are for 128 × 256 px"):
        read_annotated([tmp_path / "a.json"])
