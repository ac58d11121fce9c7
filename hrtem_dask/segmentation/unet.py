"""The U-Net as a module of PyTorch, which trains it and runs it on GPUs; a CPU needs its weights alone."""

from __future__ import annotations

import dataclasses
from typing import cast

import numpy as np
import torch
from torch import nn

from hrtem_dask.segmentation.networks.config import UNetConfig
from hrtem_dask.segmentation.networks.weights import NetworkWeights

__all__ = ["UNet", "with_contact_output"]

RARE_LOGIT = -3.0
"""Logit of a contact before training: one pixel in twenty."""


class _ConvNorm(nn.Module):
    """Convolution with bias and zero padding, then batch normalization."""

    def __init__(self, n_in: int, n_out: int, config: UNetConfig) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, config.kernel_px, padding=config.kernel_px // 2)
        self.norm: nn.Module = nn.BatchNorm2d(n_out, eps=config.norm_epsilon)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor, activate: bool = True) -> torch.Tensor:
        """Return the activation, or with ``activate=False`` the input of the activation."""
        x = self.norm(self.conv(x))
        return self.relu(x) if activate else x


class _Encoder(nn.Module):
    """Convolutions, a skip connection, and max pooling before or after the last ReLU."""

    def __init__(self, n_in: int, n_out: int, config: UNetConfig) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            _ConvNorm(n_in if i == 0 else n_out, n_out, config) for i in range(config.encoder_convs)
        )
        self.pool = nn.MaxPool2d(2)
        self.pool_before_relu = config.pool_before_relu

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the skip connection and the input of the next level."""
        for block in self.convs[:-1]:
            x = block(x)
        last = cast(_ConvNorm, self.convs[-1])
        x = last(x, activate=False)
        skip = last.relu(x)
        return skip, self.pool(x if self.pool_before_relu else skip)


class _Decoder(nn.Module):
    """Nearest-neighbor upsampling, concatenation [skip, upsampled], convolutions."""

    def __init__(self, n_below: int, n_skip: int, config: UNetConfig) -> None:
        super().__init__()
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.convs = nn.ModuleList(
            _ConvNorm(n_below + n_skip if i == 0 else n_skip, n_skip, config) for i in range(config.decoder_convs)
        )
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        """Return the block's activation."""
        x = self.convs[0](torch.cat([skip, self.upsample(x)], dim=1))
        x = self.dropout(x)
        for block in self.convs[1:]:
            x = block(x)
        return x


class UNet(nn.Module):
    """A U-Net from a one-channel image to class logits.

    Parameters
    ----------
    config : UNetConfig
        Widths, convolutions per block, order of pooling and ReLU.

    Examples
    --------
    >>> import torch
    >>> from hrtem_dask.segmentation.networks.config import UNetConfig
    >>> from hrtem_dask.segmentation.unet import UNet
    >>> network = UNet(UNetConfig(widths=(2, 4), centre_width=4)).eval()
    >>> tuple(network(torch.zeros(1, 1, 16, 16)).shape)  # class logits
    (1, 2, 16, 16)
    """

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.config = config
        above = (config.block_px**2, *config.widths[:-1])
        self.encoders = nn.ModuleList(_Encoder(i, o, config) for i, o in zip(above, config.widths, strict=True))
        self.centre = nn.ModuleList(
            _ConvNorm(config.widths[-1] if i == 0 else config.centre_width, config.centre_width, config)
            for i in range(config.centre_convs)
        )
        below = (*config.widths[1:], config.centre_width)
        self.decoders = nn.ModuleList(
            _Decoder(b, s, config) for b, s in reversed(list(zip(below, config.widths, strict=True)))
        )
        self.final = nn.Conv2d(config.widths[0], config.n_outputs * config.block_px**2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return class logits (before softmax), followed by the logit of a contact where the network has one.

        Parameters
        ----------
        x : torch.Tensor
            Shape (n, 1, y, x), float, scaled by `config.input_scaling`; y and x multiples of the total stride.

        Returns
        -------
        torch.Tensor
            Shape (n, n_outputs, y, x).
        """
        skips = []
        x = nn.functional.pixel_unshuffle(x, self.config.block_px)
        for encoder in self.encoders:
            skip, x = encoder(x)
            skips.append(skip)
        for block in self.centre:
            x = block(x)
        for decoder, skip in zip(self.decoders, reversed(skips), strict=True):
            x = decoder(x, skip)
        return nn.functional.pixel_shuffle(self.final(x), self.config.block_px)

    @classmethod
    def from_weights(cls, weights: NetworkWeights) -> UNet:
        """Build a network from its weights.

        Parameters
        ----------
        weights : NetworkWeights
            Architecture and arrays.

        Returns
        -------
        UNet
            The network in evaluation mode, on the CPU; its weights are copies.
        """
        model = cls(weights.config)
        state = model.state_dict()  # with the counts of batches, which nothing uses and Keras' files lack
        state.update({name: torch.from_numpy(np.array(values)) for name, values in weights.arrays.items()})
        model.load_state_dict(state)
        return model.eval()

    def weights(self) -> NetworkWeights:
        """Return the weights of the network.

        Returns
        -------
        NetworkWeights
            Copies, on the host.
        """
        state = {n: t.detach().cpu().numpy().copy() for n, t in self.state_dict().items() if "batches" not in n}
        return NetworkWeights(self.config, state)

    def conv_norms(self) -> list[nn.Module]:
        """Return every convolution with its batch normalization, in order of execution.

        Returns
        -------
        list of torch.nn.Module
            Modules with the attributes `conv` and `norm`.
        """
        return [m for m in self.modules() if isinstance(m, _ConvNorm)]


def with_contact_output(model: UNet) -> UNet:
    """Return a copy of a network that has an output for contacts, which predicts none before it is trained.

    Parameters
    ----------
    model : UNet
        A network with or without such an output.

    Returns
    -------
    UNet
        The copy; its classes have the same logits. It is the network itself where it has the output already.

    Examples
    --------
    >>> from hrtem_dask.segmentation.networks.config import UNetConfig
    >>> from hrtem_dask.segmentation.unet import UNet, with_contact_output
    >>> with_contact_output(UNet(UNetConfig(widths=(2,), centre_width=2))).config.n_outputs
    3
    """
    if model.config.contact_output:
        return model
    extended = UNet(dataclasses.replace(model.config, contact_output=True))
    state = model.state_dict()
    weight, bias = extended.final.weight, extended.final.bias
    assert bias is not None
    missing = len(weight) - len(state["final.weight"])
    state["final.weight"] = torch.cat([state["final.weight"], torch.zeros(missing, *weight.shape[1:])])
    state["final.bias"] = torch.cat([state["final.bias"], torch.full((missing,), RARE_LOGIT)])
    extended.load_state_dict(state)
    return extended.train(model.training)
