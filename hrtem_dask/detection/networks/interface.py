"""What every network of detection takes and returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import nn

from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.networks.backbones import GrayPyramid
from hrtem_dask.errors import ModelError

__all__ = ["DetectionNetwork", "FirstStage", "class_numbers"]

FirstStage = tuple[OrderedDict[str, torch.Tensor], list[list[torch.Tensor]]]
"""Levels of the pyramid, and each output of the first stage on each level."""


class DetectionNetwork(nn.Module, ABC):
    """A network that finds instances.

    Parameters
    ----------
    class_names : sequence of str
        Classes that it tells apart.
    """

    pyramid: GrayPyramid
    """Backbone, which is the same in all of them."""
    features: Callable[[torch.Tensor], FirstStage] | None
    """What computes the pyramid and the first stage instead of the layers themselves, see `openvino_features`."""

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__()
        self.class_names = tuple(class_names)
        self.features = None

    def convolutions(self) -> tuple[nn.Sequential | None, tuple[nn.Conv2d, ...]]:
        """Return the layers of the first stage that see each level of the pyramid, and their outputs.

        Returns
        -------
        tower : torch.nn.Sequential or None
            Layers; None where another library computes the first stage.
        heads : tuple of torch.nn.Conv2d
            Outputs of the tower.
        """
        return None, ()

    @abstractmethod
    def losses(self, images: torch.Tensor, truth: Sequence[Instances]) -> dict[str, torch.Tensor]:
        """Return what training makes small.

        Parameters
        ----------
        images : torch.Tensor
            Shape (n, 1, y, x), sides multiples of 32 px, mean 0 and standard deviation 1.
        truth : sequence of Instances
            What is true of each image.

        Returns
        -------
        dict of str to torch.Tensor
            Losses, to be added.
        """

    @abstractmethod
    def detect(self, image: torch.Tensor, *, shape: tuple[int, int], min_score: float = 0.05) -> Instances:
        """Find the instances of one image.

        Parameters
        ----------
        image : torch.Tensor
            Shape (1, y, x), sides multiples of 32 px, mean 0 and standard deviation 1.
        shape : tuple of int
            (height, width) of the image without its padding (px).
        min_score : float
            Least score.

        Returns
        -------
        Instances
            By falling score.
        """


def class_numbers(instances: Instances, class_names: Sequence[str], device: torch.device) -> torch.Tensor:
    """Return the classes of instances as numbers.

    Parameters
    ----------
    instances : Instances
        The instances.
    class_names : sequence of str
        Classes of the network.
    device : torch.device
        Where the result is.

    Returns
    -------
    torch.Tensor
        Shape (n,), int64, from 1.

    Raises
    ------
    ModelError
        If an instance has a class that the network does not know.
    """
    unknown = sorted(set(instances.class_names.tolist()) - set(class_names))
    if unknown:
        raise ModelError(
            f"class {unknown[0]!r} is annotated, but the detector knows {', '.join(class_names)}: rename the class, or "
            "train a new detector from weights of ImageNet"
        )
    number = {name: i for i, name in enumerate(class_names, 1)}
    return torch.tensor([number[str(name)] for name in instances.class_names], dtype=torch.int64, device=device)
