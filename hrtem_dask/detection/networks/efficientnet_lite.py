"""EfficientNet-Lite0, for which torchvision has no network: its layers and names are those of the published weights.

M. Tan and Q. V. Le, ICML 2019; the Lite variants have neither squeeze-and-excitation nor swish. Padding is that of
TensorFlow, with which the weights were trained: at stride 2 an even side is padded behind its end only.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional
from torchvision.ops.misc import FrozenBatchNorm2d

__all__ = ["LAST_BLOCKS", "STAGE_CHANNELS", "EfficientNetLite0"]

_STAGES = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3), (6, 5, 2, 192, 4),
           (6, 3, 1, 320, 1))  # fmt: skip
"""Expansion, kernel (px), stride, channels and number of blocks of each stage."""
STAGE_CHANNELS = {4: 24, 8: 40, 16: 112, 32: 320}
"""Stride (px) → channels of the last layer with that stride."""
LAST_BLOCKS = {2: 4, 4: 8, 10: 16, 15: 32}
"""Number of the last block → its stride (px)."""


def _pad_same(x: torch.Tensor, kernel: int, stride: int) -> torch.Tensor:
    """Pad as TensorFlow's "same": the outputs are ⌈side / stride⌉, and an odd pixel of padding stands at the end."""
    pads = []
    for side in (x.shape[-1], x.shape[-2]):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads)


class _Block(nn.Module):
    """Inverted residual block: expansion, depthwise convolution, projection."""

    def __init__(self, n_in: int, n_out: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        inner = n_in * expansion
        self._expand_conv = nn.Conv2d(n_in, inner, 1, bias=False) if expansion > 1 else None
        self._bn0 = FrozenBatchNorm2d(inner, eps=1e-3) if expansion > 1 else None
        self._depthwise_conv = nn.Conv2d(inner, inner, kernel, stride, groups=inner, bias=False)
        self._bn1 = FrozenBatchNorm2d(inner, eps=1e-3)
        self._project_conv = nn.Conv2d(inner, n_out, 1, bias=False)
        self._bn2 = FrozenBatchNorm2d(n_out, eps=1e-3)
        self._kernel, self._stride = kernel, stride
        self._has_shortcut = stride == 1 and n_in == n_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output for an input of shape (n, channels, y, x)."""
        y = x
        if self._expand_conv is not None and self._bn0 is not None:
            y = functional.relu6(self._bn0(self._expand_conv(y)))
        y = functional.relu6(self._bn1(self._depthwise_conv(_pad_same(y, self._kernel, self._stride))))
        projected: torch.Tensor = self._bn2(self._project_conv(y))
        return x + projected if self._has_shortcut else projected


class EfficientNetLite0(nn.Module):
    """Network without its head: an image gives the features of four strides.

    Parameters
    ----------
    n_inputs : int
        Channels of the image.
    """

    def __init__(self, n_inputs: int = 1) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(n_inputs, 32, 3, 2, bias=False)
        self._bn0 = FrozenBatchNorm2d(32, eps=1e-3)
        blocks = []
        channels = [32] + [stage[3] for stage in _STAGES]
        for (n_in, n_out), (expansion, kernel, stride, _, repeats) in zip(pairwise(channels), _STAGES, strict=True):
            blocks.append(_Block(n_in, n_out, expansion, kernel, stride))
            blocks += [_Block(n_out, n_out, expansion, kernel, 1) for _ in range(repeats - 1)]
        self._blocks = nn.ModuleList(blocks)

    @property
    def early_layers(self) -> list[nn.Module]:
        """The layers up to the first features."""
        return [self._conv_stem, *self._blocks[: min(LAST_BLOCKS) + 1]]

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Compute the features of an image.

        Parameters
        ----------
        x : torch.Tensor
            Shape (n, channels, y, x).

        Returns
        -------
        dict of str to torch.Tensor
            Stride as text → features, shape (n, channels, y / stride, x / stride).
        """
        x = functional.relu6(self._bn0(self._conv_stem(_pad_same(x, 3, 2))))
        features = {}
        for number, block in enumerate(self._blocks):
            x = block(x)
            if number in LAST_BLOCKS:
                features[str(LAST_BLOCKS[number])] = x
        return features
