"""Batches of randomly varied crops, cut out of training images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hrtem_dask.training.network.crops.augmentation import restored, turn
from hrtem_dask.training.network.crops.contacts import UNKNOWN, contact_map
from hrtem_dask.training.network.crops.training_image import TrainingImage
from hrtem_dask.training.network.crops.variation import log_uniform, vary_intensity
from hrtem_dask.training.network.recipes import TrainingRecipe

__all__ = ["Batch", "cut", "make_batch", "resize"]


@dataclass(frozen=True)
class Batch:
    """The crops of one step."""

    images: np.ndarray
    """Shape (n, y, x), float32."""
    masks: np.ndarray
    """Shape (n, y, x), float32: 1 on particles, 0 on background."""
    weights: np.ndarray
    """Shape (n, y, x), float32: weight of each pixel in the loss, 0 where the mask is unknown."""
    contacts: np.ndarray | None = None
    """Shape (n, y, x), float32: 1 where particles touch, 0 elsewhere, −1 where it is unknown; None for networks that do
    not predict contacts."""


def make_batch(images: Sequence[TrainingImage], recipe: TrainingRecipe, rng: np.random.Generator) -> Batch:
    """Draw crops at random and vary them.

    Parameters
    ----------
    images : sequence of TrainingImage
        Images to cut from; all have the same probability.
    recipe : TrainingRecipe
        Size of the crops and of the batch, and their augmentation.
    rng : numpy.random.Generator
        Source of all random choices.

    Returns
    -------
    Batch
        `recipe.batch` crops with a side of `recipe.crop_px`.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.training.labelled.labelled_micrograph import make_labelled
    >>> from hrtem_dask.training.network.crops.training_image import make_training_image
    >>> recipe = TrainingRecipe(crop_px=32, batch=2)
    >>> image = np.random.default_rng(0).random((64, 64))
    >>> labelled = make_labelled(image, image > 0.5, pixel_size_nm=None)
    >>> batch = make_batch([make_training_image(labelled, recipe.network)], recipe, np.random.default_rng(1))
    >>> batch.images.shape
    (2, 32, 32)
    """
    side = recipe.crop_px
    shape = (recipe.batch, side, side)
    batch = Batch(*(np.empty(shape, np.float32) for _ in range(3)))
    contacts = np.full(shape, UNKNOWN, np.float32) if recipe.network.contact_output else None
    for i in range(recipe.batch):
        whole = images[int(rng.integers(len(images)))]
        image, mask, valid, labels = _varied_crop(whole, recipe, rng)
        batch.images[i], batch.masks[i] = image, mask
        batch.weights[i] = _weights(mask, valid, recipe)
        if contacts is not None and labels is not None:
            contacts[i] = contact_map(labels)
    return dataclasses.replace(batch, contacts=contacts)


def _varied_crop(
    whole: TrainingImage, recipe: TrainingRecipe, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Cut a window, resample it to the size of the crop, turn it, and vary its intensity."""
    ranges = recipe.augmentation
    zoom = log_uniform(rng, (1 / ranges.scale, ranges.scale)) if ranges.scale > 1 else 1.0
    window = max(1, round(recipe.crop_px * zoom))
    corner = _corner(whole, window, recipe.centre_on_particle, rng)
    image = cut(whole.image, corner, window).astype(np.float32)
    mask = cut(whole.mask, corner, window)
    valid = None if whole.valid is None else cut(whole.valid, corner, window)
    labels = None if whole.labels is None else cut(whole.labels, corner, window)
    if window != recipe.crop_px:
        image = restored(resize(image, recipe.crop_px), image)
        mask = resize(mask.astype(np.float32), recipe.crop_px) >= 0.5
        valid = None if valid is None else resize(valid.astype(np.float32), recipe.crop_px) > 0.999
        if labels is not None:
            labels = cv2.resize(labels, (recipe.crop_px,) * 2, interpolation=cv2.INTER_NEAREST_EXACT)
    if ranges.turns:
        quarters, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        image, mask = (turn(a, quarters=quarters, mirrored=mirrored) for a in (image, mask))
        valid, labels = (None if a is None else turn(a, quarters=quarters, mirrored=mirrored) for a in (valid, labels))
    varied = vary_intensity(image, ranges, rng, mean=whole.mean, spread=whole.spread)
    return varied, mask, valid, labels


def _corner(whole: TrainingImage, window: int, centered_share: float, rng: np.random.Generator) -> tuple[int, int]:
    """Choose the first pixel of a window at random, or so that the center of the window is on a particle."""
    margins = [n - window for n in whole.image.shape]
    if rng.random() < centered_share and len(whole.centers):
        corner = whole.centers[rng.integers(len(whole.centers))] - window // 2
    else:
        corner = np.array([rng.integers(min(0, m), max(0, m) + 1) for m in margins])
    y, x = (int(np.clip(c, min(0, m), max(0, m))) for c, m in zip(corner, margins, strict=True))
    return y, x


def cut(array: np.ndarray, corner: tuple[int, int], window: int) -> np.ndarray:
    """Cut out a square window; the array is mirrored beyond its border.

    Parameters
    ----------
    array : numpy.ndarray
        Shape (y, x), any dtype.
    corner : tuple of int
        First pixel (y, x); negative if the window begins outside the array.
    window : int
        Side of the window (px).

    Returns
    -------
    numpy.ndarray
        Shape (window, window); a view if nothing is mirrored.

    Examples
    --------
    >>> import numpy as np
    >>> cut(np.array([[1, 2], [3, 4]]), (-1, 0), 3)
    array([[1, 2, 2],
           [1, 2, 2],
           [3, 4, 4]])
    """
    y, x = corner
    height, width = array.shape
    if y >= 0 and x >= 0 and y + window <= height and x + window <= width:
        return array[y : y + window, x : x + window]
    rows, columns = (_mirrored(start, window, n) for start, n in ((y, height), (x, width)))
    mirrored: np.ndarray = array[np.ix_(rows, columns)]
    return mirrored


def _mirrored(start: int, window: int, n: int) -> np.ndarray:
    """Return the indices of a window, mirrored repeatedly at both ends of 0…n−1."""
    index = np.arange(start, start + window) % (2 * n)
    return np.where(index < n, index, 2 * n - 1 - index)


def resize(image: np.ndarray, side: int) -> np.ndarray:
    """Resample a square crop, by averaging to a smaller side and by bicubic interpolation to a larger one.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), float32.
    side : int
        New side (px).

    Returns
    -------
    numpy.ndarray
        Shape (side, side), float32.
    """
    method = cv2.INTER_AREA if image.shape[0] > side else cv2.INTER_CUBIC
    resized: np.ndarray = cv2.resize(image, (side, side), interpolation=method)
    return resized


def _weights(mask: np.ndarray, valid: np.ndarray | None, recipe: TrainingRecipe) -> np.ndarray | float:
    """Return the weight of each pixel in the loss."""
    weight: np.ndarray | float = 1.0
    if recipe.boundary_weight > 0 and mask.any() and not mask.all():
        inside = mask.astype(np.uint8)
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3) + cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
        weight = 1 + recipe.boundary_weight * np.exp(-0.5 * ((distance - 0.5) / recipe.boundary_sigma_px) ** 2)
    return weight if valid is None else weight * valid
