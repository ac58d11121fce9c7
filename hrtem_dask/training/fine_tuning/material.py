"""Labeled micrographs as fine-tuning uses them: scored with the initial network, and at the scale of inference."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from hrtem_dask.errors import SettingsError
from hrtem_dask.segmentation.networks.config import UNetConfig
from hrtem_dask.settings import Settings
from hrtem_dask.training.fine_tuning.scoring import score_network
from hrtem_dask.training.fine_tuning.training_scale import TrainingScale, at_scale, choose_training_scale
from hrtem_dask.training.labelled.labelled_micrograph import Labelled
from hrtem_dask.training.network.crops.training_image import TrainingImage, make_training_image
from hrtem_dask.training.network.validation import ValidationImage, make_validation_image

__all__ = ["Material", "prepare_material"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Material:
    """Labeled micrographs of a fine-tuning."""

    labelled: Sequence[Labelled]
    """The micrographs."""
    images: dict[str, TrainingImage]
    """By micrograph_id: as the network sees them in training."""
    before: pd.DataFrame
    """Rows of `score_network` for the initial network."""
    scales: dict[str, TrainingScale]
    """By micrograph_id: the scale of the training."""
    config: UNetConfig
    """Architecture of the network."""

    def of(self, micrographs: Sequence[Labelled], *, keep_empty: bool = True) -> list[TrainingImage]:
        """Return the training images of some of the micrographs.

        Parameters
        ----------
        micrographs : sequence of Labelled
            Some of `labelled`.
        keep_empty : bool
            Whether those without particles are among them.

        Returns
        -------
        list of TrainingImage
            In their order.

        Raises
        ------
        SettingsError
            If none is left.
        """
        images = [self.images[one.micrograph_id] for one in micrographs]
        kept = [image for image in images if keep_empty or image.mask.any()]
        if not kept:
            raise SettingsError(
                f"no micrograph to train on: all {len(images)} are empty, and the recipe has keep_empty = false"
            )
        return kept

    def validation(self, micrographs: Sequence[Labelled]) -> list[ValidationImage]:
        """Return some of the micrographs for the scores after each epoch, at the scale of the training.

        Parameters
        ----------
        micrographs : sequence of Labelled
            Some of `labelled`.

        Returns
        -------
        list of ValidationImage
            In their order.
        """
        return [
            make_validation_image(
                one.micrograph_id,
                at_scale(one.read(), self.scales[one.micrograph_id].scale, self.config),
                self.config,
            )
            for one in micrographs
        ]


def prepare_material(labelled: Sequence[Labelled], settings: Settings, config: UNetConfig) -> Material:
    """Score micrographs with the initial network, and bring them to the scale of the training.

    Parameters
    ----------
    labelled : sequence of Labelled
        The micrographs.
    settings : Settings
        Settings of a run with the initial network, from `scoring.network_settings`.
    config : UNetConfig
        Architecture of the network.

    Returns
    -------
    Material
        All of them in memory, as the network sees them.
    """
    _log.info("scoring %d micrographs with the initial network", len(labelled))
    before = score_network(labelled, settings)
    is_given = settings.segmentation.diameter_nm is not None or settings.segmentation.diameter_px is not None
    regimes = dict(zip(before.index, before["regime"], strict=True))
    found, dice = (dict(zip(before.index, before[c].astype(float), strict=True)) for c in ("scale", "dice"))
    images: dict[str, TrainingImage] = {}
    scales: dict[str, TrainingScale] = {}
    for one in labelled:
        micrograph, name = one.read(), one.micrograph_id
        scale = choose_training_scale(
            micrograph,
            regime=regimes[name],
            found_scale=found[name],
            dice=dice[name],
            is_given=is_given,
        )
        scales[name] = scale
        images[name] = make_training_image(at_scale(micrograph, scale.scale, config), config)
    by_masks = [name for name, scale in scales.items() if scale.source == "masks"]
    if by_masks:
        _log.info(
            "%d of %d micrographs are trained at the scale of their labeled particles, because the initial network "
            "does not see the particles: %s",
            len(by_masks),
            len(labelled),
            ", ".join(by_masks[:5]) + (" …" if len(by_masks) > 5 else ""),
        )
    return Material(labelled=labelled, images=images, before=before, scales=scales, config=config)
