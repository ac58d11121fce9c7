"""A detector on micrographs of any size: every instance has a mask, and the same file is read once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from hrtem_dask.detection.detector import make_detector
from hrtem_dask.detection.model_file import DetectorConfig, DetectorKind, load_detector, make_network, save_detector
from hrtem_dask.detection.network_input import standardize
from hrtem_dask.detection.rescaling import rescale_image
from hrtem_dask.detection.scale_search import Detect, ScaleSearch
from hrtem_dask.errors import ModelError


def _save(path: Path, kind: DetectorKind) -> None:
    torch.manual_seed(0)
    config = DetectorConfig(kind=kind, class_names=("rod", "cube"), channels=16)
    save_detector(make_network(config), config, path, metadata={"license": "none"})


@pytest.mark.parametrize("kind", ["rotated_rcnn", "mask_rcnn"])
def test_a_large_micrograph_is_looked_at_in_tiles(tmp_path: Path, kind: DetectorKind) -> None:
    _save(tmp_path / "any.safetensors", kind)
    detector = make_detector(tmp_path / "any.safetensors", kind)
    assert make_detector(tmp_path / "any.safetensors", kind) is detector
    image = np.random.default_rng(0).integers(0, 255, (150, 201)).astype(np.uint8)
    found = detector(image, min_score=0.02, tile_px=96, overlap_px=32)
    assert found.shape == (150, 201)
    assert found.masks is not None
    assert len(found) > 0
    for mask in found.masks:
        assert mask.area_px > 0
        rows, columns = mask.window
        assert 0 <= rows.start < rows.stop <= 150
        assert 0 <= columns.start < columns.stop <= 201


@pytest.mark.parametrize("kind", ["rotated_rcnn", "mask_rcnn"])
@pytest.mark.parametrize("whole_scale", [0.5, None])
def test_at_the_scale_that_was_found(
    tmp_path: Path, kind: DetectorKind, whole_scale: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the search has seen already is not computed again, and is the same."""
    _save(tmp_path / "any.safetensors", kind)
    detector = make_detector(tmp_path / "any.safetensors", kind)

    def search(image: np.ndarray, detect: Detect) -> ScaleSearch:
        whole = None if whole_scale is None else detect(standardize(rescale_image(image, whole_scale)))
        return ScaleSearch(scale=0.5, whole=whole)

    monkeypatch.setattr("hrtem_dask.detection.detector.search_scale", search)
    image = np.random.default_rng(0).integers(0, 255, (190, 201)).astype(np.uint8)
    found, scale = detector.at_found_scale(image, min_score=0.02)
    again = detector(image, min_score=0.02, scale=0.5)
    assert scale == 0.5
    assert len(found) > 0
    np.testing.assert_array_equal(found.rotated_boxes, again.rotated_boxes)
    assert found.shape == (190, 201)
    assert [m.area_px for m in found.masks or ()] == [m.area_px for m in again.masks or ()]


@pytest.mark.parametrize("kind", ["rotated_rcnn", "mask_rcnn"])
def test_half_precision_changes_little(tmp_path: Path, kind: DetectorKind) -> None:
    _save(tmp_path / "any.safetensors", kind)
    torch.manual_seed(0)
    original = make_network(DetectorConfig(kind=kind, class_names=("rod", "cube"), channels=16)).eval()
    again, config = load_detector(tmp_path / "any.safetensors")
    assert config.kind == kind
    image = torch.randn(1, 1, 64, 64)
    with torch.no_grad():
        for key, level in original.pyramid(image).items():
            torch.testing.assert_close(again.pyramid(image)[key], level, atol=0.05, rtol=0.05)


def test_engines_agree(tmp_path: Path) -> None:
    _save(tmp_path / "any.safetensors", "rotated_rcnn")
    image = np.random.default_rng(0).integers(0, 255, (100, 90)).astype(np.uint8)
    fast, slow = (make_detector(tmp_path / "any.safetensors", "rotated_rcnn", engine=e) for e in ("openvino", "torch"))
    assert (fast.engine, slow.engine) == ("openvino", "torch")
    found, same = fast(image, min_score=0.02), slow(image, min_score=0.02)
    assert len(same) > 0
    np.testing.assert_allclose(found.scores, same.scores, atol=1e-4)


def test_openvino_is_not_told_every_backbone(tmp_path: Path) -> None:
    config = DetectorConfig(kind="rotated_rcnn", class_names=("rod",), channels=16, backbone="mobilenet_v2")
    save_detector(make_network(config), config, tmp_path / "any.safetensors")
    assert make_detector(tmp_path / "any.safetensors", "rotated_rcnn").engine == "torch"
    with pytest.raises(ModelError, match="layers of mobilenet_v2"):
        make_detector(tmp_path / "any.safetensors", "rotated_rcnn", engine="openvino")


def test_numbers_beyond_half_precision_are_kept(tmp_path: Path) -> None:
    config = DetectorConfig(kind="rotated_rcnn", class_names=("rod",), channels=16)
    model = make_network(config)
    name = "pyramid.trunk._bn0.running_var"
    model.state_dict()[name].fill_(123456.789)
    save_detector(model, config, tmp_path / "any.safetensors")
    assert load_detector(tmp_path / "any.safetensors")[0].state_dict()[name][0] == np.float32(123456.789)


def test_impossible_configurations_are_refused() -> None:
    with pytest.raises(ModelError, match="different classes"):
        DetectorConfig(kind="rotated_rcnn", class_names=("rod", "rod"))
    with pytest.raises(ModelError, match="no detector"):
        DetectorConfig(kind="yolo", class_names=("rod",))  # type: ignore[arg-type]
