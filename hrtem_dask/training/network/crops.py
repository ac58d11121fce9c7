"""From labelled micrographs to batches of varied crops, made ahead by a thread while the network computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from hrtem_dask.segmentation.network_input import network_input
from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.segmentation.unet import UNetConfig
from hrtem_dask.training.labelled.labelled_micrograph import LabelledMicrograph
from hrtem_dask.training.network import augmentation as augment
from hrtem_dask.training.network.recipes import Augmentation, Range, TrainingRecipe

__all__ = ["Batch", "TrainingImage", "make_batch", "make_training_image", "prefetch"]

CENTRES = 256
"""Pixels of particles remembered per micrograph, to centre crops on."""


@dataclass(frozen=True, kw_only=True)
class TrainingImage:
    """A micrograph as the network sees it, with its truth at the same pixel size."""

    image: np.ndarray
    """Shape (y, x), float16, scaled over the whole image."""
    mask: np.ndarray
    """Shape (y, x), bool."""
    valid: np.ndarray | None
    """Shape (y, x), bool: where the mask is known; None means everywhere."""
    centres: np.ndarray
    """Shape (n, 2), int32: some pixels (y, x) of particles."""
    centre: float
    """Mean of the image."""
    spread: float
    """Its standard deviation."""


@dataclass(frozen=True)
class Batch:
    """Crops for one step."""

    images: np.ndarray
    """Shape (n, y, x), float32."""
    masks: np.ndarray
    """Shape (n, y, x), float32: 1 is particle."""
    weights: np.ndarray
    """Shape (n, y, x), float32: 0 where the truth is not known."""


def make_training_image(labelled: LabelledMicrograph, config: UNetConfig) -> TrainingImage:
    """Bring a micrograph to what the network sees, by the function that inference uses.

    Parameters
    ----------
    labelled : LabelledMicrograph
        In native pixels.
    config : UNetConfig
        Pixel size and scaling of the network.

    Returns
    -------
    TrainingImage
        A pixel of its mask is particle where at least half of its area is; its truth is known where all of it is.

    Raises
    ------
    CalibrationError
        If the micrograph is far coarser than the network's pixels.
    """
    seen = network_input(
        labelled.image,
        pixel_size_nm=labelled.pixel_size_nm,
        model_pixel_size_nm=config.pixel_size_nm,
        scaling=config.input_scaling,
    )
    mask = resample(labelled.mask.astype(np.float32), seen.shape, method="bilinear") >= 0.5
    valid = labelled.valid
    if valid is not None:
        valid = resample(valid.astype(np.float32), seen.shape, method="bilinear") > 0.999
    inside = np.argwhere(mask if valid is None else mask & valid).astype(np.int32)
    some = inside[np.linspace(0, len(inside) - 1, CENTRES).astype(int)] if len(inside) else inside
    return TrainingImage(
        image=seen.astype(np.float16),
        mask=mask,
        valid=valid,
        centres=some,
        centre=float(seen.mean()),
        spread=max(float(seen.std()), 1e-6),
    )


def make_batch(images: Sequence[TrainingImage], recipe: TrainingRecipe, rng: np.random.Generator) -> Batch:
    """Draw and vary the crops of one step.

    Parameters
    ----------
    images : sequence of TrainingImage
        Each is drawn from alike.
    recipe : TrainingRecipe
        Crop, batch and augmentation.
    rng : numpy.random.Generator
        Decides everything.

    Returns
    -------
    Batch
        Of `recipe.batch` crops.
    """
    side = recipe.crop_px
    batch = Batch(*(np.empty((recipe.batch, side, side), np.float32) for _ in range(3)))
    for i in range(recipe.batch):
        one = images[int(rng.integers(len(images)))]
        image, mask, valid = _varied_crop(one, recipe, rng)
        batch.images[i], batch.masks[i] = image, mask
        batch.weights[i] = _weights(mask, valid, recipe)
    return batch


def prefetch(make: Callable[[int], Batch], steps: range, *, ahead: int = 4) -> Iterator[Batch]:
    """Make batches in a background thread.

    Parameters
    ----------
    make : callable
        Makes the batch of a step.
    steps : range
        Which ones, in this order.
    ahead : int
        Most batches that wait.

    Yields
    ------
    Batch
        In order; what `make` raises is raised here.
    """
    ready: queue.Queue[Batch | BaseException] = queue.Queue(ahead)
    stop = threading.Event()

    def work() -> None:
        for step in steps:
            try:
                made: Batch | BaseException = make(step)
            except BaseException as error:  # noqa: BLE001 - raised again where the batch is awaited
                made = error
            while not stop.is_set():
                try:
                    ready.put(made, timeout=0.1)
                    break
                except queue.Full:
                    continue
            if stop.is_set():
                return

    thread = threading.Thread(target=work, name="crops", daemon=True)
    thread.start()
    try:
        for _ in steps:
            made = ready.get()
            if isinstance(made, BaseException):
                raise made
            yield made
    finally:
        stop.set()
        thread.join()


def _varied_crop(
    one: TrainingImage, recipe: TrainingRecipe, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Cut a window, resample it to the crop's side, turn it, and vary its intensity."""
    how = recipe.augmentation
    zoom = _log_uniform(rng, (1 / how.scale, how.scale)) if how.scale > 1 else 1.0
    window = max(1, round(recipe.crop_px * zoom))
    corner = _corner(one, window, recipe.centre_on_particle, rng)
    image = cut(one.image, corner, window).astype(np.float32)
    mask = cut(one.mask, corner, window)
    valid = None if one.valid is None else cut(one.valid, corner, window)
    if window != recipe.crop_px:
        image = augment.restored(resize(image, recipe.crop_px), image)
        mask = resize(mask.astype(np.float32), recipe.crop_px) >= 0.5
        valid = None if valid is None else resize(valid.astype(np.float32), recipe.crop_px) > 0.999
    if how.turns:
        quarters, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        image, mask = (augment.turn(a, quarters=quarters, mirrored=mirrored) for a in (image, mask))
        valid = None if valid is None else augment.turn(valid, quarters=quarters, mirrored=mirrored)
    return vary(image, how, rng, centre=one.centre, spread=one.spread), mask, valid


def _corner(one: TrainingImage, window: int, centred: float, rng: np.random.Generator) -> tuple[int, int]:
    """Choose a window's first pixel: anywhere, or so that its middle is on a particle."""
    on_particle = rng.random() < centred and len(one.centres)
    shape = one.image.shape
    wish = one.centres[rng.integers(len(one.centres))] - window // 2 if on_particle else None
    room = [n - window for n in shape]
    if wish is None:
        wish = np.array([rng.integers(min(0, r), max(0, r) + 1) for r in room])
    y, x = (int(np.clip(w, min(0, r), max(0, r))) for w, r in zip(wish, room, strict=True))
    return y, x


def cut(array: np.ndarray, corner: tuple[int, int], window: int) -> np.ndarray:
    """Cut a square window; beyond the border the array is mirrored.

    Parameters
    ----------
    array : numpy.ndarray
        Shape (y, x), any dtype.
    corner : tuple of int
        First pixel (y, x), negative where the window begins before the array does.
    window : int
        Side (px).

    Returns
    -------
    numpy.ndarray
        Shape (window, window); a view where nothing is mirrored.
    """
    y, x = corner
    height, width = array.shape
    if y >= 0 and x >= 0 and y + window <= height and x + window <= width:
        return array[y : y + window, x : x + window]
    rows, columns = (_mirrored(start, window, n) for start, n in ((y, height), (x, width)))
    mirrored: np.ndarray = array[np.ix_(rows, columns)]
    return mirrored


def _mirrored(start: int, window: int, n: int) -> np.ndarray:
    """Return indices of a window, mirrored at both borders of 0…n−1 as often as it takes."""
    index = np.arange(start, start + window) % (2 * n)
    return np.where(index < n, index, 2 * n - 1 - index)


def resize(image: np.ndarray, side: int) -> np.ndarray:
    """Resample a square crop: averaging where it shrinks, bicubic where it grows.

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


def vary(
    crop: np.ndarray, how: Augmentation, rng: np.random.Generator, *, centre: float = 0.0, spread: float = 1.0
) -> np.ndarray:
    """Vary a crop's intensity.

    Parameters
    ----------
    crop : numpy.ndarray
        Shape (y, x), float32.
    how : Augmentation
        Probabilities and ranges.
    rng : numpy.random.Generator
        Decides which effects, and how strong.
    centre, spread : float
        Mean and standard deviation of the whole image.

    Returns
    -------
    numpy.ndarray
        Same shape, float32.
    """
    if rng.random() < how.band_probability:
        crop = augment.band_filter(
            crop,
            share=rng.uniform(*how.band_share),
            turn_over_per_px=rng.uniform(*how.band_turn_over_per_px),
            phase_rad=rng.uniform(-np.pi / 4, np.pi / 4),
        )
    if rng.random() < how.blur_probability:
        crop = augment.blur(crop, sigma_px=rng.uniform(*how.blur_sigma_px))
    if rng.random() < how.gamma_probability:
        crop = augment.change_gamma(crop, gamma=_log_uniform(rng, how.gamma))
    if rng.random() < how.invert_probability:
        crop = augment.invert(crop, centre=centre)
    if rng.random() < how.gradient_probability:
        rise = rng.uniform(*how.gradient_rise)
        crop = augment.add_gradient(crop, rise=rise, direction_rad=rng.uniform(0, 2 * np.pi), spread=spread)
    if rng.random() < how.background_probability:
        amplitude = rng.uniform(*how.background_amplitude)
        crop = augment.add_background(crop, amplitude=amplitude, cells=int(rng.integers(2, 7)), rng=rng, spread=spread)
    if rng.random() < how.noise_probability:
        ratio, correlation = _log_uniform(rng, how.noise_to_spread), rng.uniform(*how.noise_correlation_px)
        crop = augment.add_noise(
            crop,
            noise_to_spread=ratio,
            correlation_px=correlation if correlation > 0.25 else 0.0,
            rng=rng,
            centre=centre,
            spread=spread,
        )
    if rng.random() < how.gain_probability:
        gain, offset = _log_uniform(rng, how.gain), rng.uniform(*how.offset)
        crop = (crop - np.float32(centre)) * np.float32(gain) + np.float32(centre + offset * spread)
    return crop


def _weights(mask: np.ndarray, valid: np.ndarray | None, recipe: TrainingRecipe) -> np.ndarray | float:
    """Return the weight of each pixel."""
    weight: np.ndarray | float = 1.0
    if recipe.boundary_weight > 0 and mask.any() and not mask.all():
        inside = mask.astype(np.uint8)
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3) + cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
        weight = 1 + recipe.boundary_weight * np.exp(-0.5 * ((distance - 0.5) / recipe.boundary_sigma_px) ** 2)
    return weight if valid is None else weight * valid


def _log_uniform(rng: np.random.Generator, limits: Range) -> float:
    """Draw a factor."""
    return float(np.exp(rng.uniform(*np.log(limits))))
