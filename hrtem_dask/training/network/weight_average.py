"""The running average of a network's weights over the steps of training: steadier than the weights themselves."""

from __future__ import annotations

import copy

import torch

from hrtem_dask.segmentation.unet import UNet

__all__ = ["WeightAverage"]


class WeightAverage:
    """An exponential moving average of weights and of the statistics of batch normalisation.

    Parameters
    ----------
    model : UNet
        What is trained; the average begins as its copy.
    decay : float
        Per step, 0 to 1; the first steps decay faster, by (1 + n) / (10 + n), so that the random beginning is
        forgotten. 0 copies the weights.
    """

    def __init__(self, model: UNet, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay
        self._steps = 0

    def update(self, model: UNet) -> None:
        """Take a step's weights in.

        Parameters
        ----------
        model : UNet
            The trained network.
        """
        weight = 1 - min(self._decay, (1 + self._steps) / (10 + self._steps)) if self._decay else 1.0
        self._steps += 1
        floats = [
            (mean, new)
            for mean, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True)
            if mean.is_floating_point()  # the counter of batches is not
        ]
        with torch.no_grad():
            torch._foreach_lerp_([mean for mean, _ in floats], [new for _, new in floats], weight)

    def state_dict(self) -> dict[str, object]:
        """Return what a checkpoint keeps.

        Returns
        -------
        dict
            Weights and number of steps.
        """
        return {"weights": self.model.state_dict(), "steps": self._steps}

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from a checkpoint.

        Parameters
        ----------
        state : dict
            From `state_dict`.
        """
        self.model.load_state_dict(state["weights"])  # type: ignore[arg-type]
        self._steps = int(state["steps"])  # type: ignore[call-overload]
