"""One window of an image through a detector."""

from __future__ import annotations

import numpy as np
import torch

from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.network_input import pad_to_stride
from hrtem_dask.detection.networks.interface import DetectionNetwork

__all__ = ["detect_in_window"]


def detect_in_window(
    model: DetectionNetwork, image: np.ndarray, *, device: str = "cpu", min_score: float = 0.05
) -> Instances:
    """Find the instances in an image that is small enough to be looked at as a whole.

    Parameters
    ----------
    model : DetectionNetwork
        The network, on the device.
    image : numpy.ndarray
        Shape (y, x), from `standardize`.
    device : {"cpu", "cuda"}
        Where it is computed.
    min_score : float
        Least score.

    Returns
    -------
    Instances
        What was found, by falling score; centers of rotated boxes are in the image.
    """
    was_training = model.training
    if was_training:  # changing the mode of all layers costs more than a look at a small image
        model.eval()
    padded = torch.from_numpy(np.ascontiguousarray(pad_to_stride(image), dtype=np.float32))[None].to(device)
    height, width = image.shape
    found = model.detect(padded, shape=(height, width), min_score=min_score)
    if was_training:
        model.train()
    return found
