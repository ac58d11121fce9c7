"""The loop: steps, validation, checkpoints, early stopping."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hrtem_dask.errors import ModelError
from hrtem_dask.segmentation.engines import TorchEngine, particle_log_odds
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.training.network.checkpoint import load_checkpoint, save_checkpoint
from hrtem_dask.training.network.crops import Batch, TrainingImage, make_batch, prefetch
from hrtem_dask.training.network.losses import segmentation_loss
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.training_log import curves_svg, journal_csv
from hrtem_dask.training.network.validation import ValidationImage, score_images
from hrtem_dask.training.network.weight_average import WeightAverage

__all__ = ["Fit", "fit", "learning_rate_factor", "uses_bfloat16"]


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What came of a training."""

    model: UNet
    """Of the epoch that is kept, in evaluation mode, on the CPU."""
    best_epoch: int
    """Which one that is, from 1."""
    rows: list[dict[str, float]]
    """One per epoch, as `journal.COLUMNS` says."""
    stopped: str
    """Why it ended."""


@dataclass
class _Progress:
    """What a checkpoint holds besides weights."""

    rows: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    best_score: float = -math.inf
    best_epoch: int = 0
    stopped: str = ""


def fit(
    model: UNet,
    training: Sequence[TrainingImage],
    validation: Sequence[ValidationImage],
    recipe: TrainingRecipe,
    *,
    seed: int = 0,
    device: str = "cpu",
    minutes: float | None = None,
    epochs: int | None = None,
    workdir: Path | None = None,
    fingerprint: str = "",
    say: Callable[[str], None] = print,
) -> Fit:
    """Train a network, or go on where a checkpoint in the work folder left off.

    Parameters
    ----------
    model : UNet
        Where it begins; it is changed.
    training : sequence of TrainingImage
        Crops are drawn from these.
    validation : sequence of ValidationImage
        Scored after each epoch; may be empty: the last weights are then the best.
    recipe : TrainingRecipe
        How.
    seed : int
        Decides crops and dropout: with one machine and number of threads, the same numbers whether interrupted or
        not.
    device : {"cpu", "cuda"}
        Where.
    minutes : float, optional
        Training ends after this time, interruptions left out, and the learning rate follows it.
    epochs : int, optional
        Most epochs; by default those of the recipe, or without limit where `minutes` is given.
    workdir : path-like, optional
        For ``log.csv``, ``curves.svg`` and ``checkpoint.pt``, an existing folder; none are written by default.
    fingerprint : str
        A checkpoint with another one is refused.
    say : callable
        Takes a line after each epoch.

    Returns
    -------
    Fit
        The network of the best epoch, or of the last one, as the recipe says.

    Raises
    ------
    ModelError
        If the loss is no longer finite.
    """
    trainer = _Trainer(model, recipe, seed=seed, device=device)
    trainer.limit_s = math.inf if minutes is None else minutes * 60
    trainer.limit_epochs = epochs or (recipe.epochs if minutes is None else math.inf)
    progress, checkpoint = trainer.progress, None if workdir is None else workdir / "checkpoint.pt"
    state = None if checkpoint is None else load_checkpoint(checkpoint, fingerprint=fingerprint)
    if state is not None:
        trainer.load(state)
        say(f"going on after epoch {len(progress.rows)} of {workdir}")
    while not trainer.is_finished():
        row = trainer.epoch(training, validation)
        say(_line(row, trainer.limit_epochs))
        if checkpoint is not None:
            save_checkpoint(checkpoint, trainer.state(), fingerprint=fingerprint)
            checkpoint.with_name("log.csv").write_text(journal_csv(progress.rows), encoding="utf-8")
            svg = curves_svg(progress.rows, title=f"{recipe.name}, seed {seed}")
            checkpoint.with_name("curves.svg").write_text(svg, encoding="utf-8")
    return Fit(
        model=trainer.best.cpu().eval(),
        best_epoch=progress.best_epoch,
        rows=progress.rows,
        stopped=trainer.why_finished(),
    )


class _Trainer:
    """A network in training, with all of its state."""

    limit_s: float
    limit_epochs: float

    def __init__(self, model: UNet, recipe: TrainingRecipe, *, seed: int, device: str) -> None:
        self.recipe, self.seed, self.device = recipe, seed, device
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.freeze_encoder:
            self.model.encoders.requires_grad_(False)
        trained = [p for p in self.model.parameters() if p.requires_grad]
        if recipe.optimiser == "adamw":
            self.optimiser: torch.optim.Optimizer = torch.optim.AdamW(
                trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
            )
        else:
            self.optimiser = torch.optim.Adam(trained, lr=recipe.learning_rate, fused=True)
        self.average = WeightAverage(self.model, recipe.ema_decay)
        self.best = WeightAverage(self.model, 0).model
        self.progress = _Progress()
        self.bfloat16 = uses_bfloat16(recipe.precision, device)
        self.steps_per_epoch = -(-recipe.crops_per_epoch // recipe.batch)

    def epoch(self, training: Sequence[TrainingImage], validation: Sequence[ValidationImage]) -> dict[str, float]:
        """Train for one epoch, or until the time is over, and validate."""
        begin = time.perf_counter()
        done, before = len(self.progress.rows), self.progress.seconds
        torch.manual_seed(int(np.random.SeedSequence((self.seed, done)).generate_state(1)[0]))
        self._set_mode()
        steps = range(done * self.steps_per_epoch, (done + 1) * self.steps_per_epoch)
        batches = prefetch(
            lambda step: make_batch(training, self.recipe, np.random.default_rng((self.seed, step))), steps
        )
        loss, n_steps, rate = torch.zeros((), device=self.device), 0, 0.0
        try:
            for step, batch in zip(steps, batches, strict=False):
                seconds = before + time.perf_counter() - begin
                rate = self._set_rate(max(step / self.steps_per_epoch / self.limit_epochs, seconds / self.limit_s))
                loss += self._step(batch)
                n_steps += 1
                if seconds >= self.limit_s:
                    break
        finally:
            batches.close()  # type: ignore[attr-defined]
        mean_loss = float(loss) / max(n_steps, 1)
        if not math.isfinite(mean_loss):
            raise ModelError(f"the loss is {mean_loss} in epoch {done + 1}: lower learning_rate, or set clip_norm = 1")
        row = {"epoch": done + 1.0, "training_loss": mean_loss, "learning_rate": rate, **self._validate(validation)}
        self.progress.seconds = before + time.perf_counter() - begin
        self.progress.rows.append(row | {"seconds": self.progress.seconds})
        self._keep_best()
        return self.progress.rows[-1]

    def is_finished(self) -> bool:
        """Say whether nothing is left to do."""
        return bool(self.why_finished())

    def why_finished(self) -> str:
        """Say why training is over, or nothing."""
        progress, patience = self.progress, self.recipe.early_stop_epochs
        if len(progress.rows) >= self.limit_epochs:
            return f"{len(progress.rows)} epochs"
        if progress.seconds >= self.limit_s:
            return f"{progress.seconds / 60:.1f} minutes"
        if patience and len(progress.rows) - _last_improvement(progress.rows, self.recipe) >= patience:
            return f"no improvement of the validation {self.recipe.early_stop_on} for {patience} epochs"
        return ""

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "progress": vars(self.progress),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.best.load_state_dict(state["best"])
        self.optimiser.load_state_dict(state["optimiser"])
        vars(self.progress).update(state["progress"])

    def _set_mode(self) -> None:
        """Switch to training, except what is frozen."""
        self.model.train()
        for block in self.model.conv_norms() if self.recipe.freeze_norm else []:
            block.norm.eval()

    def _set_rate(self, progress: float) -> float:
        """Set the learning rate."""
        factor = learning_rate_factor(progress, self.recipe) if self.recipe.schedule == "one_cycle" else 1.0
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.learning_rate * factor
        return self.recipe.learning_rate * factor

    def _step(self, batch: Batch) -> torch.Tensor:
        """Take one step and return its loss."""
        images, masks, weights = (
            torch.from_numpy(a).to(self.device) for a in (batch.images, batch.masks, batch.weights)
        )
        images = images[:, None].contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.bfloat16):
            logits = self.model(images)
        log_odds = particle_log_odds(logits.float(), config=self.model.config)
        loss = segmentation_loss(log_odds, masks, weights, dice=self.recipe.loss == "dice_cross_entropy")
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_norm > 0:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimiser.step()
        self.average.update(self.model)
        return loss.detach()

    def _validate(self, validation: Sequence[ValidationImage]) -> dict[str, float]:
        """Score the averaged weights."""
        # not OpenVINO: it compiles the network for each shape anew, in each epoch
        engine = TorchEngine(self.average.model, device=self.device)
        scores = score_images(
            validation, engine, self.model.config, dice_loss=self.recipe.loss == "dice_cross_entropy"
        ).summary()
        return {"validation_loss": scores.pop("loss"), **scores}

    def _keep_best(self) -> None:
        """Remember the averaged weights if they are the best so far."""
        row = self.progress.rows[-1]
        score = row["dice_mean"] if self.recipe.early_stop_on == "dice" else -row["validation_loss"]
        if math.isnan(score):  # no micrograph that is not empty, or none at all
            score = -row["validation_loss"] if not math.isnan(row["validation_loss"]) else row["epoch"]
        if score > self.progress.best_score or self.recipe.keep == "last":
            self.progress.best_score, self.progress.best_epoch = score, int(row["epoch"])
            self.best.load_state_dict(self.average.model.state_dict())


def learning_rate_factor(progress: float, recipe: TrainingRecipe) -> float:
    """Return the learning rate over the highest one: a linear rise, then half a cosine.

    Parameters
    ----------
    progress : float
        Share of the training that is over, 0 to 1.
    recipe : TrainingRecipe
        Its `warmup_share`.

    Returns
    -------
    float
        0.04 to 1 in the warm-up, then down to 0.001.
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < recipe.warmup_share:
        return 0.04 + 0.96 * progress / recipe.warmup_share
    rest = (progress - recipe.warmup_share) / (1 - recipe.warmup_share)
    return 0.001 + 0.999 * 0.5 * (1 + math.cos(math.pi * rest))


def uses_bfloat16(precision: str, device: str) -> bool:
    """Say whether convolutions are computed in bfloat16; weights stay float32.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        ``"auto"`` is bfloat16 where the processor has instructions for it.
    device : {"cpu", "cuda"}
        Which processor.

    Returns
    -------
    bool
        True for bfloat16.
    """
    if precision != "auto":
        return precision == "bfloat16"
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # torch offers no public question for this; emulated bfloat16 would be slower than float32
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def _last_improvement(rows: Sequence[dict[str, float]], recipe: TrainingRecipe) -> int:
    """Return the last epoch that was better than all before it by what counts as improvement.

    Of empty micrographs alone there is no Dice, so the loss counts; without any, every epoch is as good.
    """
    sign, name = (1, "dice_mean") if recipe.early_stop_on == "dice" else (-1, "validation_loss")
    if all(math.isnan(row[name]) for row in rows):
        sign, name = -1, "validation_loss"
    values = [sign * row[name] for row in rows]
    if all(math.isnan(value) for value in values):
        return len(rows)
    best, last = -math.inf, 0
    for epoch, value in enumerate(values, start=1):
        if value > best + recipe.early_stop_delta:
            best, last = value, epoch
    return last


def _line(row: dict[str, float], epochs: float) -> str:
    """Say an epoch in a line."""
    names = {"training_loss": "loss", "validation_loss": "validation", "dice_mean": "Dice",
             "dice_median": "median", "precision": "precision", "recall": "recall",
             "empty_false_share": "false on empty"}  # fmt: skip
    shown = ", ".join(f"{said} {row[name]:.4f}" for name, said in names.items() if not math.isnan(row[name]))
    of = f"/{epochs:.0f}" if math.isfinite(epochs) else ""
    return f"epoch {row['epoch']:.0f}{of}: {shown} ({row['seconds'] / 60:.1f} min)"
