"""The work folder of a training: its checkpoint, log and curves.

A checkpoint contains the complete state of a training, so that a resumed training gives the same numbers as an
uninterrupted one. Reading a checkpoint never runs code from the file.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict, cast

import torch

from hrtem_dask.errors import SettingsError
from hrtem_dask.training.network.training_log import Row, curves_svg, log_csv
from hrtem_dask.training.network.weight_average import AverageState

__all__ = ["TrainerState", "WorkFolder"]


class TrainerState(TypedDict):
    """State of a training, as it is stored in a checkpoint."""

    model: dict[str, torch.Tensor]
    average: AverageState
    best: dict[str, torch.Tensor]
    optimiser: dict[str, object]
    progress: dict[str, object]


@dataclass(frozen=True)
class WorkFolder:
    """An existing folder for ``checkpoint.pt``, ``log.csv`` and ``curves.svg``."""

    path: Path
    """Path of the folder."""
    fingerprint: str = ""
    """Hash of recipe, seed, data and starting network. A checkpoint with another fingerprint is refused."""

    @property
    def checkpoint(self) -> Path:
        """Path of the checkpoint."""
        return self.path / "checkpoint.pt"

    def save(self, state: TrainerState, rows: Sequence[Row], *, title: str) -> None:
        """Write checkpoint, log and curves.

        The checkpoint is replaced only after it was written completely.

        Parameters
        ----------
        state : TrainerState
            State of the training: nested dictionaries of tensors, numbers and strings.
        rows : sequence of mapping
            Rows of the log, one per epoch, with all of `training_log.COLUMNS`.
        title : str
            Title of the curves.
        """
        partial = self.checkpoint.with_suffix(".partial")
        torch.save({"fingerprint": self.fingerprint, "state": state}, partial)
        partial.replace(self.checkpoint)
        (self.path / "log.csv").write_text(log_csv(rows), encoding="utf-8")
        (self.path / "curves.svg").write_text(curves_svg(rows, title=title), encoding="utf-8")

    def load(self) -> TrainerState | None:
        """Read the checkpoint.

        Returns
        -------
        TrainerState or None
            State of the training; None if there is no checkpoint.

        Raises
        ------
        SettingsError
            If the checkpoint belongs to another training, or cannot be read.
        """
        if not self.checkpoint.exists():
            return None
        try:
            content = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            fingerprint, state = content["fingerprint"], content["state"]
        except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
            raise SettingsError(
                f"{self.checkpoint}: not a checkpoint of a training ({error}); delete it to start again"
            ) from error
        if fingerprint != self.fingerprint:
            raise SettingsError(
                f"{self.path}: contains the training of another recipe, seed, network or data; choose another "
                "--workdir, or delete it to start again"
            )
        return cast("TrainerState", dict(state))
