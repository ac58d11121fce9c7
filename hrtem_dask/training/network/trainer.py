"""A network in training with its complete state: steps, validation, and the best weights."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from hrtem_dask.errors import ModelError
from hrtem_dask.segmentation.networks.torch_engine import TorchEngine, particle_log_odds
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.training.network.crops.batches import Batch, make_batch
from hrtem_dask.training.network.crops.prefetch import prefetch
from hrtem_dask.training.network.crops.training_image import TrainingImage
from hrtem_dask.training.network.losses import contact_loss, segmentation_loss
from hrtem_dask.training.network.recipes import TrainingRecipe
from hrtem_dask.training.network.schedule import TrainingLimits, last_improvement, learning_rate_factor
from hrtem_dask.training.network.validation import ValidationImage, score_images
from hrtem_dask.training.network.weight_average import WeightAverage
from hrtem_dask.training.network.work_folder import TrainerState

__all__ = ["Progress", "Trainer", "uses_bfloat16"]


@dataclass
class Progress:
    """Progress of a training, as far as a checkpoint contains it besides weights."""

    rows: list[dict[str, float]] = field(default_factory=list)
    """Rows of the log, one per epoch."""
    seconds: float = 0.0
    """Training time (s), without interruptions."""
    best_score: float = -math.inf
    """Score of the best epoch; higher is better."""
    best_epoch: int = 0
    """Number of the best epoch, counted from 1; 0 before the first epoch."""


class Trainer:
    """A network in training, with all of its state.

    Parameters
    ----------
    model : UNet
        The network; its weights are changed.
    recipe : TrainingRecipe
        Settings of the training.
    limits : TrainingLimits
        Limits of its duration.
    seed : int
        Seed of crops and dropout.
    device : {"cpu", "cuda"}
        Device of the computation.
    """

    def __init__(self, model: UNet, recipe: TrainingRecipe, limits: TrainingLimits, *, seed: int, device: str) -> None:
        self.recipe, self.seed, self.device = recipe, seed, device
        self.max_seconds, self.max_epochs = limits.seconds, limits.max_epochs(recipe)
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.freeze_encoder:
            self.model.encoders.requires_grad_(False)
        self.optimizer = _make_optimizer(self.model, recipe)
        self.average = WeightAverage(self.model, recipe.ema_decay)
        self.best = WeightAverage(self.model, 0).model
        self.progress = Progress()
        self.bfloat16 = uses_bfloat16(recipe.precision, device)
        self.steps_per_epoch = -(-recipe.crops_per_epoch // recipe.batch)

    def epoch(self, training: Sequence[TrainingImage], validation: Sequence[ValidationImage]) -> dict[str, float]:
        """Train for one epoch, or until the time limit, and validate.

        Parameters
        ----------
        training : sequence of TrainingImage
            Images to cut crops from.
        validation : sequence of ValidationImage
            Images to score after the epoch.

        Returns
        -------
        dict
            The row of the epoch, with all of `training_log.COLUMNS`.

        Raises
        ------
        ModelError
            If the loss is no longer finite.
        """
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
                rate = self._set_rate(max(step / self.steps_per_epoch / self.max_epochs, seconds / self.max_seconds))
                loss += self._step(batch)
                n_steps += 1
                if seconds >= self.max_seconds:
                    break
        finally:
            batches.close()
        mean_loss = float(loss) / max(n_steps, 1)
        if not math.isfinite(mean_loss):
            raise ModelError(f"the loss is {mean_loss} in epoch {done + 1}: lower learning_rate, or set clip_norm = 1")
        row = {"epoch": done + 1.0, "training_loss": mean_loss, "learning_rate": rate, **self._validate(validation)}
        self.progress.seconds = before + time.perf_counter() - begin
        self.progress.rows.append(row | {"seconds": self.progress.seconds})
        self._keep_best()
        return self.progress.rows[-1]

    def why_finished(self) -> str:
        """Return why the training is finished.

        Returns
        -------
        str
            The reason; an empty text if the training is not finished.
        """
        progress, patience = self.progress, self.recipe.early_stop_epochs
        if len(progress.rows) >= self.max_epochs:
            return f"{len(progress.rows)} epochs"
        if progress.seconds >= self.max_seconds:
            return f"{progress.seconds / 60:.1f} minutes"
        if patience and len(progress.rows) - last_improvement(progress.rows, self.recipe) >= patience:
            return f"no improvement of the validation {self.recipe.early_stop_on} for {patience} epochs"
        return ""

    def state(self) -> TrainerState:
        """Return the state for a checkpoint.

        Returns
        -------
        TrainerState
            Weights, optimizer and progress.
        """
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "best": self.best.state_dict(),
            "optimiser": self.optimizer.state_dict(),
            "progress": vars(self.progress),
        }

    def load(self, state: TrainerState) -> None:
        """Restore the state from a checkpoint.

        Parameters
        ----------
        state : TrainerState
            Result of `state`.
        """
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.best.load_state_dict(state["best"])
        self.optimizer.load_state_dict(state["optimiser"])
        vars(self.progress).update(state["progress"])

    def _set_mode(self) -> None:
        """Switch to training mode, except for frozen statistics."""
        self.model.train()
        for block in self.model.conv_norms() if self.recipe.freeze_norm else []:
            block.norm.eval()

    def _set_rate(self, progress: float) -> float:
        """Set the learning rate and return it."""
        factor = learning_rate_factor(progress, self.recipe) if self.recipe.schedule == "one_cycle" else 1.0
        for group in self.optimizer.param_groups:
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
        if batch.contacts is not None:
            contacts = torch.from_numpy(batch.contacts).to(self.device)
            touching = logits[:, self.model.config.n_classes].float()
            loss = loss + self.recipe.contact_weight * contact_loss(touching, contacts, masks, weights)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.recipe.clip_norm > 0:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.average.update(self.model)
        return loss.detach()

    def _validate(self, validation: Sequence[ValidationImage]) -> dict[str, float]:
        """Score the averaged weights."""
        # torch and not OpenVINO, which would compile the network for each shape in each epoch
        engine = TorchEngine(self.average.model, device=self.device)
        scores = score_images(
            validation, engine, self.model.config, dice_loss=self.recipe.loss == "dice_cross_entropy"
        ).summary()
        return {"validation_loss": scores.pop("loss"), **scores}

    def _keep_best(self) -> None:
        """Keep the averaged weights if they are the best so far."""
        row = self.progress.rows[-1]
        score = row["dice_mean"] if self.recipe.early_stop_on == "dice" else -row["validation_loss"]
        if math.isnan(score):  # all validation micrographs are empty, or there are none
            score = -row["validation_loss"] if not math.isnan(row["validation_loss"]) else row["epoch"]
        if score > self.progress.best_score or self.recipe.keep == "last":
            self.progress.best_score, self.progress.best_epoch = score, int(row["epoch"])
            self.best.load_state_dict(self.average.model.state_dict())


def _make_optimizer(model: UNet, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    """Return the optimizer of the weights that are not frozen."""
    trained = [p for p in model.parameters() if p.requires_grad]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    return torch.optim.Adam(trained, lr=recipe.learning_rate, fused=True)


def uses_bfloat16(precision: str, device: str) -> bool:
    """Return whether convolutions are computed in bfloat16; weights are always float32.

    Parameters
    ----------
    precision : {"auto", "float32", "bfloat16"}
        ``"auto"`` chooses bfloat16 if the processor has instructions for it.
    device : {"cpu", "cuda"}
        Device of the computation.

    Returns
    -------
    bool
        True for bfloat16.

    Examples
    --------
    >>> uses_bfloat16("float32", "cpu")
    False
    """
    if precision != "auto":
        return precision == "bfloat16"
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # torch has no public function for this; emulated bfloat16 would be slower than float32
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())
