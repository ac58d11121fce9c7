"""A finer scale where sizes are doubtful and outlines hold background, with a segmenter whose masks are known."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from hrtem_dask import analysis
from hrtem_dask.evaluation import compare_objects, count_objects
from hrtem_dask.segmentation import Segmentation, make_segmenter
from hrtem_dask.settings import Settings

SETTINGS = Settings().updated(
    {"execution": {"device": "cpu"}, "defects": {"classify": False}, "filtering": {"find_marks": False}}
)
Y, X = np.mgrid[:260, :260]
RADIUS = 14
SINGLE = [(40, 40), (40, 130), (40, 220), (220, 40), (220, 130)]
GROUPS = [(130, 60), (130, 190), (215, 215)]


def disks(centers: list[tuple[float, float]]) -> np.ndarray:
    return np.any([np.hypot(Y - y, X - x) < RADIUS - 0.5 for y, x in centers], axis=0)


def three_around(center: tuple[float, float]) -> list[tuple[float, float]]:
    turns = np.deg2rad([90, 210, 330])
    reach = (2 * RADIUS + 3) / np.sqrt(3)  # gaps of a few pixels, which cleaning does not close
    return [(float(center[0] + reach * np.sin(turn)), float(center[1] + reach * np.cos(turn))) for turn in turns]


def hull(mask: np.ndarray) -> np.ndarray:
    filled = np.zeros(mask.shape, np.uint8)
    cv2.fillConvexPoly(filled, cv2.convexHull(np.argwhere(mask)[:, ::-1].astype(np.int32)), 1)
    return filled.astype(bool)


PARTICLES = disks(SINGLE + [one for group in GROUPS for one in three_around(group)])
MERGED = disks(SINGLE) | np.any([hull(disks(three_around(group))) for group in GROUPS], axis=0)
"""Three disks that nearly touch have one outline, as at too coarse a scale."""


def widened(mask: np.ndarray) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)).astype(bool)


EQUAL = {1.0: 0.99, 2.0: 0.985, 4.0: 0.985}


class KnownSegmenter:
    """It finds the scale 1; masks and scores of all scales are given."""

    name, model_hash, receptive_field_px, dice_model = "unet", None, None, None

    def __init__(
        self, masks: Mapping[float, np.ndarray], scores: Mapping[float, float] = EQUAL, dice: float = 0.9
    ) -> None:
        self.contrast_dice_model: Any = SimpleNamespace(predict=lambda _terms, _properties: dice)
        self.masks, self.scores, self.asked = masks, scores, [1.0]

    def __call__(self, image: np.ndarray, *, pixel_size_nm: Any) -> Segmentation:  # noqa: ARG002
        return self._at(1.0)

    def at_scale(self, _image: Any, scale: float, _scores: Any, *, pixel_size_nm: Any) -> Segmentation:  # noqa: ARG002
        self.asked.append(scale)
        return self._at(scale)

    def check_pixel_size(self, pixel_size_nm: Any) -> None:
        """Accept every pixel size."""

    def _at(self, scale: float) -> Segmentation:
        mask = self.masks[scale]
        return Segmentation(
            probability=mask.astype(np.float32), mask=mask, regime="contrast", scale=scale,
            scale_score=self.scores.get(scale), scale_scores=self.scores,
            quality_terms={"mask_fraction": float(mask.mean())}, engine="numpy", device="cpu",
        )  # fmt: skip


def analyse(segmenter: KnownSegmenter, particles: np.ndarray = PARTICLES) -> analysis.Analysis:
    noise = np.random.default_rng(5).normal(0, 3, particles.shape)
    image = (np.where(particles, 60, 200) + noise).astype(np.float32)
    return analysis.analyse(image, pixel_size_nm=None, settings=SETTINGS, segmenter=segmenter)


def test_the_coarsest_equal_scale_whose_outlines_fit_is_taken() -> None:
    segmenter = KnownSegmenter({1.0: MERGED, 2.0: PARTICLES, 4.0: PARTICLES})
    found = analyse(segmenter)
    assert segmenter.asked == [1.0, 2.0]
    assert found.micrograph["network_scale"] == 2.0
    assert found.micrograph["n_counted"] == len(SINGLE) + 3 * len(GROUPS)
    assert found.particles["equivalent_diameter_px"].median() == pytest.approx(2 * RADIUS - 1, rel=0.03)


def test_without_a_better_scale_the_doubt_stays() -> None:
    segmenter = KnownSegmenter({1.0: MERGED, 2.0: MERGED, 4.0: MERGED})
    found = analyse(segmenter)
    assert segmenter.asked == [1.0, 2.0, 4.0]
    assert (found.micrograph["network_scale"], found.micrograph["verdict"]) == (1.0, "doubtful")


def test_outlines_that_hold_as_much_background_are_not_taken() -> None:
    wide = widened(disks(SINGLE))
    segmenter = KnownSegmenter({1.0: MERGED, 2.0: wide, 4.0: wide})
    assert analyse(segmenter).micrograph["network_scale"] == 1.0
    assert segmenter.asked == [1.0, 2.0, 4.0]


def test_a_scale_with_a_lower_score_is_not_looked_at() -> None:
    segmenter = KnownSegmenter({1.0: MERGED, 2.0: PARTICLES}, {0.5: 3.0, 1.0: 3.0, 2.0: 2.6})
    assert analyse(segmenter).micrograph["network_scale"] == 1.0
    assert segmenter.asked == [1.0]


def test_sizes_without_a_doubt_stay_as_they_are() -> None:
    segmenter = KnownSegmenter({1.0: widened(disks(SINGLE))})
    assert analyse(segmenter, disks(SINGLE)).micrograph["network_scale"] == 1.0
    assert segmenter.asked == [1.0]


def test_a_low_predicted_dice_stays_a_doubt() -> None:
    segmenter = KnownSegmenter({1.0: MERGED, 2.0: PARTICLES}, {1.0: 3.0, 2.0: 2.8}, dice=0.7)
    found = analyse(segmenter)
    assert (found.micrograph["network_scale"], found.micrograph["verdict"]) == (2.0, "doubtful")


def real_analysis(path: Path, pixel_size_nm: float | None) -> analysis.Analysis:
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert image is not None
    settings = SETTINGS.updated({"filtering": {"find_marks": True}})
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    size = None if pixel_size_nm is None else (pixel_size_nm, pixel_size_nm)
    return analysis.analyse(image, pixel_size_nm=size, settings=settings, segmenter=segmenter)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pixel_size_nm", "counted", "nominal_nm", "within", "verdict"),
    [("AuNP80nm_004", 2.03666, 40, 80, 0.08, "doubtful"), ("AuNP20nm_004", 0.20367, 25, 20, 0.05, "trusted")],
)
def test_gold_spheres_have_nearly_their_nominal_size(
    data: Path, name: str, pixel_size_nm: float, counted: int, nominal_nm: float, within: float, verdict: str
) -> None:
    found = real_analysis(data / "gold_scalebar" / "images" / f"{name}.jpg", pixel_size_nm)
    sizes = found.particles.loc[found.particles["counted"], "equivalent_diameter_nm"]
    assert len(sizes) >= counted  # of 80 nm: 41 to 46 at every scale from 0.35 to 2, with medians of 86 to 88 nm
    assert sizes.median() == pytest.approx(nominal_nm, rel=within)
    assert found.micrograph["verdict"] == verdict


@pytest.mark.slow
def test_close_packed_spheres_of_a_real_raft_are_told_apart(data: Path) -> None:
    found = real_analysis(data / "emps_tem" / "images" / "d5e8abb61d.png", None)
    sizes = found.particles.loc[found.particles["counted"], "equivalent_diameter_px"]
    assert (
        67 <= len(sizes) <= 71
    )  # of 69; one outline around all of them by the predicted Dice coefficient of each scale
    assert sizes.median() == pytest.approx(69.1, rel=0.05)
    truth = cv2.imread(str(data / "emps_tem" / "labels" / "d5e8abb61d.png"), cv2.IMREAD_UNCHANGED)
    counts = count_objects(*compare_objects(found.labels, truth.astype(np.int32), min_area_px=100))
    assert counts["n_matched_iou50"] >= 66  # so its sizes are right, and it need not be doubtful any more
    assert found.micrograph["verdict"] == "trusted"
