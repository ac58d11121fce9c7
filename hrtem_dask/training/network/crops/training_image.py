"""A labeled micrograph as the network sees it: resampled to the pixel size of the network and scaled."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from hrtem_dask.segmentation.network_input import network_input
from hrtem_dask.segmentation.networks.config import UNetConfig
from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.training.labelled.labelled_micrograph import LabelledMicrograph

__all__ = ["TrainingImage", "make_training_image"]

N_CENTERS = 256
"""Largest number of particle pixels kept per micrograph, as centers of crops."""


@dataclass(frozen=True, kw_only=True)
class TrainingImage:
    """A micrograph as the network sees it, with its true mask at the same pixel size."""

    image: np.ndarray
    """Shape (y, x), float16, scaled by the statistics of the whole image."""
    mask: np.ndarray
    """Shape (y, x), bool: True on particles; False where the mask is not known."""
    valid: np.ndarray | None
    """Shape (y, x), bool: True where the mask is known; None means everywhere."""
    labels: np.ndarray | None
    """Shape (y, x), integer: number of the particle, 0 on background; None where touching ones are not separated."""
    centers: np.ndarray
    """Shape (n, 2), int32: evenly sampled pixels (y, x) of particles."""
    mean: float
    """Mean of the image, in its scaled units."""
    spread: float
    """Standard deviation of the image, in its scaled units."""


def make_training_image(labelled: LabelledMicrograph, config: UNetConfig) -> TrainingImage:
    """Resample and scale a micrograph by the same function as in inference.

    Parameters
    ----------
    labelled : LabelledMicrograph
        Micrograph and mask in native pixels.
    config : UNetConfig
        Pixel size and scaling of the network.

    Returns
    -------
    TrainingImage
        A pixel of its mask belongs to a particle if at least half of its area does. A pixel is valid if the mask is
        known in all of its area.

    Raises
    ------
    CalibrationError
        If the micrograph is far coarser than the pixels of the network.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.training.labelled.labelled_micrograph import make_labelled
    >>> from hrtem_dask.training.network.recipes import DEFAULT_NETWORK
    >>> image = np.arange(4096.0).reshape(64, 64)
    >>> labelled = make_labelled(image, image > 2048, pixel_size_nm=(0.025, 0.025))
    >>> make_training_image(labelled, DEFAULT_NETWORK).image.shape
    (32, 32)
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
        mask &= valid  # resampled crops read neighbors: what is drawn in unknown pixels must not reach the known ones
    inside = np.argwhere(mask).astype(np.int32)
    centers = inside[np.linspace(0, len(inside) - 1, N_CENTERS).astype(int)] if len(inside) else inside
    return TrainingImage(
        image=seen.astype(np.float16),
        mask=mask,
        valid=valid,
        labels=None if labelled.labels is None else _resampled_labels(labelled.labels, seen.shape),
        centers=centers,
        mean=float(seen.mean()),
        spread=max(float(seen.std()), 1e-6),
    )


def _resampled_labels(labels: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Resample labels to the nearest pixel, in the smallest dtype."""
    small: np.ndarray = labels.astype(np.uint16 if labels.max(initial=0) < 2**16 else np.float32)
    return np.asarray(cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST_EXACT))
