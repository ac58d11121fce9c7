"""A trained detector, ready for micrographs of any size."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from hrtem_dask.detection.inference import detect_in_window
from hrtem_dask.detection.instance_masks import mask_of_box
from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.model_file import DetectorConfig, load_detector
from hrtem_dask.detection.network_input import standardize
from hrtem_dask.detection.networks.interface import DetectionNetwork
from hrtem_dask.detection.rescaling import rescale_image, rescale_instances
from hrtem_dask.detection.scale_search import MIN_SCORE, search_scale
from hrtem_dask.detection.tiles import detect_in_tiles
from hrtem_dask.errors import ModelError, SettingsError
from hrtem_dask.provenance import bytes_hash

__all__ = ["Detector", "make_detector"]

Engine = Literal["auto", "openvino", "torch"]
"""What computes backbone and first stage on a CPU."""
OPENVINO_BACKBONES = ("efficientnet_lite0",)
"""Backbones whose layers `networks.openvino_features` knows."""


class Detector:
    """A trained detector on a device.

    Parameters
    ----------
    model : DetectionNetwork
        The network.
    config : DetectorConfig
        Its layers.
    model_hash : str
        Hash of its file.
    device : {"cpu", "cuda"}
        Where it computes.
    engine : {"auto", "openvino", "torch"}
        What computes backbone and first stage on a CPU: ``"auto"`` is OpenVINO where it is installed and knows the
        backbone, else torch. On CUDA it is always torch.

    Raises
    ------
    ModelError
        If `engine` is ``"openvino"``, which does not know the backbone.
    """

    def __init__(
        self, model: DetectionNetwork, config: DetectorConfig, model_hash: str, device: str, engine: Engine = "auto"
    ) -> None:
        self.model = model.to(device=device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
        self.config, self.model_hash, self.device = config, model_hash, device
        self.engine = _choose_engine(engine, config, device)
        """``"openvino"`` or ``"torch"``."""
        if self.engine == "openvino":
            from hrtem_dask.detection.networks.openvino_features import OpenVINOFeatures

            self.model.features = OpenVINOFeatures(model.pyramid, *model.convolutions())

    def __call__(
        self,
        image: np.ndarray,
        *,
        min_score: float = 0.3,
        scale: float = 1.0,
        tile_px: int = 1024,
        overlap_px: int = 320,
    ) -> Instances:
        """Find the instances of a micrograph.

        Parameters
        ----------
        image : numpy.ndarray
            Shape (y, x), any real dtype, finite.
        min_score : float
            Least score, 0 to 1.
        scale : float
            Pixels that the network sees per pixel of the micrograph, see `at_found_scale`.
        tile_px : int
            Micrographs that are larger at that scale are looked at in tiles of this side (px).
        overlap_px : int
            Overlap of tiles (px): the longest instance, at that scale, that is surely found as a whole.

        Returns
        -------
        Instances
            In pixels of the micrograph, by falling score, each with its mask: that of the network, or the rectangle of
            its rotated box.
        """
        seen = standardize(rescale_image(image, scale))
        found = detect_in_tiles(seen, self._detect(min_score), tile_px=tile_px, overlap_px=overlap_px)
        return _complete(found, (image.shape[0], image.shape[1]))

    def at_found_scale(
        self, image: np.ndarray, *, min_score: float = 0.3, tile_px: int = 1024, overlap_px: int = 320
    ) -> tuple[Instances, float]:
        """Find the scale at which the detector sees a micrograph best, and the instances at that scale.

        Parameters
        ----------
        image : numpy.ndarray
            Shape (y, x), any real dtype, finite.
        min_score, tile_px, overlap_px : float
            As for the detector itself.

        Returns
        -------
        found : Instances
            As of the detector itself at that scale.
        scale : float
            Pixels that the network sees per pixel of the micrograph.
        """
        search = search_scale(image, self._detect(min(min_score, MIN_SCORE)))
        if search.whole is None or max(search.whole.shape) > tile_px:
            found = self(image, min_score=min_score, scale=search.scale, tile_px=tile_px, overlap_px=overlap_px)
            return found, search.scale
        sure = search.whole.select(search.whole.scores >= min_score)
        return _complete(sure, (image.shape[0], image.shape[1])), search.scale

    def _detect(self, min_score: float) -> Callable[[np.ndarray], Instances]:
        """Return what finds the instances of one tile."""
        return partial(detect_in_window, self.model, device=self.device, min_score=min_score)


def _choose_engine(engine: Engine, config: DetectorConfig, device: str) -> Literal["openvino", "torch"]:
    """Return what computes backbone and first stage."""
    knows = config.backbone in OPENVINO_BACKBONES
    if engine == "openvino" and not knows:
        raise ModelError(
            f"OpenVINO is not told the layers of {config.backbone}, the backbone of this detector: choose the engine "
            "auto or torch"
        )
    if device != "cpu" or engine == "torch" or not knows:
        return "torch"
    is_here = engine == "openvino" or importlib.util.find_spec("openvino") is not None
    return "openvino" if is_here else "torch"


def _complete(found: Instances, shape: tuple[int, int]) -> Instances:
    """Return instances in pixels of the micrograph, each with its mask."""
    found = rescale_instances(found, shape)
    masks = found.masks
    if masks is None:
        masks = tuple(mask_of_box(box, shape) for box in found.rotated_boxes)
    complete = Instances.from_rotated_boxes(
        found.rotated_boxes, shape=shape, class_names=found.class_names, scores=found.scores, masks=masks
    )
    return complete.select(np.array([mask.area_px > 0 for mask in masks], dtype=bool))


_detectors: dict[tuple[str, str, str], Detector] = {}
_KEPT = 4
_lock = threading.Lock()


def make_detector(path: str | Path, kind: str, *, device: str = "cpu", engine: Engine = "auto") -> Detector:
    """Return a detector; its file is read once per process.

    Parameters
    ----------
    path : str or path-like
        Model file, from `hrtem-dask train detection`.
    kind : {"rotated_rcnn", "mask_rcnn"}
        Which kind it must be.
    device : {"cpu", "cuda"}
        Where it computes.
    engine : {"auto", "openvino", "torch"}
        What computes most of it on a CPU, see `Detector`.

    Returns
    -------
    Detector
        The same object for the same content, device and engine.

    Raises
    ------
    ModelError
        If the file cannot be read, or the engine does not know its backbone.
    SettingsError
        If the model is of the other kind.
    """
    try:
        content = bytes_hash(Path(path).read_bytes())
    except OSError as error:
        raise ModelError(
            f"cannot read the detector {str(path)!r}: {error.strerror}; give the file of one with --model, or train "
            "one with `hrtem-dask train detection`"
        ) from error
    with _lock:
        key = (content, device, engine)
        if key not in _detectors:
            model, config = load_detector(path)
            _detectors[key] = Detector(model, config, content, device, engine)
            if len(_detectors) > _KEPT:
                del _detectors[next(iter(_detectors))]
        detector = _detectors[key]
    if detector.config.kind != kind:
        raise SettingsError(
            f"{path}: is a {detector.config.kind}, not a {kind}: choose --method {detector.config.kind}"
        )
    return detector
