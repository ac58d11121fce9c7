"""A U-Net run by PyTorch: on CUDA, and where OpenVINO is not installed or not wanted."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import torch
from torch import nn

from hrtem_dask.segmentation.networks.config import UNetConfig
from hrtem_dask.segmentation.networks.output import CONTACT_SHARPNESS
from hrtem_dask.segmentation.networks.precision import center_of_images
from hrtem_dask.segmentation.tensors import as_array, as_tensor
from hrtem_dask.segmentation.unet import UNet
from hrtem_dask.settings import Precision

__all__ = ["TorchEngine", "output_log_odds", "particle_log_odds"]


def particle_log_odds(logits: torch.Tensor, *, config: UNetConfig) -> torch.Tensor:
    """Return the log-odds of the particle class from class logits.

    Parameters
    ----------
    logits : torch.Tensor
        Shape (n, n_classes, y, x), before softmax; a single class is the particle's logit.
    config : UNetConfig
        Its `n_classes` and `particle_class` are used.

    Returns
    -------
    torch.Tensor
        Shape (n, y, x): ln(p / (1 − p)), where p is the softmax probability of the particle class.

    Examples
    --------
    >>> import torch
    >>> from hrtem_dask.segmentation.networks.torch_engine import particle_log_odds
    >>> from hrtem_dask.segmentation.networks.config import UNetConfig
    >>> config = UNetConfig(widths=(4,), centre_width=4)
    >>> particle_log_odds(torch.tensor([[[[1.0]], [[3.0]]]]), config=config).tolist()
    [[[2.0]]]
    """
    particle = logits[:, config.particle_class]
    others = [c for c in range(config.n_classes) if c != config.particle_class]
    return particle - torch.logsumexp(logits[:, others], dim=1) if others else particle


def output_log_odds(logits: torch.Tensor, *, config: UNetConfig) -> torch.Tensor:
    """Return the log-odds of the particle class, lowered towards 0 where the network sees two particles touch.

    A line of lower probability runs between touching particles, which the splitting of particles follows. Log-odds do
    not change their sign, so that the mask at a probability of 0.5 is that of the particle class.

    Parameters
    ----------
    logits : torch.Tensor
        Shape (n, n_outputs, y, x).
    config : UNetConfig
        Configuration of the network.

    Returns
    -------
    torch.Tensor
        Shape (n, y, x): l − max(l, 0) σ(2 k), with the log-odds l of the particle class, the log-odds k of a contact
        and the logistic function σ. The factor 2 makes the line distinct from the interior of a faint particle.

    Examples
    --------
    >>> import torch
    >>> from hrtem_dask.segmentation.networks.torch_engine import output_log_odds
    >>> from hrtem_dask.segmentation.networks.config import UNetConfig
    >>> config = UNetConfig(widths=(4,), centre_width=4, n_classes=1, particle_class=0, contact_output=True)
    >>> output_log_odds(torch.tensor([[[[4.0, -4.0]], [[0.0, 0.0]]]]), config=config).tolist()
    [[[2.0, -4.0]]]
    """
    log_odds = particle_log_odds(logits, config=config)
    if not config.contact_output:
        return log_odds
    return log_odds - torch.relu(log_odds) * torch.sigmoid(CONTACT_SHARPNESS * logits[:, config.n_classes])


class _Inference(nn.Module):
    """A U-Net with batch normalization folded in, from images to log-odds."""

    def __init__(self, model: UNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(model).cpu().eval().requires_grad_(False)
        for block in self.net.conv_norms():
            _fold(block)
        self.config = model.config
        final, particle = self.net.final, model.config.particle_class
        n = model.config.block_px**2
        if model.config.n_classes == 2:
            # the softmax of two classes is the sigmoid of their difference, so one output channel replaces two
            assert final.bias is not None
            this, other = (slice(c * n, (c + 1) * n) for c in (particle, 1 - particle))
            weight, bias = final.weight[this] - final.weight[other], final.bias[this] - final.bias[other]
            contact = slice(2 * n, None)  # empty for a network without this output
            final.weight = nn.Parameter(torch.cat([weight, final.weight[contact]]), requires_grad=False)
            final.bias = nn.Parameter(torch.cat([bias, final.bias[contact]]), requires_grad=False)
            self.config = dataclasses.replace(model.config, n_classes=1, particle_class=0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return log-odds (n, y, x) for images (n, 1, y, x)."""
        return output_log_odds(self.net(x), config=self.config)


def _fold(block: Any) -> None:
    """Fold batch normalization into the convolution before it, in place."""
    conv, norm = block.conv, block.norm
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = norm.bias.double() + (conv.bias.double() - norm.running_mean.double()) * scale
    conv.weight.copy_((conv.weight.double() * scale[:, None, None, None]).float())
    conv.bias.copy_(bias.float())
    block.norm = nn.Identity()


def _expect_centered(net: UNet, center: float) -> None:
    """Let the first convolution make up for what has been subtracted from the image, in place."""
    block: Any = net.encoders[0].convs[0]  # type: ignore[index]
    conv = block.conv
    conv.bias.add_(center * conv.weight.sum(dim=(1, 2, 3)))
    reach, conv.padding = conv.kernel_size[0] // 2, 0
    block.conv = nn.Sequential(nn.ConstantPad2d(reach, -center), conv)


class TorchEngine:
    """Run a U-Net with torch.

    Parameters
    ----------
    model : UNet
        The trained network; it is copied.
    device : {"cpu", "cuda"}
        Device that the network runs on; images may be on either device, and log-odds return to it.
    precision : {"float32", "bfloat16"}
        Numbers to compute with; see `OpenVINOEngine`.
    """

    name = "torch"

    def __init__(self, model: UNet, *, device: str = "cpu", precision: Precision = "float32") -> None:
        self.device = device
        self._rounded = precision == "bfloat16"
        self._center = center_of_images(model.config, precision)
        inference = _Inference(model)
        if self._center:
            _expect_centered(inference.net, self._center)
        self._module = inference.to(device=torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the particle's log-odds.

        Parameters
        ----------
        images : numpy.ndarray or cupy.ndarray
            Shape (n, y, x), scaled as the model expects; y and x multiples of its total stride.

        Returns
        -------
        numpy.ndarray or cupy.ndarray
            Shape (n, y, x), float32.
        """
        x = as_tensor(images).to(self.device)[:, None]
        # TensorFloat-32, the default of cuDNN, keeps only 10 bits of the mantissa: masks would differ from the CPU's
        rounded = torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self._rounded)
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact, rounded:
            return as_array(self._module(x - self._center if self._center else x).float(), like=images)
