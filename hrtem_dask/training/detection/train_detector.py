"""Train a detector, from simulated scenes to a model file that records its training."""

from __future__ import annotations

import json
import logging
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hrtem_dask.backend import keep_freed_memory
from hrtem_dask.detection.model_file import DetectorConfig, load_detector, make_network, save_detector
from hrtem_dask.detection.networks.interface import DetectionNetwork
from hrtem_dask.errors import SettingsError
from hrtem_dask.provenance import bytes_hash
from hrtem_dask.training.detection.detection_log import curves_svg, log_csv
from hrtem_dask.training.detection.detection_trainer import DetectionTrainer
from hrtem_dask.training.detection.imagenet_weights import load_trunk
from hrtem_dask.training.detection.recipes import DetectionRecipe
from hrtem_dask.training.detection.samples import SCENE_CLASSES, Sample, SimulatedSamples
from hrtem_dask.training.detection.variation import training_source

__all__ = ["DetectorTraining", "train_detector"]

VALIDATION_SEED = 10**6
"""Added to the seed of the training scenes for those that validate."""
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DetectorTraining:
    """A finished, or ended, training."""

    rows: Sequence[dict[str, float]]
    """Rows of the log, one per epoch."""
    model: DetectionNetwork
    """The network with averaged weights, in evaluation mode."""


def train_detector(
    out: str | Path,
    recipe: DetectionRecipe,
    *,
    initial: str | Path | None = None,
    backbone: str | Path | None = None,
    annotated: Sequence[Sample] = (),
    validation: Sequence[Sample] = (),
    seed: int = 0,
    device: str = "cpu",
    minutes: float | None = None,
    until_images: int | None = None,
    workdir: str | Path | None = None,
) -> DetectorTraining:
    """Train a detector and write its model file; a training in the work folder is resumed.

    Parameters
    ----------
    out : str or path-like
        Path of the model file, ``.safetensors``.
    recipe : DetectionRecipe
        Settings of the training.
    initial : str or path-like, optional
        Detector to start from; its layers replace those of the recipe.
    backbone : str or path-like, optional
        Weights of ImageNet to start from, from `convert_imagenet`; not with `initial`.
    annotated : sequence of Sample
        Annotated micrographs, mixed with simulated scenes as the recipe says.
    validation : sequence of Sample
        Annotated micrographs that validate; by default simulated scenes do.
    seed : int
        Seed of the scenes, the initial weights and the choice of proposals.
    device : {"cpu", "cuda"}
        Device of the computation.
    minutes : float, optional
        Longest training time (min), without interruptions; the learning rate follows it.
    until_images : int, optional
        Stop after the epoch that reaches this number of images; the learning rate remains that of the whole training,
        which the same call with a larger number continues.
    workdir : str or path-like, optional
        Folder for log and checkpoint; by default beside the model.

    Returns
    -------
    DetectorTraining
        Log and network.

    Raises
    ------
    SettingsError
        If the work folder belongs to another training.
    ModelError
        If a file to start from cannot be read.
    """
    out = Path(out)
    workdir = Path(workdir) if workdir else out.with_name(out.stem + ".training")
    keep_freed_memory()
    torch.manual_seed(seed)
    model, config = _start(recipe, initial, backbone, annotated)
    trainer = DetectionTrainer(model, recipe, max_seconds=math.inf if minutes is None else minutes * 60,
                               seed=seed, device=device)  # fmt: skip
    workdir.mkdir(parents=True, exist_ok=True)
    (workdir / "recipe.toml").write_text(recipe.to_toml(), encoding="utf-8")
    origin = [bytes_hash(Path(path).read_bytes()) if path else "" for path in (initial, backbone)]
    content = [bytes_hash(np.ascontiguousarray(sample.image).tobytes()) for sample in annotated]
    fingerprint = bytes_hash("\0".join([recipe.to_toml(), str(seed), *origin, *content]).encode())
    _resume(trainer, workdir / "checkpoint.pt", fingerprint)
    source = training_source(recipe, annotated, seed)
    if not validation:
        scenes = SimulatedSamples(recipe.scenes, recipe.validation_px, seed + VALIDATION_SEED)
        validation = [scenes(i) for i in range(recipe.validation_scenes)]
    last = recipe.images if until_images is None else until_images
    while trainer.share_done < 1 and trainer.progress.images < last:
        row = trainer.epoch(source, validation)
        _logger.info("%s", ", ".join(f"{name} {value:.4g}" for name, value in row.items()))
        _save(trainer, workdir, fingerprint)
        save_detector(trainer.average.model, config, out, metadata=_metadata(trainer, recipe, seed, origin))
    return DetectorTraining(rows=trainer.progress.rows, model=trainer.average.model.eval())


def _start(
    recipe: DetectionRecipe, initial: str | Path | None, backbone: str | Path | None, annotated: Sequence[Sample]
) -> tuple[DetectionNetwork, DetectorConfig]:
    """Return the network to train."""
    if initial is not None:
        if backbone is not None:
            raise SettingsError("give a detector to start from, or weights of ImageNet, not both")
        return load_detector(initial)
    names = {str(name) for sample in annotated for name in sample.instances.class_names}
    known = SCENE_CLASSES[recipe.scenes] if recipe.simulated_share > 0 or not annotated else ()
    config = recipe.config((*known, *sorted(names - set(known))))
    model = make_network(config)
    if backbone is not None:
        load_trunk(model.pyramid.trunk, config.backbone, backbone)
    return model, config


def _resume(trainer: DetectionTrainer, checkpoint: Path, fingerprint: str) -> None:
    """Restore a training from its checkpoint, if there is one."""
    if not checkpoint.exists():
        return
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
        found, state = content["fingerprint"], content["state"]
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise SettingsError(
            f"{checkpoint}: not a checkpoint of a training ({error}); delete it to start again"
        ) from error
    if found != fingerprint:
        raise SettingsError(
            f"{checkpoint.parent}: contains the training of another recipe, seed or network; choose another --workdir, "
            "or delete it to start again"
        )
    trainer.load(state)


def _save(trainer: DetectionTrainer, workdir: Path, fingerprint: str) -> None:
    """Write checkpoint and log; the checkpoint is replaced only after it was written completely."""
    partial = workdir / "checkpoint.partial"
    torch.save({"fingerprint": fingerprint, "state": trainer.state()}, partial)
    partial.replace(workdir / "checkpoint.pt")
    (workdir / "log.csv").write_text(log_csv(trainer.progress.rows), encoding="utf-8")
    picture = curves_svg(trainer.progress.rows, title=workdir.name.removesuffix(".training"))
    (workdir / "curves.svg").write_text(picture, encoding="utf-8")


def _metadata(trainer: DetectionTrainer, recipe: DetectionRecipe, seed: int, origin: Sequence[str]) -> dict[str, str]:
    """Return what the model file records of its training."""
    row: dict[str, Any] = {k: None if math.isnan(v) else round(v, 5) for k, v in trainer.progress.rows[-1].items()}
    return {
        "recipe": recipe.to_toml(),
        "seed": str(seed),
        "start_from": origin[0],
        "backbone": origin[1],
        "validation": json.dumps(row),
        "code_version": version("hrtem-dask"),
    }
