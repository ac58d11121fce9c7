"""Which micrographs are held out of which training of a fine-tuning."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hrtem_dask.errors import SettingsError
from hrtem_dask.training.labelled.labelled_micrograph import Labelled
from hrtem_dask.training.labelled.sources import list_labelled
from hrtem_dask.training.labelled.split import split_by_group, split_folds
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.schedule import TrainingLimits

__all__ = ["FineTuneOptions", "divide"]

DEFAULT_FOLDS = 4
"""Number of folds of the cross-validation, or the number of micrographs if that is smaller."""
FEW_MICROGRAPHS = 40
"""Independent micrographs up to which fine-tuning is cross-validated unless the number of folds is given."""


@dataclass(frozen=True, kw_only=True)
class FineTuneOptions:
    """How a fine-tuning is scored and where it runs."""

    folds: int | None = None
    """Number of folds, at least 2; 0 holds out a share of the micrographs instead, which are then not trained on. None
    chooses 4, or the number of independent micrographs if that is smaller, and 0 for more than 40."""
    validation_places: Sequence[str | Path] = ()
    """Paths of held-out micrographs, in place of a cross-validation."""
    other_places: Sequence[str | Path] = ()
    """Paths of labeled micrographs of another kind, scored before and after, besides simulated ones."""
    pixel_size_nm: float | None = None
    """Pixel size (nm) of images whose file does not state it."""
    diameter_nm: float | None = None
    """Typical diameter (nm) of the particles, which sets the scale in the contrast regime. Runs with the new model then
    need it too. None finds the scale."""
    diameter_px: float | None = None
    """The same in pixels of the micrographs."""
    seed: int = 0
    """Seed of folds and crops."""
    device: str = "auto"
    """``"cpu"``, ``"cuda"`` or ``"auto"``, a CUDA device if there is one."""
    limits: TrainingLimits | None = None
    """Limits of the duration; a limit of time is shared equally by the trainings of all folds and the final one."""
    workdir: str | Path | None = None
    """Folder for logs, curves and checkpoints; by default beside the model."""


def divide(
    labelled: Sequence[Labelled], recipe: TrainingRecipe, options: FineTuneOptions
) -> tuple[list[list[Labelled]], list[Labelled]]:
    """Divide micrographs into those that are held out and those that are trained on.

    Parameters
    ----------
    labelled : sequence of Labelled
        All micrographs but those of `options.validation_places`.
    recipe : TrainingRecipe
        Its `validation_share` is used where there is neither a cross-validation nor validation data.
    options : FineTuneOptions
        Folds, validation data and seed.

    Returns
    -------
    folds : list of list of Labelled
        Held-out micrographs of each fold. Without a cross-validation there is one fold, which is not trained on.
    training : list of Labelled
        Micrographs that the final network is trained on.

    Raises
    ------
    SettingsError
        If they cannot be divided so.
    """
    n_groups = len({one.group for one in labelled})
    if options.validation_places:
        if options.folds:
            raise SettingsError(
                f"{options.folds} folds and validation data: give one of them, because the validation data are held "
                "out in place of a cross-validation"
            )
        validation = list_labelled(options.validation_places, pixel_size_nm=options.pixel_size_nm)
        shared = {one.group for one in validation} & {one.group for one in labelled}
        if shared:
            raise SettingsError(f"{min(shared)} is in the training data and in --validation: choose other micrographs")
        taken = {one.micrograph_id for one in labelled}  # names must be unique within one fine-tuning
        unique = [
            dataclasses.replace(one, micrograph_id=f"{one.micrograph_id} (validation)")
            if one.micrograph_id in taken
            else one
            for one in validation
        ]
        return [unique], [*labelled]
    folds = options.folds
    if folds is None:
        folds = min(DEFAULT_FOLDS, n_groups) if 2 <= n_groups <= FEW_MICROGRAPHS else 0
    if folds:
        return split_folds(labelled, folds, seed=options.seed), [*labelled]
    split = split_by_group(
        labelled,
        validation_share=recipe.validation_share or 0.25,
        validation_most=recipe.validation_most,
        seed=options.seed,
    )
    return [split.validation], split.training
