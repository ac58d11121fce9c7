"""Detectors on disk: safetensors with kind, classes and backbone in the header."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from hrtem_dask.detection.networks.backbones import BACKBONES, BackboneName
from hrtem_dask.detection.networks.interface import DetectionNetwork
from hrtem_dask.detection.networks.mask_rcnn import MaskRCNN
from hrtem_dask.detection.networks.rotated_rcnn import RotatedRCNN
from hrtem_dask.errors import ModelError

__all__ = ["DetectorConfig", "DetectorKind", "load_detector", "make_network", "save_detector"]

FORMAT = "hrtem_dask.detector/1"
DetectorKind = Literal["rotated_rcnn", "mask_rcnn"]
MAX_CLASSES, MAX_CHANNELS = 100, 512
LARGEST_HALF = 6e4
"""Largest number that is written in half precision, whose own limit is 65504."""


@dataclass(frozen=True, kw_only=True)
class DetectorConfig:
    """What decides the layers of a detector."""

    kind: DetectorKind
    """Faster R-CNN with rotated boxes, or Mask R-CNN."""
    class_names: tuple[str, ...]
    """Classes that it tells apart."""
    backbone: BackboneName = "efficientnet_lite0"
    """Network of ImageNet below the feature pyramid."""
    channels: int = 64
    """Channels of the feature pyramid."""

    def __post_init__(self) -> None:
        """Refuse what makes no network."""
        if self.kind not in get_args(DetectorKind) or self.backbone not in BACKBONES:
            raise ModelError(f"there is no detector {self.kind!r} with a backbone {self.backbone!r}")
        if not 1 <= len(self.class_names) <= MAX_CLASSES or len(set(self.class_names)) != len(self.class_names):
            raise ModelError(f"a detector needs 1 to {MAX_CLASSES} different classes, got {list(self.class_names)}")
        if not 8 <= self.channels <= MAX_CHANNELS:
            raise ModelError(f"a feature pyramid has 8 to {MAX_CHANNELS} channels, got {self.channels}")


def make_network(config: DetectorConfig) -> DetectionNetwork:
    """Return a detector with random weights.

    Parameters
    ----------
    config : DetectorConfig
        Its layers.

    Returns
    -------
    DetectionNetwork
        The network.
    """
    make = MaskRCNN if config.kind == "mask_rcnn" else RotatedRCNN
    return make(config.class_names, backbone=config.backbone, channels=config.channels)


def save_detector(
    model: DetectionNetwork, config: DetectorConfig, path: str | Path, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a detector in half precision; vectors whose range half precision does not have stay as they are.

    Parameters
    ----------
    model : DetectionNetwork
        From `make_network`.
    config : DetectorConfig
        Its layers.
    path : str or path-like
        File to write, by convention ending in ``.safetensors``.
    metadata : mapping of str to str, optional
        Further entries of the header, such as training data, license and code version.
    """
    header = {**(metadata or {}), "format": FORMAT, "config": json.dumps(asdict(config))}
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    state = {name: t.half() if _fits_half(t) else t for name, t in state.items()}
    save_file(state, Path(path), metadata=header)


def _fits_half(tensor: torch.Tensor) -> bool:
    """Return whether half precision holds the values; variances of batch normalization may exceed its range."""
    return tensor.dtype == torch.float32 and tensor.numel() > 0 and float(tensor.abs().max()) < LARGEST_HALF


def load_detector(path: str | Path) -> tuple[DetectionNetwork, DetectorConfig]:
    """Read a detector.

    Parameters
    ----------
    path : str or path-like
        File from `save_detector`.

    Returns
    -------
    model : DetectionNetwork
        The network in evaluation mode, on the CPU, float32.
    config : DetectorConfig
        Its layers.

    Raises
    ------
    ModelError
        If the file is missing or of another format, or its weights do not fit its configuration.
    """
    try:
        with safe_open(path, framework="pt") as file:
            config = _read_config(file.metadata() or {}, path)
            state = {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: cannot be read as safetensors: {error}") from error
    if not all(torch.isfinite(tensor).all() for tensor in state.values()):
        raise ModelError(f"{path}: holds NaN or infinite weights")
    model = make_network(config)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise ModelError(f"{path}: weights and configuration do not fit: {error}") from error
    return model.eval(), config


def _read_config(header: Mapping[str, str], path: str | Path) -> DetectorConfig:
    """Return the configuration in a header."""
    if header.get("format") != FORMAT:
        raise ModelError(f"{path}: is not a detector of this package: format {header.get('format')!r}, need {FORMAT!r}")
    try:
        values = dict(json.loads(header["config"]))
        if not isinstance(values.get("channels", 64), int):
            raise TypeError(f"channels must be an integer, got {values['channels']!r}")
        return DetectorConfig(**{**values, "class_names": tuple(str(name) for name in values["class_names"])})
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: its configuration cannot be read: {error}") from error
