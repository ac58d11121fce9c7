"""Detectors in the place of segmenters: from the image to the particle table."""

import sys

import numpy as np
import pytest

from hrtem_dask.analysis import analyse
from hrtem_dask.analysis.segmenters import DetectorSegmenter, make_segmenter
from hrtem_dask.detection import Instances
from hrtem_dask.detection.instance_masks import mask_of_box
from hrtem_dask.errors import ModelError, SettingsError
from hrtem_dask.segmentation import Segmenter
from hrtem_dask.segmentation import make_segmenter as make_mask_segmenter
from hrtem_dask.settings import Settings

BOXES = np.array([[80, 80, 100, 21, 10.0], [80, 80, 101, 15, -60]])
SETTINGS = Settings().updated(
    {"segmentation": {"method": "rotated_rcnn"}, "defects": {"classify": False}, "execution": {"device": "cpu"}}
)


class _Known:
    """A detector that finds two crossing rods in any image."""

    model_hash = "0123456789abcdef"
    device = "cpu"
    engine = "torch"
    scale = None

    def at_found_scale(self, image: np.ndarray, **_: float) -> tuple[Instances, float]:
        return self(image), 0.5

    def __call__(self, image: np.ndarray, *, scale: float = 0.5, **_: float) -> Instances:
        self.scale = scale
        shape = (image.shape[0], image.shape[1])
        masks = [mask_of_box(box, shape) for box in BOXES]
        return Instances.from_rotated_boxes(
            BOXES, shape=shape, class_names="rod", scores=np.array([0.7, 0.9]), masks=masks
        )


def test_crossing_rods_are_two_rows_with_their_own_masks() -> None:
    segmenter = DetectorSegmenter(_Known(), SETTINGS)  # type: ignore[arg-type]
    assert isinstance(segmenter, Segmenter)
    image = np.random.default_rng(0).normal(100, 5, (160, 160))
    found = analyse(image, pixel_size_nm=(2.0, 2.0), settings=SETTINGS, segmenter=segmenter)
    assert found.status == "done"
    assert found.particles["box_angle_deg"].tolist() == [10, -60]
    assert found.particles["box_length_nm"].tolist() == [200, 202]
    areas = (found.instance_runs["stop_px"] - found.instance_runs["start_px"]).groupby(
        found.instance_runs["particle_id"]
    )
    assert areas.sum().tolist() == found.particles["area_px"].tolist()
    assert found.particles["area_px"].sum() > (found.labels > 0).sum()
    assert found.micrograph["n_counted"] == 2


def test_the_scale_is_found_or_stated() -> None:
    image = np.random.default_rng(0).normal(100, 5, (160, 160))
    for stated, expected in ((None, 0.5), (0.25, 0.25)):
        settings = SETTINGS.updated({"detection": {"scale": stated}}) if stated else SETTINGS
        known = _Known()
        segmenter = DetectorSegmenter(known, settings)  # type: ignore[arg-type]
        found = analyse(image, pixel_size_nm=(2.0, 2.0), settings=settings, segmenter=segmenter)
        assert (known.scale, found.micrograph["network_scale"]) == (expected, expected)
        assert found.micrograph["network_scale_score"] is None
        diameters = found.particles["equivalent_diameter_px"]
        assert found.micrograph["median_diameter_network_px"] == pytest.approx(diameters.median() * expected)
    with pytest.raises(SettingsError, match=r"detection.scale must be from .* got 100"):
        SETTINGS.updated({"detection": {"scale": 100.0}})


def test_labels_corrected_by_hand_replace_instances() -> None:
    corrected = np.zeros((160, 160), dtype=np.int32)
    corrected[20:60, 20:80] = 1
    image = np.random.default_rng(0).normal(100, 5, (160, 160))
    found = analyse(
        image,
        pixel_size_nm=(2.0, 2.0),
        settings=SETTINGS,
        segmenter=DetectorSegmenter(_Known(), SETTINGS),  # type: ignore[arg-type]
        corrected=corrected,
    )
    assert found.particles["area_px"].tolist() == [2400]
    assert found.particles["detection_score"].isna().all()
    assert len(found.instance_runs) == 0


def test_settings_of_detectors_do_not_change_the_hashes_of_other_runs() -> None:
    other = {"detection": {"min_score": 0.7}}
    assert Settings().updated(other).science_hash() == Settings().science_hash()
    assert SETTINGS.updated(other).science_hash() != SETTINGS.science_hash()


def test_without_torchvision_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hrtem_dask.detection.detector", None)
    with pytest.raises(ModelError, match="pip install torchvision"):
        make_segmenter(SETTINGS)


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(ModelError, match="hrtem-dask train detection"):
        make_segmenter(SETTINGS.updated({"segmentation": {"model": "nowhere.safetensors"}}))
    with pytest.raises(SettingsError, match="finds instances"):
        make_mask_segmenter(SETTINGS.segmentation, SETTINGS.execution)


def test_what_the_bundled_detector_finds_is_doubtful() -> None:
    """A model of one's own has no verdict, and labels drawn by hand are trusted."""
    image = np.random.default_rng(0).normal(100, 5, (160, 160))
    corrected = np.zeros((160, 160), dtype=np.int32)
    corrected[20:60, 20:80] = 1
    own = SETTINGS.updated({"segmentation": {"model": "mine.safetensors"}})
    verdicts = [
        analyse(
            image,
            pixel_size_nm=(2.0, 2.0),
            settings=settings,
            segmenter=DetectorSegmenter(_Known(), settings),  # type: ignore[arg-type]
            corrected=labels,
        ).micrograph["verdict"]
        for settings, labels in ((SETTINGS, None), (own, None), (SETTINGS, corrected))
    ]
    assert verdicts == ["doubtful", None, "trusted"]
