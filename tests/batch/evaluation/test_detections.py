"""Evaluation of detectors: from annotations and micrographs to scores, by a run or of given results."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner

from hrtem_dask.batch.evaluation.detections import DetectionOptions, evaluate_detections
from hrtem_dask.cli import main
from hrtem_dask.detection.detector import make_detector
from hrtem_dask.errors import NothingToAnalyseError, SettingsError
from hrtem_dask.evaluation.detection import pair_detections, precision_table, summarize_pairs
from hrtem_dask.settings import Settings
from hrtem_dask.simulation.scenes import DetectionScene, RodRanges, simulate_rod_scene
from hrtem_dask.storage.annotations import AnnotatedImage, write_annotations
from hrtem_dask.storage.annotations.found_instances import found_instances
from hrtem_dask.storage.results import open_results

RANGES = RodRanges(
    size_px=192, imaging={"haadf": 1.0}, contrast_to_noise=(8.0, 20.0), end_on_fraction=0.0, empty_fraction=0.0,
    annotated_fraction=0.0, length_px=(25.0, 80.0), neighbor_fraction=0.0,
)  # fmt: skip
SETTINGS = Settings().updated(
    {
        "loading": {"pixels": True, "duplicates": "keep"},
        "filtering": {"find_marks": False, "flatten": False, "spike_threshold_sd": 0.0},
        "quality": {"no_micrographs": "flag"},
        "detection": {"scale": 1.0},
        "particles": {"min_area_px": 30, "min_area_nm2": 0.0},
        "defects": {"classify": False},
        "execution": {"device": "cpu", "overlays": "none"},
    }
)


@pytest.fixture(scope="module")
def scenes() -> list[DetectionScene]:
    return [simulate_rod_scene(RANGES, seed=910, index=i) for i in range(2)]


@pytest.fixture(scope="module")
def annotated(tmp_path_factory: pytest.TempPathFactory, scenes: list[DetectionScene]) -> Path:
    """Two micrographs with COCO annotations."""
    folder = tmp_path_factory.mktemp("data")
    images = []
    for number, scene in enumerate(scenes):
        path = folder / f"scene_{number}.tif"
        tifffile.imwrite(path, scene.image)
        images.append(AnnotatedImage(name=path.name, instances=scene.instances, image_path=path))
    write_annotations(folder / "truth.json", images, format="coco")
    return folder


def test_a_run_is_scored_as_the_detector_itself(tmp_path: Path, annotated: Path, scenes: list[DetectionScene]) -> None:
    found = evaluate_detections(
        annotated / "truth.json",
        methods=["rotated_rcnn"],
        out=tmp_path / "scores",
        settings=SETTINGS,
        cluster="threads",
    )
    file = SETTINGS.updated({"segmentation": {"method": "rotated_rcnn"}}).segmentation.model_file
    assert file is not None
    detector = make_detector(file, "rotated_rcnn")
    direct = [detector(scene.image, min_score=0.05) for scene in scenes]
    truth = [scene.instances for scene in scenes]
    expected = precision_table(truth, direct, kind="rotated_boxes", class_names=["rod"]).iloc[0]
    scored = found.classes.set_index("class_name").loc["rod"]
    assert scored["n_true"] == expected["n_true"] > 5
    assert scored["ap50"] == pytest.approx(expected["ap50"], abs=0.02)
    assert scored["ap50"] > 0.5
    pairs = summarize_pairs(pair_detections(truth, direct, min_score=0.3, class_names=["rod"]), n_images=2)
    assert scored["n_matched"] == pairs.iloc[-1]["n_matched"]
    assert scored["length_bias"] == pytest.approx(pairs.iloc[-1]["length_bias"], abs=0.01)
    assert set(found.pairs["micrograph"]) == {"scene_0.tif", "scene_1.tif"}
    assert found.counts["n_true"].sum() == expected["n_true"]
    stored = json.loads((tmp_path / "scores" / "detections.json").read_text())
    assert stored["scores"][0]["ap50"] == scored["ap50"]
    assert not stored["is_simulated"]
    # the same results once more, by the command line and without running
    again = CliRunner().invoke(
        main,
        ["evaluate", str(annotated / "truth.json"), "--results", str(tmp_path / "scores" / "rotated_rcnn"),
         "--out", str(tmp_path / "again"), "--cluster", "threads"],
    )  # fmt: skip
    assert again.exit_code == 0, again.output
    table = pd.read_csv(tmp_path / "again" / "detection_classes.csv").set_index("class_name")
    assert table.loc["rod", "ap50"] == pytest.approx(scored["ap50"])
    assert "no instance with a score below 0.05" in again.output
    # boxes and masks are those of the detector
    instances = found_instances(open_results(tmp_path / "scores" / "rotated_rcnn"))
    one = next(v for k, v in instances.items() if k.startswith("scene_0"))
    order = np.argsort(-one.scores)[:5]
    np.testing.assert_allclose(one.rotated_boxes[order], direct[0].rotated_boxes[:5], atol=0.5)
    assert one.masks is not None
    for k in order:
        assert one.masks[k].area_px == pytest.approx(np.prod(one.rotated_boxes[k, 2:4]), rel=0.2)


def test_classes_with_other_names_are_compared_only_on_request(
    tmp_path: Path, annotated: Path, scenes: list[DetectionScene]
) -> None:
    for number, scene in enumerate(scenes):
        tifffile.imwrite(tmp_path / f"scene_{number}.tif", scene.image)
    images = [
        AnnotatedImage(name=f"scene_{i}.tif", instances=s.instances, image_path=tmp_path / f"scene_{i}.tif")
        for i, s in enumerate(scenes)
    ]
    for one in images:
        write_annotations(tmp_path, one, format="yolo_obb", class_names=["rod", "end_on_rod"])
    truth = tmp_path
    (truth / "classes.txt").unlink(missing_ok=True)
    named = DetectionOptions(class_names=["needle", "dot"])
    arguments = {"out": tmp_path / "scores", "settings": SETTINGS, "cluster": "threads"}
    with pytest.raises(SettingsError, match=r"needle.*--any-class"):
        evaluate_detections(truth, options=named, **arguments)  # type: ignore[arg-type]
    found = evaluate_detections(
        truth,
        options=DetectionOptions(class_names=["needle", "dot"], any_class=True, kind="boxes"),
        **arguments,  # type: ignore[arg-type]
    )
    assert found.classes["class_name"].tolist() == ["any", "all"]
    assert found.classes["f1"].min() > 0.4


def test_what_cannot_be_scored_is_refused(tmp_path: Path, annotated: Path) -> None:
    with pytest.raises(SettingsError, match=r"'otsu' is no detector"):
        evaluate_detections(annotated, methods=["otsu"], out=tmp_path)
    with pytest.raises(SettingsError, match="one of rotated_boxes, boxes, masks"):
        evaluate_detections(annotated, options=DetectionOptions(kind="pixels"), out=tmp_path)
    (tmp_path / "lonely.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    content = json.loads((annotated / "truth.json").read_text())
    (tmp_path / "elsewhere.json").write_text(json.dumps(content))
    with pytest.raises(NothingToAnalyseError, match="put images beside their annotations"):
        evaluate_detections(tmp_path / "elsewhere.json", out=tmp_path)
