"""Backbones for gray images: a network of ImageNet without its head, and a feature pyramid with strides 4 to 32 px."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import nn
from torchvision.models import mobilenet_v2, resnet50
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.misc import FrozenBatchNorm2d

from hrtem_dask.detection.networks.efficientnet_lite import STAGE_CHANNELS, EfficientNetLite0
from hrtem_dask.errors import ModelError

__all__ = ["BACKBONES", "STRIDES_PX", "BackboneName", "GrayPyramid", "group_norm", "make_trunk"]

BackboneName = Literal["efficientnet_lite0", "mobilenet_v2", "resnet50"]
BACKBONES: tuple[BackboneName, ...] = get_args(BackboneName)
"""Networks that can be a backbone."""
STRIDES_PX = (4, 8, 16, 32)
"""Strides of the levels of a pyramid (px)."""
_CHANNELS: Mapping[BackboneName, tuple[int, ...]] = {
    "efficientnet_lite0": tuple(STAGE_CHANNELS.values()),
    "mobilenet_v2": (24, 32, 96, 320),
    "resnet50": (256, 512, 1024, 2048),
}


class _MobileNetV2(nn.Module):
    """MobileNetV2 of torchvision without its last convolution and head, for gray images."""

    def __init__(self) -> None:
        super().__init__()
        self.features = mobilenet_v2(norm_layer=FrozenBatchNorm2d).features[:18]
        self.features[0][0] = nn.Conv2d(1, 32, 3, 2, 1, bias=False)

    @property
    def early_layers(self) -> list[nn.Module]:
        """The layers up to the first features."""
        return list(self.features[:4])

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return features of an image of shape (n, 1, y, x) by stride."""
        found: dict[str, torch.Tensor] = {}
        for number, layer in enumerate(self.features):
            x = layer(x)
            if number in (3, 6, 13, 17):
                found[str(STRIDES_PX[len(found)])] = x
        return found


class _ResNet50(nn.Module):
    """ResNet-50 of torchvision without its head, for gray images."""

    def __init__(self) -> None:
        super().__init__()
        net = resnet50(norm_layer=FrozenBatchNorm2d)
        self.conv1 = nn.Conv2d(1, 64, 7, 2, 3, bias=False)
        self.bn1, self.relu, self.maxpool = net.bn1, net.relu, net.maxpool
        self.layer1, self.layer2, self.layer3, self.layer4 = net.layer1, net.layer2, net.layer3, net.layer4

    @property
    def early_layers(self) -> list[nn.Module]:
        """The layers up to the first features."""
        return [self.conv1, self.layer1]

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return features of an image of shape (n, 1, y, x) by stride."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        found: dict[str, torch.Tensor] = {}
        for stride, layer in zip(STRIDES_PX, (self.layer1, self.layer2, self.layer3, self.layer4), strict=True):
            x = found[str(stride)] = layer(x)
        return found


def make_trunk(name: BackboneName) -> nn.Module:
    """Return a network with random weights that gives features of four strides.

    Batch normalization is frozen, because batches of micrographs are too small for statistics of their own.

    Parameters
    ----------
    name : {"efficientnet_lite0", "mobilenet_v2", "resnet50"}
        Which network.

    Returns
    -------
    torch.nn.Module
        Image of shape (n, 1, y, x) → dict of the strides' features.

    Raises
    ------
    ModelError
        If there is no such network.
    """
    if name == "efficientnet_lite0":
        return EfficientNetLite0()
    if name == "mobilenet_v2":
        return _MobileNetV2()
    if name == "resnet50":
        return _ResNet50()
    raise ModelError(f"there is no backbone {name!r}: choose one of {', '.join(BACKBONES)}")


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a normalization that does not depend on the size of the batch.

    Parameters
    ----------
    channels : int
        A multiple of 8.

    Returns
    -------
    torch.nn.GroupNorm
        In eight groups.
    """
    return nn.GroupNorm(8, channels)


class GrayPyramid(nn.Module):
    """Backbone with a feature pyramid (T.-Y. Lin et al., CVPR 2017).

    Parameters
    ----------
    name : {"efficientnet_lite0", "mobilenet_v2", "resnet50"}
        Network of ImageNet.
    channels : int
        Channels of each level of the pyramid.
    """

    def __init__(self, name: BackboneName = "efficientnet_lite0", channels: int = 64) -> None:
        super().__init__()
        self.trunk = make_trunk(name)
        # frozen normalization leaves features of any size: each level is normalized, so that new layers learn at once
        self.fpn = FeaturePyramidNetwork(list(_CHANNELS[name]), channels, norm_layer=group_norm)
        self.out_channels = channels
        """Channels of each level; the name is that of torchvision's backbones."""

    def forward(self, x: torch.Tensor) -> OrderedDict[str, torch.Tensor]:
        """Compute the levels of the pyramid.

        Parameters
        ----------
        x : torch.Tensor
            Shape (n, 1, y, x), sides multiples of 32 px; of three equal channels the first is used.

        Returns
        -------
        OrderedDict of str to torch.Tensor
            Stride as text → shape (n, channels, y / stride, x / stride), finest first.
        """
        levels: OrderedDict[str, torch.Tensor] = self.fpn(OrderedDict(self.trunk(x[:, :1])))
        return levels
