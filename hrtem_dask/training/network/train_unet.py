"""Train a U-Net for segmentation, from labelled micrographs to a model file that says how it was made."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
import torch

from hrtem_dask.backend import keep_freed_memory
from hrtem_dask.errors import ModelError, SettingsError
from hrtem_dask.segmentation.engines import make_engine
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.segmentation.weights import load_model, model_hash, save_model
from hrtem_dask.training.labelled.labelled_micrograph import Labelled
from hrtem_dask.training.labelled.sources import list_labelled
from hrtem_dask.training.labelled.split import Split, split_by_group
from hrtem_dask.training.network.crops import TrainingImage, make_training_image
from hrtem_dask.training.network.fit import Fit, fit
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.validation import Scores, ValidationImage, make_validation_image, score_images

__all__ = ["TrainingResult", "train_segmentation"]

TRIAL = 10
"""Micrographs after which the memory that all will take is foreseen."""


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """What a training gave."""

    fit: Fit
    """The network and its history."""
    before: Scores | None
    """Of the network that it began with, on the micrographs held out (those that validate, then those of the test);
    None where it began anew."""
    validation: Scores
    """Of the saved network, per micrograph."""
    test: Scores | None
    """Of the micrographs held out, None where there are none."""


def train_segmentation(
    places: Sequence[str | Path],
    out: str | Path,
    recipe: TrainingRecipe,
    *,
    start_from: str | Path | None = None,
    validation_places: Sequence[str | Path] = (),
    pixel_size_nm: float | None = None,
    seed: int = 0,
    device: str = "auto",
    minutes: float | None = None,
    epochs: int | None = None,
    workdir: str | Path | None = None,
    say: Callable[[str], None] = print,
) -> TrainingResult:
    """Train a network and write it.

    Parameters
    ----------
    places : sequence of str or path-like
        Labelled micrographs, as `list_labelled` takes them.
    out : str or path-like
        The model, ``.safetensors``.
    recipe : TrainingRecipe
        How.
    start_from : str or path-like, optional
        Model to begin with: its network is taken instead of the recipe's.
    validation_places : sequence of str or path-like
        What validates, instead of a share of `places`.
    pixel_size_nm : float, optional
        For images that state none.
    seed : int
        Of split, weights and crops.
    device : {"auto", "cpu", "cuda"}
        Where.
    minutes, epochs : float and int, optional
        Limits, as in `fit`.
    workdir : str or path-like, optional
        For the log, curves and checkpoint; by default beside the model. What is there is gone on with.
    say : callable
        Takes lines of progress.

    Returns
    -------
    TrainingResult
        Network, history and scores.

    Raises
    ------
    SettingsError
        If the micrographs cannot be split, or the work folder belongs to another training.
    """
    out = Path(out)
    workdir = Path(workdir) if workdir else out.with_name(out.stem + ".training")
    where = _device(device)
    keep_freed_memory()
    torch.manual_seed(seed)
    model = UNet(recipe.network) if start_from is None else load_model(start_from)
    recipe = dataclasses.replace(recipe, network=model.config)
    split = _split(places, validation_places, recipe, pixel_size_nm, seed)
    training, validation, test = _read(split, recipe, say)
    before = None if start_from is None else _score(model, [*validation, *test], where)
    data_hash = _hash(training, [*validation, *test])
    origin = "" if start_from is None else model_hash(start_from)
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    result = fit(
        model,
        training,
        validation,
        recipe,
        seed=seed,
        device=where,
        minutes=minutes,
        epochs=epochs,
        workdir=workdir,
        fingerprint=_digest(recipe.to_toml(), str(seed), data_hash, origin),
        say=say,
    )
    scores, test_scores = (_score(result.model, images, where) for images in (validation, test))
    metadata = {
        "recipe": json.dumps(recipe.to_dict()),
        "seed": str(seed),
        "data": json.dumps(_described(places, split, data_hash)),
        "start_from": origin,
        "epoch": str(result.best_epoch),
        "stopped": result.stopped,
        "validation": json.dumps(_finite(scores.summary())),
        "test": json.dumps(_finite(test_scores.summary()) if test else {}),
        "code_version": version("hrtem-dask"),
    }
    save_model(result.model, out, metadata=metadata)
    return TrainingResult(fit=result, before=before, validation=scores, test=test_scores if test else None)


def _described(places: Sequence[str | Path], split: Split, data_hash: str) -> dict[str, object]:
    """Say what a network was trained on."""
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
    """List and split what there is."""
    labelled = list_labelled(places, pixel_size_nm=pixel_size_nm)
    share = 0.0 if validation_places else recipe.validation_share
    split = split_by_group(
        labelled,
        validation_share=share,
        validation_most=recipe.validation_most,
        test_share=recipe.test_share,
        seed=seed,
    )
    if not validation_places:
        return split
    validation = list_labelled(validation_places, pixel_size_nm=pixel_size_nm)
    shared = {one.group for one in validation} & {one.group for one in labelled}
    if shared:
        raise SettingsError(f"{min(shared)} is in the training data and in --validation: name other micrographs")
    return Split(split.training, validation, split.test)


def _read(
    split: Split, recipe: TrainingRecipe, say: Callable[[str], None]
) -> tuple[list[TrainingImage], list[ValidationImage], list[ValidationImage]]:
    """Read everything into memory, as the network sees it."""
    say(f"reading {len(split.training)} micrographs to train on, {len(split.validation) + len(split.test)} held out")
    available, held_bytes = psutil.virtual_memory().available, 0
    training: list[TrainingImage] = []
    for i, one in enumerate(split.training):
        image = make_training_image(one.read(), recipe.network)
        held_bytes += image.image.nbytes + image.mask.nbytes
        if i == TRIAL:
            _warn_of_memory(held_bytes / (i + 1) * len(split.training), available, say)
        if recipe.keep_empty or image.mask.any():
            training.append(image)
    if not training:
        raise SettingsError("no micrograph to train on: all are empty, and the recipe says keep_empty = false")

    def held(part: Sequence[Labelled]) -> list[ValidationImage]:
        images = [make_validation_image(one.micrograph_id, one.read(), recipe.network) for one in part]
        return [one for one in images if recipe.keep_empty or one.truth.any()]

    return training, held(split.validation), held(split.test)


def _warn_of_memory(needed: float, available: int, say: Callable[[str], None]) -> None:
    """Say early where the micrographs will not fit."""
    if needed > 0.7 * available:
        say(
            f"warning: the micrographs will take about {needed / 2**30:.1f} GiB as the network sees them, "
            f"{available / 2**30:.1f} GiB are free: give fewer of them, or train on a larger machine"
        )


def _hash(training: Sequence[TrainingImage], held: Sequence[ValidationImage]) -> str:
    """Return a hash of all images and masks."""
    digest = hashlib.blake2b(digest_size=8)
    for one in [*training, *(h.seen for h in held)]:
        digest.update(np.ascontiguousarray(one.image).data)
        digest.update(np.packbits(one.mask).data)
    return digest.hexdigest()


def _digest(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode(), digest_size=8).hexdigest()


def _finite(values: dict[str, float]) -> dict[str, float | None]:
    """Return scores as JSON holds them."""
    return {k: None if np.isnan(v) else round(v, 5) for k, v in values.items()}


def _device(wish: str) -> str:
    """Return where to train."""
    if wish == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wish == "cuda" and not torch.cuda.is_available():
        raise ModelError('device "cuda" is asked for, but torch finds none: ask for "auto"')
    return wish
