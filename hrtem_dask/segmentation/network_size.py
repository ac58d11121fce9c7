"""The size of a network by its configuration, judged before any memory is spent on it."""

from __future__ import annotations

from hrtem_dask.errors import ModelError
from hrtem_dask.segmentation.networks.config import UNetConfig

__all__ = ["check_network_size", "count_weights"]

MAX_CONVOLUTIONS = 1000
"""Most convolutions of a network: each is a module of some 10 kB even without weights."""
MAX_STRIDE_PX = 4096
"""Largest total stride (px): the sides of images are padded to multiples of it."""


def count_weights(config: UNetConfig) -> int:
    """Count the weights of a network without building it.

    Parameters
    ----------
    config : UNetConfig
        Architecture of the network.

    Returns
    -------
    int
        Number of values in kernels and biases, and in batch normalization with its moving statistics.

    Examples
    --------
    >>> from hrtem_dask.segmentation.network_size import count_weights
    >>> from hrtem_dask.segmentation.networks.config import groschner2021_config
    >>> count_weights(groschner2021_config())
    65490
    """
    entrance = config.block_px**2
    count = 0
    for n_in, n_out in zip((entrance, *config.widths), config.widths, strict=False):
        count += _block(n_in, n_out, config.encoder_convs, config.kernel_px)
    count += _block(config.widths[-1], config.centre_width, config.centre_convs, config.kernel_px)
    for n_below, n_out in zip((*config.widths[1:], config.centre_width), config.widths, strict=True):
        count += _block(n_below + n_out, n_out, config.decoder_convs, config.kernel_px)
    return count + (config.widths[0] + 1) * config.n_outputs * entrance


def check_network_size(config: UNetConfig, stored_bytes: int, what: str) -> None:
    """Raise an error if a configuration describes a network that its file cannot hold.

    Parameters
    ----------
    config : UNetConfig
        Architecture of the network as the file states it.
    stored_bytes : int
        Size in bytes of the weights in the file, or of the file; a weight takes at least one byte.
    what : str
        Name of the file, for the message.

    Raises
    ------
    ModelError
        If the network has more weights than there are bytes, more than 1000 convolutions, or a total stride of more
        than 4096 px.

    Examples
    --------
    >>> from hrtem_dask.segmentation.network_size import check_network_size
    >>> from hrtem_dask.segmentation.networks.config import groschner2021_config
    >>> check_network_size(groschner2021_config(), 10**6, "net.h5")  # 65 490 weights, and no error
    """
    convs = config.centre_convs + (config.encoder_convs + config.decoder_convs) * len(config.widths)
    if convs > MAX_CONVOLUTIONS:
        raise ModelError(
            f"{what}: its network has {convs} convolutions, more than {MAX_CONVOLUTIONS}: use a smaller network"
        )
    if config.total_stride_px > MAX_STRIDE_PX:
        raise ModelError(
            f"{what}: its network reduces {config.block_px} × 2^{len(config.widths)} px to one value, more than "
            f"{MAX_STRIDE_PX}: use a network with fewer levels"
        )
    if (n_weights := count_weights(config)) > stored_bytes:
        raise ModelError(
            f"{what}: its header is damaged: it describes a network of {n_weights} weights, and holds {stored_bytes} "
            "bytes: save the model again, or take an undamaged copy"
        )


def _block(n_in: int, n_out: int, n_convs: int, kernel_px: int) -> int:
    """Count the weights of successive convolutions with bias, each with four values of normalization per channel."""
    return (n_in + (n_convs - 1) * n_out) * n_out * kernel_px**2 + 5 * n_convs * n_out
