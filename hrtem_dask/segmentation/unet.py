"""The U-Net: one general network, and the configuration that makes it the one of Groschner et al. (2021).

The network of the paper differs from the textbook in details that its figure does not show: max pooling takes the
output of batch normalization *before* the ReLU while the skip connection takes it after, each encoder block has one
convolution, and epsilon is 1e-4. All of these are fields of the configuration.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, cast, get_args

import torch
from torch import nn

__all__ = ["InputScaling", "UNet", "UNetConfig", "groschner2021_config", "with_contact_output"]

InputScaling = Literal["min_max", "standard"]
"""How an image is scaled before it enters the network."""
RARE_LOGIT = -3.0
"""Logit of a contact before training: one pixel in twenty."""


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Architecture of a U-Net, and the pixel size and scaling of its training images."""

    widths: tuple[int, ...]
    """Channels per encoder level, from full resolution down."""
    centre_width: int
    """Channels of the center block, below the last encoder level."""
    n_classes: int = 2
    """Output channels: 2 or more are classes of a softmax, 1 is the particle's logit."""
    particle_class: int = 1
    """Number of the particle class, 0 to ``n_classes`` − 1."""
    contact_output: bool = False
    """Whether one more output channel, after the classes, is the logit that another particle touches here."""
    encoder_convs: int = 2
    """Convolutions per encoder block."""
    centre_convs: int = 2
    """Convolutions of the center block."""
    decoder_convs: int = 2
    """Convolutions per decoder block."""
    block_px: int = 1
    """Side of the blocks of pixels that become channels at the entrance and pixels again at the exit: 2 gives the
    network four channels at half the resolution, a quarter of the positions, and still one logit per pixel."""
    kernel_px: int = 3
    """Side of the convolution kernels, odd."""
    pool_before_relu: bool = False
    """Whether pooling takes the output of batch normalization instead of that of the ReLU (the paper's network)."""
    norm_epsilon: float = 1e-5
    """Epsilon of batch normalization."""
    dropout: float = 0.0
    """Probability of dropout after the first convolution of each decoder block, in training only."""
    pixel_size_nm: float | None = None
    """Pixel size (nm) of the training images; None where it is not known."""
    input_scaling: InputScaling = "min_max"
    """Scaling of the input by statistics of the whole image: ``"min_max"`` is [0, 1] by minimum and maximum,
    ``"standard"`` is zero mean and unit standard deviation."""

    def __post_init__(self) -> None:
        counts = (*self.widths, self.centre_width, self.n_classes, self.encoder_convs, self.centre_convs)
        counts += (self.decoder_convs, self.block_px)
        if not all(isinstance(count, Integral) for count in (*counts, self.kernel_px, self.particle_class)):
            raise ValueError(f"widths and numbers of a U-Net are whole numbers, got {self}")
        if not self.widths or min(counts) < 1:
            raise ValueError(f"a U-Net needs at least one level, and 1 or more of everything, got {self}")
        if self.kernel_px % 2 == 0 or self.kernel_px < 1:
            raise ValueError(f"kernel_px must be odd and positive, got {self.kernel_px}")
        if not 0 <= self.particle_class < self.n_classes:
            raise ValueError(f"particle_class must be 0 to {self.n_classes - 1}, got {self.particle_class}")
        if self.input_scaling not in get_args(InputScaling):
            raise ValueError(f"input_scaling must be one of {get_args(InputScaling)}, got {self.input_scaling!r}")
        if self.pixel_size_nm is not None and not self.pixel_size_nm > 0:
            raise ValueError(f"pixel_size_nm must be positive or None, got {self.pixel_size_nm}")

    @property
    def n_outputs(self) -> int:
        """Number of output channels: the classes, and the contact where the network predicts it."""
        return self.n_classes + self.contact_output

    @property
    def total_stride_px(self) -> int:
        """Side (px) of the blocks that pooling reduces to one value; sides of images and tile origins are multiples."""
        return int(self.block_px * 2 ** len(self.widths))

    @property
    def margins_px(self) -> tuple[int, int]:
        """Distance (px) that the receptive field of a stride-aligned block extends beyond its start and its end."""
        start, stop = self._field(0, self.total_stride_px - 1)
        return -start, stop - (self.total_stride_px - 1)

    @property
    def halo_px(self) -> int:
        """Margin (px), a multiple of the total stride, within which the result of a tile may differ from the whole."""
        return -(-max(self.margins_px) // self.total_stride_px) * self.total_stride_px

    @property
    def receptive_field_px(self) -> int:
        """Side (px) of the largest square of the image that one output pixel depends on."""
        fields = (self._field(p, p) for p in range(self.total_stride_px))
        return max(stop - start + 1 for start, stop in fields)

    def _field(self, start: int, stop: int) -> tuple[int, int]:
        """Follow the pixels `start`..`stop` of the output back to the input, along the deepest path."""
        reach = self.kernel_px // 2
        start, stop = start // self.block_px, stop // self.block_px
        for _ in self.widths:
            start, stop = (start - self.decoder_convs * reach) // 2, (stop + self.decoder_convs * reach) // 2
        start, stop = start - self.centre_convs * reach, stop + self.centre_convs * reach
        for _ in self.widths:
            start, stop = 2 * start - self.encoder_convs * reach, 2 * stop + 1 + self.encoder_convs * reach
        return start * self.block_px, stop * self.block_px + self.block_px - 1


def groschner2021_config(
    *, widths: tuple[int, ...] = (4, 8, 16, 32), centre_width: int = 32, pixel_size_nm: float | None = None
) -> UNetConfig:
    """Return the configuration of the paper's network.

    Parameters
    ----------
    widths : tuple of int
        Channels per encoder level.
    centre_width : int
        Channels of the center block.
    pixel_size_nm : float, optional
        Pixel size (nm) of the training images; the paper's weight files do not state it.

    Returns
    -------
    UNetConfig
        The network of Groschner, Choi & Scott, Microsc. Microanal. 27 (2021) 549, as its code builds it.

    Examples
    --------
    >>> from hrtem_dask.segmentation.unet import groschner2021_config
    >>> config = groschner2021_config()
    >>> config.total_stride_px, config.receptive_field_px > 100
    (16, True)
    """
    return UNetConfig(
        widths=widths,
        centre_width=centre_width,
        encoder_convs=1,
        pool_before_relu=True,
        norm_epsilon=1e-4,
        dropout=0.2,
        pixel_size_nm=pixel_size_nm,
    )


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
    >>> from hrtem_dask.segmentation.unet import UNet, UNetConfig
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
    >>> from hrtem_dask.segmentation.unet import UNet, UNetConfig, with_contact_output
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


def config_from_dict(values: dict[str, object]) -> UNetConfig:
    """Read a configuration that was written as JSON.

    Parameters
    ----------
    values : dict
        Output of `dataclasses.asdict`; lists are read as tuples.

    Returns
    -------
    UNetConfig
        The configuration.

    Raises
    ------
    ValueError
        If a field is unknown, missing or out of range.
    """
    if not isinstance(values, dict):
        raise ValueError(f"the network's configuration is no table of fields: {str(values)[:50]}")
    unknown = sorted(set(values) - {f.name for f in dataclasses.fields(UNetConfig)})
    if unknown:
        raise ValueError(f"unknown field {unknown[0]!r} in the network's configuration")
    try:
        return UNetConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})  # type: ignore[arg-type]
    except TypeError as error:
        raise ValueError(f"the network's configuration is incomplete or malformed: {error}") from error
