"""The running average of the weights of a network over the steps of training."""

from __future__ import annotations

import copy
from typing import Generic, TypedDict, TypeVar

import torch

__all__ = ["AverageState", "WeightAverage"]

Network = TypeVar("Network", bound=torch.nn.Module)


class AverageState(TypedDict):
    """State of a running average, as it is stored in a checkpoint."""

    weights: dict[str, torch.Tensor]
    steps: int


class WeightAverage(Generic[Network]):
    """An exponential moving average of weights and of the statistics of batch normalization.

    Parameters
    ----------
    model : torch.nn.Module
        The network in training; the average starts as its copy.
    decay : float
        Decay per step, at least 0 and below 1. In step n, counted from 0, the decay is at most (1 + n) / (10 + n), so
        that the random initial weights are forgotten. With 0, the average is a copy of the weights.
    """

    def __init__(self, model: Network, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay
        self._steps = 0

    def update(self, model: Network) -> None:
        """Include the weights after one step.

        Parameters
        ----------
        model : torch.nn.Module
            The network in training.
        """
        weight = 1 - min(self._decay, (1 + self._steps) / (10 + self._steps)) if self._decay else 1.0
        self._steps += 1
        floats = [
            (mean, new)
            for mean, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
            if mean.is_floating_point()  # the counter of batches is an integer
        ]
        with torch.no_grad():
            torch._foreach_lerp_([mean for mean, _ in floats], [new for _, new in floats], weight)

    def state_dict(self) -> AverageState:
        """Return the state for a checkpoint.

        Returns
        -------
        AverageState
            Averaged weights and number of steps.
        """
        return {"weights": self.model.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: AverageState) -> None:
        """Restore the state from a checkpoint.

        Parameters
        ----------
        state : AverageState
            Result of `state_dict`.
        """
        self.model.load_state_dict(state["weights"])
        self._steps = int(state["steps"])
