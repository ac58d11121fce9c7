"""Models on disk: the safetensors format of this package, the paper's Keras files, and the hash of a model."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from hrtem_dask.errors import ModelError
from hrtem_dask.provenance import bytes_hash
from hrtem_dask.segmentation.keras_weights import load_keras_weights
from hrtem_dask.segmentation.network_size import check_network_size
from hrtem_dask.segmentation.networks.config import UNetConfig, config_from_dict
from hrtem_dask.segmentation.networks.weights import NetworkWeights
from hrtem_dask.segmentation.quality.dice_model import DiceModel

if TYPE_CHECKING:
    from hrtem_dask.segmentation.unet import UNet

__all__ = [
    "load_dice_model",
    "load_model",
    "load_weights",
    "model_hash",
    "model_metadata",
    "save_model",
    "with_dice_model",
]

FORMAT = "hrtem_dask.unet/1"
ScaleRegime = Literal["lattice", "contrast"]
DICE_MODELS: dict[ScaleRegime, str] = {"lattice": "dice_model", "contrast": "dice_model_contrast"}
"""Key of the header under which the calibration of the mask quality is stored."""
_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def save_model(model: NetworkWeights | UNet, path: str | Path, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a U-Net as safetensors, with its configuration as JSON in the header.

    Parameters
    ----------
    model : NetworkWeights or UNet
        Network to write.
    path : str or path-like
        File to write, by convention ending in ``.safetensors``.
    metadata : mapping of str to str, optional
        Further entries of the header, such as training data, license and code version.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from hrtem_dask.segmentation.networks.config import UNetConfig
    >>> from hrtem_dask.segmentation.unet import UNet
    >>> from hrtem_dask.segmentation.weights import load_model, save_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder) / "small.safetensors"
    ...     save_model(UNet(UNetConfig(widths=(2, 4), centre_width=4)), file)
    ...     load_model(file).config.widths
    (2, 4)
    """
    header = {**(metadata or {}), "format": FORMAT, "config": json.dumps(dataclasses.asdict(model.config))}
    weights = model if isinstance(model, NetworkWeights) else model.weights()
    # safetensors writes the memory as it lies, and that of PyTorch may be channels_last
    arrays = {name: np.ascontiguousarray(values) for name, values in weights.arrays.items()}
    save_file(arrays, Path(path), metadata=header)


def load_model(path: str | Path) -> UNet:
    """Read a U-Net in either of the two formats as a module of PyTorch.

    Parameters
    ----------
    path : str or path-like
        As for `load_weights`.

    Returns
    -------
    UNet
        The network in evaluation mode, on the CPU, float32.

    Raises
    ------
    ModelError
        If the file is missing or of another format, or its weights do not fit its configuration.
    """
    from hrtem_dask.segmentation.unet import UNet  # needs PyTorch, which an analysis on a CPU does without

    return UNet.from_weights(load_weights(path))


def load_weights(path: str | Path) -> NetworkWeights:
    """Read the weights of a U-Net in either of the two formats; PyTorch is not needed.

    Parameters
    ----------
    path : str or path-like
        A ``.safetensors`` file of this package, or Keras 2 weights ``.h5`` as of the paper; the content decides.

    Returns
    -------
    NetworkWeights
        Configuration and arrays, float32.

    Raises
    ------
    ModelError
        If the file is missing or of another format, or its weights do not fit its configuration.
    """
    try:
        with Path(path).open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise ModelError(f"cannot read the model file {str(path)!r}: {error.strerror}") from error
    if start.startswith(_HDF5_SIGNATURE):
        return load_keras_weights(path)
    if start[8:9] == b"{":
        return _load_safetensors(path)
    raise ModelError(
        f"{path}: is neither a safetensors file nor a Keras weight file (HDF5); "
        "pickled models (.pt, .pth, .pkl) are not read because they can run code"
    )


def _load_safetensors(path: str | Path) -> NetworkWeights:
    """Read the safetensors format of this package."""
    try:
        with safe_open(path, framework="numpy") as file:
            config = _read_config(file.metadata() or {}, path)
            # files of earlier versions hold counts of batches too, which nothing uses
            names = [name for name in file.keys() if not name.endswith(".num_batches_tracked")]  # noqa: SIM118 - not a dict
            arrays = {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, TypeError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors: {error}") from error
    try:
        weights = NetworkWeights(config, {name: values.astype(np.float32) for name, values in arrays.items()})
    except (TypeError, ValueError) as error:
        raise ModelError(f"{path}: weights and configuration do not fit: {error}") from error
    if not all(np.isfinite(values).all() for values in weights.arrays.values()):
        raise ModelError(f"{path}: holds NaN or infinite weights")
    return weights


def _read_config(header: Mapping[str, str], path: str | Path) -> UNetConfig:
    """Return the configuration in a header, whose network is no larger than the file."""
    if header.get("format") != FORMAT:
        raise ModelError(f"{path}: is not a U-Net of this package: format {header.get('format')!r}, need {FORMAT!r}")
    try:
        config = config_from_dict(json.loads(header["config"]))
    except (KeyError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: weights and configuration do not fit: {error}") from error
    check_network_size(config, Path(path).stat().st_size, str(path))
    return config


def model_metadata(path: str | Path) -> dict[str, str]:
    """Read the header of a model's file.

    Parameters
    ----------
    path : str or path-like
        A model that `load_model` reads.

    Returns
    -------
    dict of str to str
        Entries of the header; empty for the paper's Keras files.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            if file.read(8) == _HDF5_SIGNATURE:
                return {}
        with safe_open(path, framework="numpy") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: its header cannot be read: {error}") from error


def load_dice_model(path: str | Path, regime: ScaleRegime = "lattice") -> DiceModel | None:
    """Read the model that predicts the quality of a network's masks.

    Parameters
    ----------
    path : str or path-like
        The network's file.
    regime : {"lattice", "contrast"}
        Whether for masks at the scale of the pixel size, or at a scale found from the image.

    Returns
    -------
    DiceModel or None
        The model; None where the file holds none.

    Raises
    ------
    ModelError
        If the file cannot be read, or the model in it is damaged.
    """
    text = model_metadata(path).get(DICE_MODELS[regime])
    try:
        return None if text is None else DiceModel.from_json(text)
    except ValueError as error:
        raise ModelError(f"{path}: {error}; fit it again, or set segmentation.predict_quality = false") from error


def with_dice_model(
    path: str | Path, dice_model: DiceModel, out: str | Path, *, regime: ScaleRegime = "lattice"
) -> None:
    """Write a network together with the model that predicts the quality of its masks.

    Parameters
    ----------
    path : str or path-like
        File of the network, in either format.
    dice_model : DiceModel
        Model fitted by `training.network.dice_calibration`.
    out : str or path-like
        The safetensors file to write; it may be the network's own file.
    regime : {"lattice", "contrast"}
        Which masks the model describes; that of the other regime stays.
    """
    metadata = {**model_metadata(path), DICE_MODELS[regime]: dice_model.to_json()}
    save_model(load_weights(path), out, metadata=metadata)


def model_hash(path: str | Path) -> str:
    """Return the hash of a model file's content.

    Parameters
    ----------
    path : str or path-like
        Any file.

    Returns
    -------
    str
        BLAKE2b hash, 16 hexadecimal digits; it is recomputed only when the file's size or time has changed.

    Raises
    ------
    ModelError
        If the file cannot be read.
    """
    try:
        resolved = Path(path).resolve(strict=True)
        status = resolved.stat()
        return _content_hash(resolved, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise ModelError(f"cannot read the model file {str(path)!r}: {error.strerror}") from error


@functools.lru_cache(maxsize=64)
def _content_hash(path: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 - the key of the cache
    return bytes_hash(path.read_bytes())
