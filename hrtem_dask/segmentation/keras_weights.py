"""Import of Keras 2 weight files (``.h5``) of U-Nets, read with h5py, so that nothing is unpickled.

Such a file holds the weights by layer, in order of execution, but not the network. The order of the layers' names
determines the rest: the number of levels, the convolutions per block, and whether pooling precedes the ReLU.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import h5py
import numpy as np

from hrtem_dask.errors import ModelError
from hrtem_dask.segmentation.network_size import check_network_size
from hrtem_dask.segmentation.networks.config import UNetConfig, groschner2021_config
from hrtem_dask.segmentation.networks.weights import NORM_ARRAYS, NetworkWeights, convolutions

__all__ = ["load_keras_weights"]

_KINDS = {"conv2d": "conv", "batch_normalization": "norm", "max_pooling2d": "pool", "activation": "relu",
          "up_sampling2d": "up", "concatenate": "cat", "dropout": "dropout", "input": "input"}  # fmt: skip
LARGEST_COMPRESSION = 10
"""Largest plausible compression ratio of weights; Keras does not compress them."""
MAX_NAMES = 10_000
"""Most layers of a network, and most arrays of a layer."""


def load_keras_weights(path: str | Path, *, pixel_size_nm: float | None = None) -> NetworkWeights:
    """Read a U-Net from a Keras 2 weight file of the paper's kind.

    Parameters
    ----------
    path : str or path-like
        File written by ``model.save_weights(….h5)``.
    pixel_size_nm : float, optional
        Pixel size (nm) of the images that the network was trained on; the file does not state it.

    Returns
    -------
    NetworkWeights
        Configuration and arrays. The epsilon of batch normalization and the dropout are those of the paper, because the
        file does not state them.

    Raises
    ------
    ModelError
        If the file is not a Keras 2 weight file, or its layers are not those of a U-Net.
    """
    try:
        with h5py.File(path, "r") as file:
            layers = _read_layers(file, path)
    except (OSError, RuntimeError, ValueError) as error:  # h5py raises all of these where a header is damaged
        raise ModelError(f"{path}: cannot be read as an HDF5 file: {error}") from error
    convs = [weights for kind, weights in layers if kind == "conv"]
    norms = [weights for kind, weights in layers if kind == "norm"]
    config = _infer_config([kind for kind, _ in layers], convs, pixel_size_nm, path)
    check_network_size(config, sum(values.nbytes for _, weights in layers for values in weights), str(path))
    blocks = convolutions(config)
    if len(convs) != len(blocks) or len(norms) != len(blocks) - 1:
        raise ModelError(
            f"{path}: a U-Net like this has {len(blocks)} convolutions and {len(blocks) - 1} batch normalizations, "
            f"the file has {len(convs)} and {len(norms)}"
        )
    arrays: dict[str, np.ndarray] = {}
    for i, (block, conv) in enumerate(zip(blocks, convs, strict=True), start=1):
        what = f"{path}: last convolution" if block is blocks[-1] else f"{path}: convolution {i}"
        kernel, bias = _expect(conv, 2, what)
        arrays[f"{block.conv}.weight"] = _checked(_reordered(kernel), block.shape, f"{what}, kernel")
        arrays[f"{block.conv}.bias"] = _checked(bias, block.shape[:1], f"{what}, bias")
    for i, (block, norm) in enumerate(zip(blocks, norms, strict=False), start=1):
        what = f"{path}: batch normalization {i}"
        for name, values in zip(NORM_ARRAYS, _expect(norm, 4, what), strict=True):
            arrays[f"{block.name}.norm.{name}"] = _checked(values, block.shape[:1], what)
    return NetworkWeights(config, arrays)


def _read_layers(file: h5py.File, path: str | Path) -> list[tuple[str, list[np.ndarray]]]:
    """Return kind and weights of each layer, in order."""
    if "model_weights" in file:
        raise ModelError(f"{path}: is a whole Keras model: pass its weights alone, saved by model.save_weights()")
    if "layer_names" not in file.attrs:
        raise ModelError(f"{path}: has no layer_names, so it is not a Keras 2 weight file")
    layers, left_bytes = [], LARGEST_COMPRESSION * Path(path).stat().st_size
    for name in _read_names(file, "layer_names", path):
        try:
            group = file[name]
            weights = []
            for key in _read_names(group, "weight_names", path):
                left_bytes -= _check_array(group[key], left_bytes, f"{path}: weights {key!r} of layer {name!r}")
                weights.append(np.asarray(group[key]))
        except (AttributeError, KeyError, TypeError) as error:
            raise ModelError(f"{path}: the weights of layer {name!r} are missing: {error}") from error
        kind = _KINDS.get(re.sub(r"_\d+$", "", name), "conv" if weights else "")
        if not kind:
            raise ModelError(f"{path}: layer {name!r} does not belong to this kind of U-Net")
        layers.append((kind, weights))
    return layers


def _read_names(group: h5py.Group, key: str, path: str | Path) -> list[str]:
    """Return the names in an attribute."""
    n_names = math.prod(group.attrs.get_id(key).shape or (0,))
    if n_names > MAX_NAMES:
        raise ModelError(f"{path}: {key} has {n_names} names, more than {MAX_NAMES}: save the weights again")
    return [raw.decode() if isinstance(raw, bytes) else str(raw) for raw in np.ravel(group.attrs[key])]


def _check_array(array: h5py.Dataset, left_bytes: int, what: str) -> int:
    """Return the size of an array in bytes; raise ModelError where it, or one of its chunks, exceeds what is left."""
    if array.dtype.kind not in "fiu":
        raise ModelError(f"{what} are not numbers but {array.dtype}: save the weights again")
    n_bytes: int = max(array.size or 0, math.prod(array.chunks or (0,))) * array.dtype.itemsize
    if n_bytes > left_bytes:
        raise ModelError(
            f"{what}: the header is damaged: it states {n_bytes} bytes, more than the {left_bytes} that are left of "
            f"{LARGEST_COMPRESSION} times the file's size: save the weights again, or take an undamaged copy"
        )
    return n_bytes


def _infer_config(
    kinds: list[str], convs: list[list[np.ndarray]], pixel_size_nm: float | None, path: str | Path
) -> UNetConfig:
    """Infer levels, blocks and widths from the order of layers and the shapes of kernels."""
    n_levels = kinds.count("pool")
    if n_levels < 1 or kinds.count("up") != n_levels or kinds[-1] != "conv":
        raise ModelError(
            f"{path}: a U-Net has as many poolings as upsamplings and a convolution last, "
            f"this file has {n_levels} and {kinds.count('up')}, and {kinds[-1]!r} last"
        )
    first_pool = kinds.index("pool")
    last_pool, first_up = len(kinds) - 1 - kinds[::-1].index("pool"), kinds.index("up")
    n_encoder = kinds[:first_pool].count("conv")
    n_center = kinds[last_pool:first_up].count("conv")
    n_decoder, rest = divmod(kinds[first_up:-1].count("conv"), n_levels)
    if rest or kinds[:last_pool].count("conv") != n_encoder * n_levels or not (n_encoder and n_center and n_decoder):
        raise ModelError(f"{path}: its blocks have unequal numbers of convolutions: {' '.join(kinds)}")
    for i, weights in enumerate(convs, start=1):
        if len(weights) != 2 or weights[0].ndim != 4 or 0 in weights[0].shape:
            raise ModelError(
                f"{path}: convolution {i} should have a kernel (y, x, in, out) and a bias, has arrays of shapes "
                f"{[values.shape for values in weights]}"
            )
    n_out = [int(weights[0].shape[-1]) for weights in convs]
    config = groschner2021_config(
        widths=tuple(n_out[n_encoder - 1 : n_encoder * n_levels : n_encoder]),
        centre_width=n_out[n_encoder * n_levels],
        pixel_size_nm=pixel_size_nm,
    )
    # with the pooling after the ReLU, as many activations as convolutions would stand before the first pooling
    found = {
        "encoder_convs": n_encoder,
        "centre_convs": n_center,
        "decoder_convs": n_decoder,
        "kernel_px": int(convs[0][0].shape[0]),
        "n_classes": n_out[-1],
        "particle_class": min(1, n_out[-1] - 1),
        "pool_before_relu": kinds[:first_pool].count("relu") < n_encoder,
    }
    try:
        return UNetConfig(**{**vars(config), **found})
    except ValueError as error:
        raise ModelError(f"{path}: its layers are not those of a U-Net: {error}") from error


def _reordered(kernel: np.ndarray) -> np.ndarray:
    """Return a kernel (y, x, in, out) as (out, in, y, x)."""
    return kernel.transpose(3, 2, 0, 1) if kernel.ndim == 4 else kernel


def _expect(weights: list[np.ndarray], n: int, what: str) -> list[np.ndarray]:
    if len(weights) != n:
        raise ModelError(f"{what} should have {n} arrays of weights, has {len(weights)}")
    return weights


def _checked(values: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Return finite values of the expected shape as float32."""
    if values.shape != shape:
        raise ModelError(f"{what} should have shape {shape}, has {values.shape}")
    if not np.isfinite(values).all():
        raise ModelError(f"{what} holds NaN or infinite values")
    return np.array(values, dtype=np.float32)
