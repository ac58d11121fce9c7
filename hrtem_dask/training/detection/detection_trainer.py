"""A detector in training with its complete state: steps, validation, and the running average of its weights."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from hrtem_dask.detection.inference import detect_in_window
from hrtem_dask.detection.networks.interface import DetectionNetwork
from hrtem_dask.errors import ModelError
from hrtem_dask.evaluation.detection import precision_table
from hrtem_dask.training.detection.recipes import DetectionRecipe
from hrtem_dask.training.detection.samples import Sample, SampleSource
from hrtem_dask.training.network.crops.prefetch import prefetch
from hrtem_dask.training.network.weight_average import WeightAverage

__all__ = ["DetectionProgress", "DetectionTrainer"]


@dataclass
class DetectionProgress:
    """Progress of a training, as far as a checkpoint contains it besides weights."""

    rows: list[dict[str, float]] = field(default_factory=list)
    """Rows of the log, one per epoch."""
    images: int = 0
    """Training images so far."""
    seconds: float = 0.0
    """Training time (s), without interruptions."""


class DetectionTrainer:
    """A detector in training, with all of its state.

    Parameters
    ----------
    model : DetectionNetwork
        The network; its weights are changed.
    recipe : DetectionRecipe
        Settings of the training.
    max_seconds : float
        Longest training time (s).
    seed : int
        Seed of the choice of proposals.
    device : {"cpu", "cuda"}
        Device of the computation.
    """

    def __init__(
        self,
        model: DetectionNetwork,
        recipe: DetectionRecipe,
        *,
        max_seconds: float,
        seed: int,
        device: str,
    ) -> None:
        self.recipe, self.seed, self.device = recipe, seed, device
        self.max_seconds = max_seconds
        self.model = model.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if recipe.frozen == "backbone":
            self.model.pyramid.trunk.requires_grad_(False)
        elif recipe.frozen == "early":
            for layer in self.model.pyramid.trunk.early_layers:
                layer.requires_grad_(False)
        trunk = [p for p in self.model.pyramid.trunk.parameters() if p.requires_grad]
        known = {id(p) for p in trunk}
        rest = [p for p in self.model.parameters() if p.requires_grad and id(p) not in known]
        groups = [{"params": rest, "factor": 1.0}, {"params": trunk, "factor": recipe.backbone_factor}]
        self.optimizer = torch.optim.AdamW([g for g in groups if g["params"]], recipe.learning_rate,
                                           weight_decay=recipe.weight_decay, fused=True)  # fmt: skip
        self.average = WeightAverage(self.model, recipe.average_decay)
        self.progress = DetectionProgress()

    @property
    def share_done(self) -> float:
        """Share of the training that is done, by images or by time, whichever is more: 0 to 1."""
        return min(max(self.progress.images / self.recipe.images, self.progress.seconds / self.max_seconds), 1.0)

    def epoch(self, source: SampleSource, validation: Sequence[Sample]) -> dict[str, float]:
        """Train on the images of one epoch, or until the training ends, and validate.

        Parameters
        ----------
        source : SampleSource
            Training images by number.
        validation : sequence of Sample
            Images to score.

        Returns
        -------
        dict
            The row of the epoch, with all of `detection_log.COLUMNS`.

        Raises
        ------
        ModelError
            If the loss is no longer finite.
        """
        begin, before = time.perf_counter(), self.progress.seconds
        first, batch = self.progress.images, self.recipe.batch
        torch.manual_seed(int(np.random.SeedSequence((self.seed, first)).generate_state(1)[0]))
        self.model.train()
        last = min(first + self.recipe.images_per_epoch, self.recipe.images)
        steps = range(first, last, batch)
        batches = prefetch(lambda start: [source(i) for i in range(start, start + batch)], steps)
        loss, n_steps = 0.0, 0
        try:
            for samples in batches:
                rate = self._set_rate()
                loss += self._step(samples)
                n_steps += 1
                self.progress.images += batch
                self.progress.seconds = before + time.perf_counter() - begin
                if self.share_done >= 1:
                    break
        finally:
            batches.close()
        mean_loss = loss / max(n_steps, 1)
        if not math.isfinite(mean_loss):
            raise ModelError(f"the loss is {mean_loss} after {self.progress.images} images: lower learning_rate")
        scores = self.validate(validation)
        self.progress.seconds = before + time.perf_counter() - begin
        row = {"images": float(self.progress.images), "loss": mean_loss, **scores, "learning_rate": rate,
               "seconds": self.progress.seconds}  # fmt: skip
        self.progress.rows.append(row)
        return row

    def validate(self, validation: Sequence[Sample]) -> dict[str, float]:
        """Score the averaged weights.

        Parameters
        ----------
        validation : sequence of Sample
            Images to score.

        Returns
        -------
        dict of str to float
            ``map50`` and ``map75``: COCO's average precision, averaged over classes; NaN without a true instance.
        """
        found = [detect_in_window(self.average.model, sample.image, device=self.device) for sample in validation]
        true = [sample.instances for sample in validation]
        kind = "masks" if self.recipe.kind == "mask_rcnn" else "rotated_boxes"
        mean = precision_table(true, found, kind=kind, n_resamples=0).iloc[-1]
        return {f"map{percent}": float(mean.get(f"ap{percent}", math.nan)) for percent in (50, 75)}

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint.

        Returns
        -------
        dict
            Weights, optimizer and progress.
        """
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": vars(self.progress),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the state from a checkpoint.

        Parameters
        ----------
        state : dict
            Result of `state`.
        """
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        vars(self.progress).update(state["progress"])

    def _set_rate(self) -> float:
        """Set the learning rate by the share of the training that is done: a linear warm-up, then half a cosine."""
        done, warmup = self.share_done, self.recipe.warmup_share
        factor = 0.02 + 0.98 * done / warmup if done < warmup else (
            0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - warmup) / max(1 - warmup, 1e-9))))  # fmt: skip
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate * factor * group["factor"]
        return self.recipe.learning_rate * factor

    def _step(self, samples: Sequence[Sample]) -> float:
        """Take one step and return its loss."""
        images = torch.from_numpy(np.stack([sample.image for sample in samples]))[:, None].to(self.device)
        images = images.contiguous(memory_format=torch.channels_last)
        losses = self.model.losses(images, [sample.instances for sample in samples])
        loss = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip_norm)
        self.optimizer.step()
        self.average.update(self.model)
        return float(loss.detach())
