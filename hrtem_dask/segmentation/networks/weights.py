"""The weights of a U-Net as NumPy arrays, checked against its configuration, and folded for inference."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from hrtem_dask.segmentation.networks.config import UNetConfig

__all__ = ["NORM_ARRAYS", "Convolution", "FoldedWeights", "NetworkWeights", "convolutions"]

NORM_ARRAYS = ("weight", "bias", "running_mean", "running_var")
"""Arrays of a batch normalization, in the order of Keras: gamma, beta, moving mean and moving variance."""


@dataclass(frozen=True)
class Convolution:
    """A convolution of a U-Net."""

    name: str
    """Name of its block; ``"final"`` is the last convolution, which has no batch normalization."""
    shape: tuple[int, int, int, int]
    """Shape (out, in, y, x) of its kernel."""

    @property
    def conv(self) -> str:
        """Name of the arrays of kernel and bias, without their ends."""
        return self.name if self.name == "final" else f"{self.name}.conv"

    @property
    def arrays(self) -> dict[str, tuple[int, ...]]:
        """Array shapes of the convolution and of its batch normalization, by their names."""
        found: dict[str, tuple[int, ...]] = {f"{self.conv}.weight": self.shape, f"{self.conv}.bias": self.shape[:1]}
        if self.name != "final":
            found |= {f"{self.name}.norm.{array}": self.shape[:1] for array in NORM_ARRAYS}
        return found


def convolutions(config: UNetConfig) -> list[Convolution]:
    """Return the convolutions of a U-Net in order of execution.

    Parameters
    ----------
    config : UNetConfig
        Architecture of the network.

    Returns
    -------
    list of Convolution
        Names are those of the modules of `unet.UNet`.

    Examples
    --------
    >>> from hrtem_dask.segmentation.networks.config import UNetConfig
    >>> from hrtem_dask.segmentation.networks.weights import convolutions
    >>> config = UNetConfig(widths=(2,), centre_width=3, encoder_convs=1, centre_convs=1, decoder_convs=1)
    >>> [(one.name, one.shape[:2]) for one in convolutions(config)]
    [('encoders.0.convs.0', (2, 1)), ('centre.0', (3, 2)), ('decoders.0.convs.0', (2, 5)), ('final', (2, 2))]
    """
    entrance, widths = config.block_px**2, config.widths
    found: list[Convolution] = []
    for level, (n_in, n_out) in enumerate(zip((entrance, *widths), widths, strict=False)):
        found += _block(f"encoders.{level}.convs", n_in, n_out, config.encoder_convs, config.kernel_px)
    found += _block("centre", widths[-1], config.centre_width, config.centre_convs, config.kernel_px)
    below = (*widths[1:], config.centre_width)
    for i, (n_below, n_out) in enumerate(reversed(list(zip(below, widths, strict=True)))):
        found += _block(f"decoders.{i}.convs", n_below + n_out, n_out, config.decoder_convs, config.kernel_px)
    return [*found, Convolution("final", (config.n_outputs * entrance, widths[0], 1, 1))]


def _block(name: str, n_in: int, n_out: int, n_convs: int, kernel_px: int) -> Iterator[Convolution]:
    """Yield successive convolutions."""
    for i in range(n_convs):
        yield Convolution(f"{name}.{i}", (n_out, n_out if i else n_in, kernel_px, kernel_px))


@dataclass(frozen=True)
class FoldedWeights:
    """A U-Net for inference: batch normalization is part of the convolutions."""

    config: UNetConfig
    """Architecture; two classes have become one, because their softmax is the sigmoid of their difference."""
    arrays: Mapping[str, tuple[np.ndarray, np.ndarray]]
    """Name of each convolution → kernel (out, in, y, x) and bias (out), float32."""


@dataclass(frozen=True)
class NetworkWeights:
    """Architecture and weights of a U-Net.

    Raises
    ------
    ValueError
        If names or shapes of the arrays are not those of the configuration.
    """

    config: UNetConfig
    """Architecture of the network."""
    arrays: Mapping[str, np.ndarray]
    """Arrays, float32, by the names of the state of `unet.UNet`, without its counts of batches."""

    def __post_init__(self) -> None:
        expected = {name: shape for one in convolutions(self.config) for name, shape in one.arrays.items()}
        different = sorted(set(expected) ^ set(self.arrays))
        if different:
            kind = "no" if different[0] in expected else "an unknown"
            raise ValueError(f"there is {kind} array {different[0]!r}")
        for name, shape in expected.items():
            if self.arrays[name].shape != shape:
                raise ValueError(f"size mismatch: {name} should have shape {shape}, has {self.arrays[name].shape}")

    def folded(self) -> FoldedWeights:
        """Fold batch normalization into the convolutions, in float64, and two classes into one.

        Returns
        -------
        FoldedWeights
            It is exact but for rounding, although the network may pool before the ReLU.
        """
        folded = {one.name: self._folded(one) for one in convolutions(self.config)[:-1]}
        weight, bias = self.arrays["final.weight"], self.arrays["final.bias"]
        if self.config.n_classes != 2:
            return FoldedWeights(self.config, {**folded, "final": (weight, bias)})
        n, particle = self.config.block_px**2, self.config.particle_class
        this, other = (slice(c * n, (c + 1) * n) for c in (particle, 1 - particle))
        contact = slice(2 * n, None)  # empty for a network without this output
        final = tuple(np.concatenate([values[this] - values[other], values[contact]]) for values in (weight, bias))
        config = dataclasses.replace(self.config, n_classes=1, particle_class=0)
        return FoldedWeights(config, {**folded, "final": (final[0], final[1])})

    def _folded(self, one: Convolution) -> tuple[np.ndarray, np.ndarray]:
        """Return kernel and bias of a convolution with its batch normalization."""
        kernel, offset = (self.arrays[f"{one.conv}.{part}"].astype(np.float64) for part in ("weight", "bias"))
        gamma, beta, mean, variance = (
            self.arrays[f"{one.name}.norm.{array}"].astype(np.float64) for array in NORM_ARRAYS
        )
        scale = gamma / np.sqrt(variance + self.config.norm_epsilon)
        return (
            (kernel * scale[:, None, None, None]).astype(np.float32),
            (beta + (offset - mean) * scale).astype(np.float32),
        )
