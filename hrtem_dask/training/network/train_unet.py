"""Train a U-Net for segmentation, from labeled micrographs to a model file that records its training."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from hrtem_dask.backend import keep_freed_memory
from hrtem_dask.errors import ModelError, SettingsError
from hrtem_dask.segmentation.engines import make_engine
from hrtem_dask.segmentation.unet import UNet, with_contact_output
from hrtem_dask.segmentation.weights import load_model, model_hash, save_model
from hrtem_dask.training.labelled.sources import list_labelled
from hrtem_dask.training.labelled.split import Split, split_by_group
from hrtem_dask.training.network.fit import FitResult, fit
from hrtem_dask.training.network.prepared_data import prepare_data
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.schedule import TrainingLimits
from hrtem_dask.training.network.validation import Scores, ValidationImage, score_images
from hrtem_dask.training.network.work_folder import WorkFolder

__all__ = ["TrainingResult", "resolve_device", "settings_digest", "train_segmentation"]


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """A trained network with its scores."""

    fit: FitResult
    """The network and the log of its training."""
    validation: Scores
    """Scores of the saved network on the validation micrographs."""
    test: Scores | None
    """Scores of the saved network on the test micrographs; None if there are none."""


def train_segmentation(
    places: Sequence[str | Path],
    out: str | Path,
    recipe: TrainingRecipe,
    *,
    initial: str | Path | None = None,
    validation_places: Sequence[str | Path] = (),
    pixel_size_nm: float | None = None,
    seed: int = 0,
    device: str = "auto",
    limits: TrainingLimits | None = None,
    workdir: str | Path | None = None,
) -> TrainingResult:
    """Train a network on many micrographs and write its model file; see `training.fine_tuning` for few of them.

    Progress is reported to the loggers of `training.network`.

    Parameters
    ----------
    places : sequence of str or path-like
        Paths of labeled micrographs, as for `list_labelled`.
    out : str or path-like
        Path of the model file, ``.safetensors``.
    recipe : TrainingRecipe
        Settings of the training.
    initial : str or path-like, optional
        Model file whose weights replace random ones. Its network replaces that of the recipe; an output for contacts is
        added to it where the network of the recipe has one.
    validation_places : sequence of str or path-like
        Paths of the validation micrographs; by default a share of `places` validates.
    pixel_size_nm : float, optional
        Pixel size (nm) of images whose file does not state it.
    seed : int
        Seed of the split, the initial weights and the crops.
    device : {"auto", "cpu", "cuda"}
        Device of the computation; ``"auto"`` is a CUDA device if there is one.
    limits : TrainingLimits, optional
        Limits of the duration; by default the number of epochs of the recipe.
    workdir : str or path-like, optional
        Folder for log, curves and checkpoint; by default beside the model. A training in this folder is resumed.

    Returns
    -------
    TrainingResult
        Network, log and scores.

    Raises
    ------
    SettingsError
        If the micrographs cannot be split, or the work folder belongs to another training.
    """
    out = Path(out)
    workdir = Path(workdir) if workdir else out.with_name(out.stem + ".training")
    device = resolve_device(device)
    keep_freed_memory()
    torch.manual_seed(seed)
    model = UNet(recipe.network) if initial is None else load_model(initial)
    if recipe.network.contact_output:
        model = with_contact_output(model)
    recipe = dataclasses.replace(recipe, network=model.config)
    split = _split(places, validation_places, recipe, pixel_size_nm, seed)
    data = prepare_data(split, recipe)
    data_hash = data.content_hash()
    origin = "" if initial is None else model_hash(initial)
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    work_folder = WorkFolder(workdir, settings_digest(recipe.to_toml(), str(seed), data_hash, origin))
    result = fit(model, data, recipe, seed=seed, device=device, limits=limits, work_folder=work_folder)
    scores, test_scores = (_score(result.model, images, device) for images in (data.validation, data.test))
    metadata = {
        "recipe": json.dumps(recipe.to_dict()),
        "seed": str(seed),
        "data": json.dumps(_data_record(places, split, data_hash)),
        "start_from": origin,
        "epoch": str(result.best_epoch),
        "stopped": result.stopped,
        "validation": json.dumps(_finite(scores.summary())),
        "test": json.dumps(_finite(test_scores.summary()) if data.test else {}),
        "code_version": version("hrtem-dask"),
    }
    save_model(result.model, out, metadata=metadata)
    return TrainingResult(fit=result, validation=scores, test=test_scores if data.test else None)


def _data_record(places: Sequence[str | Path], split: Split, data_hash: str) -> dict[str, object]:
    """Return the record of the training data for the metadata of the model."""
    return {
        "places": [Path(place).name for place in places],
        "training": len(split.training),
        "validation": [one.micrograph_id for one in split.validation],
        "test": [one.micrograph_id for one in split.test],
        "hash": data_hash,
    }


def _score(model: UNet, images: Sequence[ValidationImage], device: str) -> Scores:
    """Score a network on whole micrographs."""
    return score_images(images, make_engine(model, engine="torch", device=device), model.config)


def _split(
    places: Sequence[str | Path],
    validation_places: Sequence[str | Path],
    recipe: TrainingRecipe,
    pixel_size_nm: float | None,
    seed: int,
) -> Split:
    """List the labeled micrographs and split them."""
    labelled = list_labelled(places, pixel_size_nm=pixel_size_nm)
    split = split_by_group(
        labelled,
        validation_share=0.0 if validation_places else recipe.validation_share,
        validation_most=recipe.validation_most,
        test_share=recipe.test_share,
        seed=seed,
    )
    if not validation_places:
        return split
    validation = list_labelled(validation_places, pixel_size_nm=pixel_size_nm)
    shared = {one.group for one in validation} & {one.group for one in labelled}
    if shared:
        raise SettingsError(f"{min(shared)} is in the training data and in --validation: choose other micrographs")
    return Split(split.training, validation, split.test)


def settings_digest(*texts: str) -> str:
    """Return the hash of several texts, which tells trainings apart.

    Parameters
    ----------
    *texts : str
        Recipe, seed, hash of the data and whatever else decides a training.

    Returns
    -------
    str
        16 hexadecimal digits.
    """
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=8).hexdigest()


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    """Return rounded scores, with None for NaN, which JSON cannot represent."""
    return {k: None if np.isnan(v) else round(v, 5) for k, v in values.items()}


def resolve_device(device: str) -> str:
    """Return the device that "auto" stands for, or check that the requested one is available.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        The requested device.

    Returns
    -------
    {"cpu", "cuda"}
        The device.

    Raises
    ------
    ModelError
        If CUDA was requested and torch finds none.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelError('device "cuda" was requested, but torch finds none: use "auto"')
    return device
