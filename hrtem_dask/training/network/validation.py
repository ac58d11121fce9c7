"""Validation: masks of whole micrographs, scored in native pixels as in an analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from hrtem_dask.evaluation import Confusion
from hrtem_dask.segmentation.engines import Engine
from hrtem_dask.segmentation.networks.config import UNetConfig
from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.segmentation.tiling import tiled_logits
from hrtem_dask.training.labelled.labelled_micrograph import LabelledMicrograph
from hrtem_dask.training.network.crops.training_image import TrainingImage, make_training_image
from hrtem_dask.training.network.losses import segmentation_loss

__all__ = ["Scores", "ValidationImage", "make_validation_image", "score_images"]

WHOLE_PX = 2048
"""Images up to this side (px) are predicted at once, larger images in exact tiles of this side."""


@dataclass(frozen=True, kw_only=True)
class ValidationImage:
    """A micrograph as the network sees it, with its true mask in native pixels."""

    micrograph_id: str
    """Name of the micrograph."""
    seen: TrainingImage
    """The micrograph at the pixel size of the network."""
    truth: np.ndarray
    """Shape (y, x), bool: True on particles, in native pixels."""
    valid: np.ndarray | None
    """Shape (y, x), bool: True where the mask is known, in native pixels; None means everywhere."""
    pixel_area_nm2: float | None
    """Area of a native pixel (nm²); None if unknown."""


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of a network on a set of micrographs."""

    loss: float
    """Loss of whole images, mean over micrographs."""
    table: pd.DataFrame
    """A row per micrograph: ``dice``, ``precision`` and ``recall`` (NaN if the micrograph is empty),
    ``false_positive_share``, and ``false_positive_nm2`` (empty micrographs only)."""

    def summary(self) -> dict[str, float]:
        """Return the mean or median of each score.

        Returns
        -------
        dict
            ``loss``; ``dice_mean``, ``dice_median``, ``precision`` and ``recall`` of micrographs with particles; and
            ``empty_false_share``, the share of the area of empty micrographs that is falsely predicted as particle.
            NaN if there are no such micrographs.
        """
        filled = self.table[self.table["dice"].notna()]
        empty = self.table[self.table["dice"].isna()]
        return {
            "loss": self.loss,
            "dice_mean": float(filled["dice"].mean()),
            "dice_median": float(filled["dice"].median()),
            # the precision is undefined (NaN) if no particle is predicted
            "precision": float(filled["precision"].mean()),
            "recall": float(filled["recall"].mean()),
            "empty_false_share": float(empty["false_positive_share"].mean()),
        }


def make_validation_image(micrograph_id: str, labelled: LabelledMicrograph, config: UNetConfig) -> ValidationImage:
    """Resample and scale a micrograph for the network, and keep its mask in native pixels.

    Parameters
    ----------
    micrograph_id : str
        Name of the micrograph.
    labelled : LabelledMicrograph
        Micrograph and mask in native pixels.
    config : UNetConfig
        Pixel size and scaling of the network.

    Returns
    -------
    ValidationImage
        The micrograph with its masks.
    """
    size = labelled.pixel_size_nm
    return ValidationImage(
        micrograph_id=micrograph_id,
        seen=make_training_image(labelled, config),
        truth=labelled.mask,
        valid=labelled.valid,
        pixel_area_nm2=None if size is None else size[0] * size[1],
    )


def score_images(
    images: Sequence[ValidationImage],
    engine: Engine,
    config: UNetConfig,
    *,
    dice_loss: bool = True,
    threshold: float = 0.5,
) -> Scores:
    """Predict the masks of whole micrographs and score them.

    Parameters
    ----------
    images : sequence of ValidationImage
        Micrographs to score.
    engine : Engine
        Engine that evaluates the network.
    config : UNetConfig
        Stride and halo of the network.
    dice_loss : bool
        Whether the loss includes the soft Dice coefficient, as in `segmentation_loss`.
    threshold : float
        Probability, 0 to 1, at and above which a pixel is predicted as particle.

    Returns
    -------
    Scores
        Scores of each micrograph, in the order of `images`.
    """
    rows, losses = [], []
    for one in images:
        seen = one.seen.image.astype(np.float32)
        tile_px = None if max(seen.shape) <= WHOLE_PX else WHOLE_PX
        log_odds, _ = tiled_logits(
            seen, engine, stride_px=config.total_stride_px, halo_px=config.halo_px, tile_px=tile_px
        )
        known = np.ones(seen.shape, np.float32) if one.seen.valid is None else one.seen.valid.astype(np.float32)
        truth = torch.from_numpy(one.seen.mask.astype(np.float32))
        loss = segmentation_loss(torch.from_numpy(log_odds), truth, torch.from_numpy(known), dice=dice_loss)
        losses.append(float(loss))
        probability = resample(torch.sigmoid(torch.from_numpy(log_odds)).numpy(), one.truth.shape, method="bilinear")
        rows.append(_row(probability >= threshold, one))
    table = pd.DataFrame(rows, index=[one.micrograph_id for one in images], columns=_COLUMNS)
    return Scores(loss=float(np.mean(losses)) if losses else float("nan"), table=table)


_COLUMNS = ["dice", "precision", "recall", "false_positive_share", "false_positive_nm2"]


def _row(mask: np.ndarray, one: ValidationImage) -> dict[str, float]:
    """Return the scores of one predicted mask."""
    predicted, truth = (mask, one.truth) if one.valid is None else (mask[one.valid], one.truth[one.valid])
    tp, fp = int(np.count_nonzero(predicted & truth)), int(np.count_nonzero(predicted & ~truth))
    fn = int(np.count_nonzero(truth)) - tp
    counts = Confusion(tp, fp, fn, truth.size - tp - fp - fn)
    empty_nm2 = fp * one.pixel_area_nm2 if one.pixel_area_nm2 is not None and tp + fn == 0 else float("nan")
    return {
        "dice": counts.dice,
        "precision": counts.precision,
        "recall": counts.recall,
        "false_positive_share": fp / truth.size if truth.size else float("nan"),
        "false_positive_nm2": empty_nm2,
    }
