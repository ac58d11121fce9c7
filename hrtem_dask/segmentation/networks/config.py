"""Architecture of a U-Net as plain values, which need no library for networks.

The network of Groschner et al. (2021) differs from the textbook in details that its figure does not show: max pooling
takes the output of batch normalization *before* the ReLU while the skip connection takes it after, each encoder block
has one convolution, and epsilon is 1e-4. All of these are fields of the configuration.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from numbers import Integral
from typing import Literal, get_args

__all__ = ["InputScaling", "UNetConfig", "config_from_dict", "groschner2021_config"]

InputScaling = Literal["min_max", "standard"]
"""How an image is scaled before it enters the network."""


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
    >>> from hrtem_dask.segmentation.networks.config import groschner2021_config
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
