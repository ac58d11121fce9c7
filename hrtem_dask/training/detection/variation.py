"""Random views of annotated micrographs: turned, scaled, cropped, and with other gray values and noise."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from hrtem_dask.detection.clipping import clip_boxes
from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.network_input import standardize
from hrtem_dask.detection.rotated_boxes import canonical
from hrtem_dask.training.detection.recipes import DetectionRecipe, Variation
from hrtem_dask.training.detection.samples import Sample, SampleSource, SimulatedSamples

__all__ = ["AnnotatedSamples", "random_view", "training_source"]

LEAST_SHARE = 0.25
"""Instances of which a smaller share is in the crop need not be found there."""
LEAST_WIDTH_PX = 1.5
"""Narrower ones, after scaling or cutting, are left out."""


class AnnotatedSamples:
    """Random views of annotated micrographs.

    Parameters
    ----------
    samples : sequence of Sample
        Whole micrographs, at least one.
    size_px : int
        Side of the views (px).
    variation : Variation
        How they vary.
    seed : int
        Seed of the views.
    """

    def __init__(self, samples: Sequence[Sample], size_px: int, variation: Variation, seed: int) -> None:
        self.samples, self.size_px, self.variation, self.seed = samples, size_px, variation, seed

    def __call__(self, index: int) -> Sample:
        """Return one view.

        Parameters
        ----------
        index : int
            Its number.

        Returns
        -------
        Sample
            Image and what is true of it.
        """
        rng = np.random.default_rng([self.seed, index])
        sample = self.samples[int(rng.integers(len(self.samples)))]
        return random_view(sample, self.size_px, self.variation, rng)


def training_source(recipe: DetectionRecipe, annotated: Sequence[Sample], seed: int) -> SampleSource:
    """Return where the training images come from.

    Parameters
    ----------
    recipe : DetectionRecipe
        Its scenes, sizes and share of simulated images.
    annotated : sequence of Sample
        Annotated micrographs; without any, all images are simulated.
    seed : int
        Seed of scenes and views.

    Returns
    -------
    SampleSource
        Image by number.
    """
    simulated = SimulatedSamples(recipe.scenes, recipe.crop_px, seed)
    if not annotated:
        return simulated
    views = AnnotatedSamples(annotated, recipe.crop_px, recipe.variation, seed)

    def mixed(index: int) -> Sample:
        is_simulated = np.random.default_rng([seed, index, 1]).random() < recipe.simulated_share
        return simulated(index) if is_simulated else views(index)

    return mixed


def random_view(sample: Sample, size_px: int, variation: Variation, rng: np.random.Generator) -> Sample:
    """Return a random view of a micrograph.

    Parameters
    ----------
    sample : Sample
        The whole micrograph.
    size_px : int
        Side of the view (px).
    variation : Variation
        How it varies.
    rng : numpy.random.Generator
        What decides.

    Returns
    -------
    Sample
        The view.
    """
    height, width = sample.image.shape
    scale = float(np.exp(rng.uniform(-1, 1) * np.log(variation.scale)))
    angle = float(rng.uniform(0, 360)) if variation.turns else 0.0
    is_mirrored = bool(variation.turns and rng.random() < 0.5)
    # the middle of the view is in the micrograph, and so far from its border as the view allows
    half = min(size_px / 2 / scale, height / 2, width / 2)
    middle = np.array([rng.uniform(half, width - half), rng.uniform(half, height - half)]) - 0.5
    turn = np.deg2rad(angle)
    linear = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    if is_mirrored:
        linear = linear @ np.diag([-1.0, 1.0])
    matrix = np.column_stack([linear, (size_px - 1) / 2 - linear @ middle])
    image = cv2.warpAffine(
        sample.image, matrix, (size_px, size_px), flags=cv2.INTER_AREA if scale < 0.7 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT_101,
    )  # fmt: skip
    instances = _move(sample.instances, matrix, scale, angle, is_mirrored, size_px, (height, width))
    return Sample(standardize(_other_gray_values(image, variation, rng)), instances)


def _move(
    instances: Instances,
    matrix: np.ndarray,
    scale: float,
    angle: float,
    is_mirrored: bool,
    size_px: int,
    shape: tuple[int, int],
) -> Instances:
    """Move instances with the image, and cut them at the border of the view."""
    boxes = instances.rotated_boxes.copy()
    boxes[:, :2] = boxes[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    boxes[:, 2:4] *= scale
    boxes[:, 4] = (180 - boxes[:, 4] if is_mirrored else boxes[:, 4]) + angle
    clipped, share = clip_boxes(canonical(boxes), (size_px, size_px))
    kept = np.flatnonzero((share > 0) & (clipped[:, 3] >= LEAST_WIDTH_PX))
    masks = None
    if instances.masks is not None:
        moved = {int(i): _move_mask(instances.masks[i], matrix, size_px, shape) for i in kept}
        kept = np.array([i for i in kept if moved[int(i)].area_px >= 4], dtype=np.int64)
        masks = [moved[int(i)] for i in kept]
    return Instances.from_rotated_boxes(
        clipped[kept],
        shape=(size_px, size_px),
        class_names=instances.class_names[kept],
        ignored=instances.ignored[kept] | (share[kept] < LEAST_SHARE),
        masks=masks,
    )


def _move_mask(mask: InstanceMask, matrix: np.ndarray, size_px: int, shape: tuple[int, int]) -> InstanceMask:
    """Move one mask with the image."""
    whole = np.zeros(shape, dtype=np.uint8)
    mask.paint(whole)
    return InstanceMask.from_image(cv2.warpAffine(whole, matrix, (size_px, size_px), flags=cv2.INTER_NEAREST) > 0)


def _other_gray_values(image: np.ndarray, variation: Variation, rng: np.random.Generator) -> np.ndarray:
    """Change blur, gray values, illumination and noise."""
    sigma = rng.uniform(*variation.blur_px)
    if sigma > 0.2 and rng.random() < 0.3:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    low, high = float(image.min()), float(image.max())
    if high > low:
        gamma = float(np.exp(rng.uniform(*np.log(variation.gamma))))
        image = ((image - low) / (high - low)) ** np.float32(gamma)
    spread = float(image.std())
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32) / image.shape[0] - 0.5
    direction = rng.uniform(0, 2 * np.pi)
    plane = (np.cos(direction) * x + np.sin(direction) * y) * rng.uniform(*variation.gradient)
    noise = rng.standard_normal(image.shape, dtype=np.float32) * rng.uniform(*variation.noise)
    return np.asarray(image + spread * (plane + noise), dtype=np.float32)
