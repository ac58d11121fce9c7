"""Labeled micrographs in memory, as the network sees them."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from hrtem_dask.errors import SettingsError
from hrtem_dask.training.labelled.labelled_micrograph import Labelled
from hrtem_dask.training.labelled.split import Split
from hrtem_dask.training.network.crops.training_image import TrainingImage, make_training_image
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.validation import ValidationImage, make_validation_image

__all__ = ["PreparedData", "prepare_data"]

_log = logging.getLogger(__name__)
N_TRIAL = 10
"""Number of micrographs after which the memory for all of them is estimated."""
MAX_MEMORY_SHARE = 0.7
"""A warning is logged if the micrographs need more than this share of the free memory."""


@dataclass(frozen=True, kw_only=True)
class PreparedData:
    """Micrographs for training, validation and test, as the network sees them."""

    training: Sequence[TrainingImage]
    """Images to cut crops from."""
    validation: Sequence[ValidationImage] = ()
    """Images scored after each epoch."""
    test: Sequence[ValidationImage] = ()
    """Images scored once, after the training."""

    @property
    def held_out(self) -> list[ValidationImage]:
        """Validation images, then test images."""
        return [*self.validation, *self.test]

    def content_hash(self) -> str:
        """Return a hash of all images and masks, and of where the masks are known.

        Returns
        -------
        str
            16 hexadecimal digits.
        """
        digest = hashlib.blake2b(digest_size=8)
        for image in [*self.training, *(one.seen for one in self.held_out)]:
            digest.update(np.ascontiguousarray(image.image).data)
            digest.update(np.packbits(image.mask).data)
            if image.valid is not None:
                digest.update(np.packbits(image.valid).data)
        return digest.hexdigest()


def prepare_data(split: Split, recipe: TrainingRecipe) -> PreparedData:
    """Read all micrographs into memory.

    A warning is logged early if they will not fit into the free memory.

    Parameters
    ----------
    split : Split
        Micrographs by their use.
    recipe : TrainingRecipe
        Recipe with the pixel size and scaling of the network, and the setting `keep_empty`.

    Returns
    -------
    PreparedData
        Micrographs as the network sees them, without empty ones if the recipe drops them.

    Raises
    ------
    SettingsError
        If no micrograph is left to train on.
    """
    n_held_out = len(split.validation) + len(split.test)
    _log.info("reading %d micrographs to train on, %d held out", len(split.training), n_held_out)
    free_bytes, read_bytes = psutil.virtual_memory().available, 0
    training: list[TrainingImage] = []
    for i, labelled in enumerate(split.training):
        image = make_training_image(labelled.read(), recipe.network)
        read_bytes += image.image.nbytes + image.mask.nbytes
        if i == N_TRIAL:
            _warn_of_memory(read_bytes / (i + 1) * len(split.training), free_bytes)
        if recipe.keep_empty or image.mask.any():
            training.append(image)
    if not training:
        raise SettingsError("no micrograph to train on: all are empty, and the recipe has keep_empty = false")

    def read(part: Sequence[Labelled]) -> list[ValidationImage]:
        images = [make_validation_image(one.micrograph_id, one.read(), recipe.network) for one in part]
        return [one for one in images if recipe.keep_empty or one.truth.any()]

    return PreparedData(training=training, validation=read(split.validation), test=read(split.test))


def _warn_of_memory(needed_bytes: float, free_bytes: int) -> None:
    """Log a warning if the micrographs will not fit into memory."""
    if needed_bytes > MAX_MEMORY_SHARE * free_bytes:
        _log.warning(
            "the micrographs will need about %.1f GiB at the pixel size of the network, %.1f GiB are free: "
            "use fewer micrographs, or train on a machine with more memory",
            needed_bytes / 2**30,
            free_bytes / 2**30,
        )
