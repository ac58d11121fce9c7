"""A finer scale where outlines hold many particles, with a segmenter whose masks are known."""

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from hrtem_dask import analysis
from hrtem_dask.segmentation import Segmentation, make_segmenter
from hrtem_dask.settings import Settings

SETTINGS = Settings().updated(
    {"execution": {"device": "cpu"}, "defects": {"classify": False}, "filtering": {"find_marks": False}}
)
Y, X = np.mgrid[:240, :240]
RAFT = np.hypot(Y - 120, X - 120) < 90
DISKS = RAFT & (np.hypot((Y % 30) - 15, (X % 30) - 15) < 12)
PAIRS = DISKS | (RAFT & (np.abs((Y % 30) - 15) < 5))
"""Rows of disks that are joined."""
SCORES = {0.5: 0.95, 1.0: 0.9, 2.0: 0.9, 4.0: 0.9}


class RaftSegmenter:
    """It finds the scale 0.5; masks and predicted Dice coefficients of all scales are given."""

    name, model_hash, receptive_field_px, dice_model = "unet", None, None, None

    def __init__(self, masks: Mapping[float, np.ndarray], dice: Mapping[float, float]) -> None:
        self.contrast_dice_model: Any = SimpleNamespace(predict=lambda terms, _: dice[terms["scale"]])
        self.masks, self.asked = masks, [0.5]
        self.scores: Mapping[float, float] = SCORES

    def __call__(self, image: np.ndarray, *, pixel_size_nm: Any) -> Segmentation:  # noqa: ARG002
        return self._at(0.5)

    def at_scale(self, _image: Any, scale: float, _scores: Any, *, pixel_size_nm: Any) -> Segmentation:  # noqa: ARG002
        self.asked.append(scale)
        return self._at(scale)

    def check_pixel_size(self, pixel_size_nm: Any) -> None:
        """Accept every pixel size."""

    def _at(self, scale: float) -> Segmentation:
        mask = self.masks[scale]
        return Segmentation(
            probability=mask.astype(np.float32), mask=mask, regime="contrast", scale=scale, scale_scores=self.scores,
            quality_terms={"mask_fraction": float(mask.mean()), "scale": scale}, engine="numpy", device="cpu",
        )  # fmt: skip


def micrograph(particles: np.ndarray) -> np.ndarray:
    """Dark particles on a bright support, with noise."""
    rng = np.random.default_rng(5)
    return (np.where(particles, 60, 200) + rng.normal(0, 3, particles.shape)).astype(np.float32)


def analyse(segmenter: RaftSegmenter, image: np.ndarray) -> analysis.Analysis:
    return analysis.analyse(image, pixel_size_nm=None, settings=SETTINGS, segmenter=segmenter)


def test_the_coarsest_scale_that_separates_the_particles_is_taken() -> None:
    segmenter = RaftSegmenter({0.5: RAFT, 1.0: RAFT, 2.0: DISKS, 4.0: DISKS}, dict.fromkeys(SCORES, 0.9))
    found = analyse(segmenter, micrograph(DISKS))
    assert segmenter.asked == [0.5, 1.0, 2.0]
    assert (found.micrograph["network_scale"], found.micrograph["fused_area_fraction"]) == (2.0, 0.0)
    assert found.micrograph["verdict"] == "trusted"
    assert len(found.particles) == cv2.connectedComponents(DISKS.astype(np.uint8))[0] - 1


def test_a_mask_that_is_clearly_worse_is_not_taken() -> None:
    segmenter = RaftSegmenter({0.5: RAFT, 1.0: DISKS, 2.0: DISKS, 4.0: RAFT}, {0.5: 0.9, 1.0: 0.75, 2.0: 0.7, 4.0: 0.9})
    found = analyse(segmenter, micrograph(DISKS))
    assert segmenter.asked == [0.5, 1.0, 2.0, 4.0]
    assert (found.micrograph["network_scale"], found.micrograph["fused_area_fraction"]) == (0.5, 1.0)
    assert found.micrograph["verdict"] == "doubtful"


def test_one_large_particle_is_seen_once() -> None:
    segmenter = RaftSegmenter({0.5: RAFT}, {0.5: 0.9})
    found = analyse(segmenter, micrograph(RAFT))
    assert segmenter.asked == [0.5]
    assert len(found.particles) == 1


def test_a_stated_scale_stays() -> None:
    segmenter = RaftSegmenter({0.5: RAFT}, {0.5: 0.9})
    segmenter.scores = {}
    assert analyse(segmenter, micrograph(DISKS)).micrograph["network_scale"] == 0.5
    assert segmenter.asked == [0.5]


def test_outlines_that_are_split_anyway_need_no_finer_scale() -> None:
    segmenter = RaftSegmenter({0.5: PAIRS}, {0.5: 0.9})
    found = analyse(segmenter, micrograph(DISKS))
    assert len(found.particles) > 20
    assert segmenter.asked == [0.5]


@pytest.mark.slow
def test_spheres_of_a_real_raft_have_outlines_of_their_own(data: Path) -> None:
    image = cv2.imread(str(data / "emps_tem" / "images" / "8136144eaf.png"), cv2.IMREAD_GRAYSCALE)
    settings = SETTINGS.updated({"filtering": {"find_marks": True}})
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    found = analysis.analyse(image, pixel_size_nm=None, settings=settings, segmenter=segmenter)
    assert found.micrograph["n_counted"] == 10  # one at the scale with the highest score
    assert found.micrograph["verdict"] == "trusted"
