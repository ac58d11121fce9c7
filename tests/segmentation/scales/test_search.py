"""The scale is found from the image: the same field at any magnification is seen at the same scale."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from hrtem_dask.evaluation import dice
from hrtem_dask.filtering import prepare
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.segmentation.scales.search import choose_scale
from hrtem_dask.settings import ExecutionSettings, Regime, SegmentationSettings


def disks(side: int, diameter: float, *, seed: int = 0) -> np.ndarray:
    """Return a field of dark disks, scaled to [0, 1]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    image = np.full((side, side), 0.8, np.float32)
    for _ in range(12):
        cy, cx = rng.uniform(0, side, 2)
        image[(y - cy) ** 2 + (x - cx) ** 2 < diameter**2 / 4] = 0.3
    return np.clip(image + rng.normal(0, 0.02, image.shape), 0, 1).astype(np.float32)


def tuned_to(diameter: float) -> Callable[[np.ndarray], np.ndarray]:
    """Return a stand-in for a network that is the surer of dark spots, the nearer they are to a diameter (px)."""

    def network(images: np.ndarray) -> np.ndarray:
        logits = []
        for image in images:
            dark = ndimage.gaussian_filter(image, 1) < -0.7
            labels, n = ndimage.label(dark)
            areas = np.bincount(labels.ravel())[1:]
            size = np.sqrt(4 * np.median(areas[areas > 20]) / np.pi) if n and (areas > 20).any() else 1.0
            logits.append(np.where(dark, 1, -1) * 6 * np.exp(-(np.log2(size / diameter) ** 2)))
        return np.stack(logits).astype(np.float32)

    return network


@pytest.mark.parametrize("diameter", [10.0, 20.0, 40.0, 80.0])
def test_a_network_is_shown_particles_at_its_own_size(diameter: float) -> None:
    image = disks(512, diameter)
    choice = choose_scale(
        image,
        tuned_to(40.0),
        scaling="standard",
        threshold=0.5,
    )
    assert choice.score is not None
    assert abs(np.log2(choice.scale * diameter / 40.0)) <= 1


def test_a_field_without_particles_has_no_score() -> None:
    def sees_nothing(images: np.ndarray) -> np.ndarray:
        return np.full(images.shape, -9.0, np.float32)

    choice = choose_scale(disks(200, 20), sees_nothing, scaling="standard", threshold=0.5)
    assert (choice.scale, choice.score, choice.margin) == (1.0, None, None)


def test_particles_of_an_agglomerate_are_not_too_small_because_it_is_large() -> None:
    """A raft of touching disks is one piece, so that its own size says nothing about them."""

    def equally_sure(images: np.ndarray) -> np.ndarray:
        return np.stack([np.where(ndimage.gaussian_filter(image, 1) < -0.7, 6.0, -6.0) for image in images])

    y, x = np.mgrid[:512, :512]
    for diameter in (20, 40):
        image = np.full((512, 512), 0.8, np.float32)
        for row in range(3):
            for column in range(4):
                at = 200 + row * diameter, 160 + column * diameter
                image[(y - at[0]) ** 2 + (x - at[1]) ** 2 < diameter**2 / 4] = 0.3
        image += np.random.default_rng(0).normal(0, 0.02, image.shape).astype(np.float32)
        choice = choose_scale(image, equally_sure, scaling="standard", threshold=0.5)
        assert choice.scale * diameter >= 12, diameter


def test_a_network_that_is_sure_at_every_scale_sees_no_particle_too_small() -> None:
    def equally_sure(images: np.ndarray) -> np.ndarray:
        return np.stack([np.where(ndimage.gaussian_filter(image, 1) < -0.7, 6.0, -6.0) for image in images])

    for diameter in (15.0, 60.0, 120.0):
        choice = choose_scale(disks(512, diameter), equally_sure, scaling="standard", threshold=0.5)
        assert choice.scale * diameter >= 15, diameter  # some disks overlap, so that their pieces are larger


def test_outlines_on_edges_are_preferred_to_equally_sure_ones_beside_them() -> None:
    """The network is as sure at every scale, but outlines its disks too widely where they look large."""

    def wider_where_large(images: np.ndarray) -> np.ndarray:
        logits = []
        for image in images:
            dark = ndimage.gaussian_filter(image, 1) < -0.7
            areas = np.bincount(ndimage.label(dark)[0].ravel())[1:]
            size = np.sqrt(4 * np.median(areas[areas > 20]) / np.pi) if (areas > 20).any() else 1.0
            wide = ndimage.binary_dilation(dark, iterations=int(size // 4)) if size > 30 else dark
            logits.append(np.where(wide, 6.0, -6.0))
        return np.stack(logits)

    choice = choose_scale(disks(512, 40.0), wider_where_large, scaling="standard", threshold=0.5)
    assert choice.scale * 40 <= 32


def test_a_part_of_a_large_micrograph_is_compared_at_every_scale() -> None:
    """Windows of all scales overlap with the part whose gray values are looked at, wherever the particles are."""
    image = np.full((2600, 2600), 0.8, np.float32)
    image[2100:, 2100:] = disks(500, 40.0)
    choice = choose_scale(image, tuned_to(40.0), scaling="standard", threshold=0.5)
    assert len(choice.scores) > 3
    assert abs(np.log2(choice.scale)) <= 1


@pytest.mark.parametrize("zoom", [0.5, 2.0])
def test_the_mask_does_not_depend_on_the_magnification(zoom: float) -> None:
    """Without a pixel size, a field and its enlarged copy give the same mask."""
    segmenter = make_segmenter(SegmentationSettings(), ExecutionSettings(device="cpu"))
    image = disks(384, 40)
    side = round(384 * zoom)
    copy = resample(image, (side, side), method="bicubic").clip(0, 1)
    masks = [segmenter(prepare(one)[0], pixel_size_nm=None).mask for one in (image, copy)]
    same = resample(masks[1].astype(np.float32), (384, 384), method="bilinear") >= 0.5
    assert masks[0].mean() > 0.05
    assert 2 * (same & masks[0]).sum() / (same.sum() + masks[0].sum()) > 0.93


def test_real_particles_of_unknown_scale_are_found(data: Path) -> None:
    """Bright-field panels of `emps_tem`, which state no pixel size, against the same network without the search."""

    scores: dict[Regime, list[float]] = {"auto": [], "lattice": []}
    for path in sorted((data / "emps_tem" / "images").iterdir())[::10]:
        image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        truth = cv2.imread(str(data / "emps_tem" / "labels" / path.name), cv2.IMREAD_UNCHANGED) > 0
        for regime, found in scores.items():
            segmenter = make_segmenter(SegmentationSettings(regime=regime), ExecutionSettings(device="cpu"))
            mask = segmenter(prepare(image)[0], pixel_size_nm=None).mask
            found.append(dice(mask, truth))
    assert np.mean(scores["auto"]) > np.mean(scores["lattice"]) + 0.02
