"""Fit a network to labeled micrographs, with checkpoints after each epoch."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.training.network.prepared_data import PreparedData
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.schedule import TrainingLimits
from hrtem_dask.training.network.trainer import Trainer
from hrtem_dask.training.network.training_log import Row
from hrtem_dask.training.network.work_folder import WorkFolder

__all__ = ["FitResult", "fit"]

_log = logging.getLogger(__name__)
_SHOWN = {
    "training_loss": "loss",
    "validation_loss": "validation",
    "dice_mean": "Dice",
    "dice_median": "median",
    "precision": "precision",
    "recall": "recall",
    "empty_false_share": "false on empty",
}
"""Columns of the log in the message of an epoch, with their short names."""


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """Result of a training."""

    model: UNet
    """The network with the weights of the epoch that is kept, in evaluation mode, on the CPU."""
    best_epoch: int
    """Number of the epoch that is kept, counted from 1."""
    rows: list[dict[str, float]]
    """Rows of the log, one per epoch, with all of `training_log.COLUMNS`."""
    stopped: str
    """Reason why the training ended."""


def fit(
    model: UNet,
    data: PreparedData,
    recipe: TrainingRecipe,
    *,
    seed: int = 0,
    device: str = "cpu",
    limits: TrainingLimits | None = None,
    work_folder: WorkFolder | None = None,
) -> FitResult:
    """Train a network, or resume the training of the checkpoint in the work folder.

    The scores of each epoch are reported to the logger of this module.

    Parameters
    ----------
    model : UNet
        The initial network; its weights are changed.
    data : PreparedData
        Crops are cut out of its training images. Its validation images are scored after each epoch; without any, the
        last weights are kept.
    recipe : TrainingRecipe
        Settings of the training.
    seed : int
        Seed of crops and dropout. On one machine and with one number of threads, a training gives the same numbers
        whether it was interrupted or not.
    device : {"cpu", "cuda"}
        Device of the computation.
    limits : TrainingLimits, optional
        Limits of the duration; by default the number of epochs of the recipe.
    work_folder : WorkFolder, optional
        Folder for checkpoint, log and curves; by default nothing is written.

    Returns
    -------
    FitResult
        The network of the best epoch or of the last one, by the setting `keep` of the recipe.

    Raises
    ------
    ModelError
        If the loss is no longer finite.
    SettingsError
        If the checkpoint belongs to another training, or cannot be read.
    """
    trainer = Trainer(model, recipe, limits or TrainingLimits(), seed=seed, device=device)
    progress = trainer.progress
    state = None if work_folder is None else work_folder.load()
    if state is not None and work_folder is not None:
        trainer.load(state)
        _log.info("resuming after epoch %d of %s", len(progress.rows), work_folder.path)
    while not trainer.why_finished():
        row = trainer.epoch(data.training, data.validation)
        _log.info("%s", _message(row, trainer.max_epochs))
        if work_folder is not None:
            work_folder.save(trainer.state(), progress.rows, title=f"{recipe.name}, seed {seed}")
    return FitResult(
        model=trainer.best.cpu().eval(),
        best_epoch=progress.best_epoch,
        rows=progress.rows,
        stopped=trainer.why_finished(),
    )


def _message(row: Row, max_epochs: float) -> str:
    """Return the message of an epoch: its number, scores and training time."""
    scores = ", ".join(f"{name} {row[column]:.4f}" for column, name in _SHOWN.items() if not math.isnan(row[column]))
    total = f"/{max_epochs:.0f}" if math.isfinite(max_epochs) else ""
    return f"epoch {row['epoch']:.0f}{total}: {scores} ({row['seconds'] / 60:.1f} min)"
