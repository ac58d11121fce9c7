"""Fine-tune a network with a few labeled micrographs, and measure by cross-validation what that gains and costs."""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from hrtem_dask.backend import keep_freed_memory
from hrtem_dask.segmentation.quality.dice_model import DiceModel
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.segmentation.weights import (
    DICE_MODELS,
    ScaleRegime,
    load_dice_model,
    load_model,
    model_hash,
    save_model,
)
from hrtem_dask.settings import Settings
from hrtem_dask.training.fine_tuning.held_out import FineTuneOptions, divide
from hrtem_dask.training.fine_tuning.inherited_calibration import InheritedCalibration, inherit_dice_model
from hrtem_dask.training.fine_tuning.material import Material, prepare_material
from hrtem_dask.training.fine_tuning.other_images import simulated_contrast, simulated_lattice
from hrtem_dask.training.fine_tuning.result import FineTuningResult, held_out_table, scores_record
from hrtem_dask.training.fine_tuning.scoring import network_settings, score_network
from hrtem_dask.training.labelled.labelled_micrograph import Labelled
from hrtem_dask.training.labelled.sources import list_labelled
from hrtem_dask.training.network.fit import FitResult, fit
from hrtem_dask.training.network.prepared_data import PreparedData
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.schedule import TrainingLimits
from hrtem_dask.training.network.train_unet import resolve_device, settings_digest
from hrtem_dask.training.network.work_folder import WorkFolder

__all__ = ["fine_tune"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What all trainings of one fine-tuning share."""

    model: UNet
    origin: Path
    recipe: TrainingRecipe
    options: FineTuneOptions
    device: str
    limits: TrainingLimits
    workdir: Path
    dice_models: dict[ScaleRegime, DiceModel]

    def train(self, data: PreparedData, folder: str = "") -> FitResult:
        """Train a copy of the initial network."""
        place = self.workdir / folder
        place.mkdir(parents=True, exist_ok=True)
        (place / "recipe.toml").write_text(self.recipe.to_toml(), encoding="utf-8")
        digest = settings_digest(
            self.recipe.to_toml(), str(self.options.seed), data.content_hash(), model_hash(self.origin)
        )
        return fit(
            copy.deepcopy(self.model),
            data,
            self.recipe,
            seed=self.options.seed,
            device=self.device,
            limits=self.limits,
            work_folder=WorkFolder(place, digest),
        )

    def score(self, micrographs: Sequence[Labelled], model: UNet) -> pd.DataFrame:
        """Score a fine-tuned network, with the prediction of the Dice coefficient of the initial one."""
        options = self.options
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.safetensors"
            save_model(model, path, metadata=_headers(self.dice_models))
            return score_network(micrographs, self.settings(path, options.diameter_nm, options.diameter_px))

    def settings(self, path: Path, diameter_nm: float | None = None, diameter_px: float | None = None) -> Settings:
        """Return the settings of a run with a model file."""
        return network_settings(path, diameter_nm=diameter_nm, diameter_px=diameter_px, device=self.device)


def fine_tune(
    places: Sequence[str | Path],
    out: str | Path,
    recipe: TrainingRecipe,
    *,
    start_from: str | Path,
    options: FineTuneOptions | None = None,
) -> FineTuningResult:
    """Fine-tune a network and write its model file.

    With folds, the network is trained once per fold without its micrographs, which are then scored, and at last with
    all micrographs. No micrograph chooses an epoch. Progress is reported to the loggers of `training`.

    Parameters
    ----------
    places : sequence of str or path-like
        Paths of labeled micrographs, as for `list_labelled`.
    out : str or path-like
        Path of the model file, ``.safetensors``.
    recipe : TrainingRecipe
        Settings of the training, whose network is replaced by the initial one.
    start_from : str or path-like
        Model file of the initial network.
    options : FineTuneOptions, optional
        How it is scored and where it runs.

    Returns
    -------
    FineTuningResult
        Network and scores.

    Raises
    ------
    SettingsError
        If the micrographs cannot be divided, or the work folder belongs to another training.
    """
    options = options or FineTuneOptions()
    labelled = list_labelled(places, pixel_size_nm=options.pixel_size_nm)
    folds, training = divide(labelled, recipe, options)
    is_validated_once = len(folds) == 1
    run = _start(Path(out), recipe, Path(start_from), options, n_trainings=1 if is_validated_once else len(folds) + 1)
    held_out = [one for fold in folds for one in fold]
    known = {one.micrograph_id for one in held_out}
    everything = [*held_out, *(one for one in training if one.micrograph_id not in known)]
    material = prepare_material(
        everything, run.settings(run.origin, options.diameter_nm, options.diameter_px), run.model.config
    )
    data = PreparedData(training=material.of(training, keep_empty=run.recipe.keep_empty))
    if is_validated_once:
        data = dataclasses.replace(data, validation=material.validation(folds[0]))
        final = run.train(data)
        scored = [run.score(folds[0], final.model)]
    else:
        scored = [_score_fold(run, material, folds, k) for k in range(len(folds))]
        _log.info("training on all %d micrographs", len(training))
        final = run.train(data)
    table = held_out_table(material, scored)
    after = pd.concat(scored)
    calibrations: dict[ScaleRegime, InheritedCalibration] = {
        regime: inherit_dice_model(dice_model, after[after["regime"] == regime])
        for regime, dice_model in run.dice_models.items()
    }
    others = _score_others(run, final.model, calibrations)
    result = FineTuningResult(
        fit=final,
        n_folds=0 if is_validated_once else len(folds),
        held_out=table,
        others=others,
        calibrations=calibrations,
    )
    data_record = {
        "places": [Path(place).name for place in places],
        "training": len(training),
        "hash": data.content_hash(),
    }
    save_model(
        final.model,
        out,
        metadata={
            "recipe": json.dumps(run.recipe.to_dict()),
            "seed": str(options.seed),
            "data": json.dumps(data_record),
            "start_from": model_hash(run.origin),
            "epoch": str(final.best_epoch),
            "stopped": final.stopped,
            "code_version": version("hrtem-dask"),
            **scores_record(result, model_hash(run.origin)),
            **_headers({regime: one.dice_model for regime, one in calibrations.items()}),
        },
    )
    return result


def _start(out: Path, recipe: TrainingRecipe, start_from: Path, options: FineTuneOptions, *, n_trainings: int) -> _Run:
    """Load the initial network, and settle what all trainings share."""
    keep_freed_memory()
    torch.manual_seed(options.seed)
    model = load_model(start_from)
    recipe = dataclasses.replace(recipe, network=model.config)
    if n_trainings > 1 and (recipe.keep, recipe.early_stop_epochs) != ("last", 0):
        _log.info("the last epoch is kept: in a cross-validation no micrograph is left to choose another one")
        recipe = dataclasses.replace(recipe, keep="last", early_stop_epochs=0)
    limits = options.limits or TrainingLimits()
    if limits.minutes is not None:
        limits = dataclasses.replace(limits, minutes=limits.minutes / n_trainings)
    found = {regime: load_dice_model(start_from, regime) for regime in DICE_MODELS}
    dice_models: dict[ScaleRegime, DiceModel] = {r: model for r, model in found.items() if model is not None}
    if dice_models.get("lattice") is None and (options.diameter_nm or options.diameter_px):
        _log.warning(
            "%s has no calibration of its quality: it sees images without a pixel size unscaled, and the diameter is "
            "not used",
            start_from,
        )
    return _Run(
        model=model,
        origin=start_from,
        recipe=recipe,
        options=options,
        device=resolve_device(options.device),
        limits=limits,
        workdir=Path(options.workdir) if options.workdir else out.with_name(out.stem + ".training"),
        dice_models=dice_models,
    )


def _score_fold(run: _Run, material: Material, folds: Sequence[Sequence[Labelled]], k: int) -> pd.DataFrame:
    """Train without the micrographs of one fold, and score them."""
    training = [one for i, fold in enumerate(folds) if i != k for one in fold]
    _log.info("fold %d of %d: training on %d, holding out %d", k + 1, len(folds), len(training), len(folds[k]))
    fitted = run.train(PreparedData(training=material.of(training, keep_empty=run.recipe.keep_empty)), f"fold-{k + 1}")
    return run.score(folds[k], fitted.model)


def _score_others(run: _Run, model: UNet, calibrations: dict[ScaleRegime, InheritedCalibration]) -> pd.DataFrame:
    """Score images of another kind with the initial and the final network, each at the scale that it finds."""
    sets = {"simulated, lattice regime": simulated_lattice(), "simulated, contrast regime": simulated_contrast()}
    for place in run.options.other_places:
        sets[str(Path(place).name)] = list_labelled([place], pixel_size_nm=run.options.pixel_size_nm)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_model(model, path, metadata=_headers({regime: one.dice_model for regime, one in calibrations.items()}))
        for name, micrographs in sets.items():
            _log.info("scoring images of another kind: %s, %d", name, len(micrographs))
            before, after = (score_network(micrographs, run.settings(which)) for which in (run.origin, path))
            rows.append(
                pd.DataFrame(
                    {
                        "set": name,
                        "group": after["group"],
                        "before": before["dice"].astype(float),
                        "after": after["dice"].astype(float),
                        "regime": after["regime"],
                        "predicted_dice": after["predicted_dice"].astype(float),
                    }
                )
            )
    return pd.concat(rows)


def _headers(dice_models: Mapping[ScaleRegime, DiceModel]) -> dict[str, str]:
    """Return the entries of the header that hold the predictions of the Dice coefficient."""
    return {key: dice_models[regime].to_json() for regime, key in DICE_MODELS.items() if regime in dice_models}
