"""A U-Net as an OpenVINO graph, built operation by operation.

OpenVINO's own converter traces a module of PyTorch. That takes seconds in every worker, uses a deprecated part of
PyTorch, and sends usage statistics over the network. A U-Net needs only eight kinds of operations, which are written
here.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from hrtem_dask import backend
from hrtem_dask.segmentation.networks.weights import FoldedWeights

__all__ = ["openvino_graph"]

openvino = backend.openvino()
opset1, opset13 = openvino.opset1, openvino.opset13


def openvino_graph(folded: FoldedWeights, shape: tuple[int, ...], *, center: float = 0.0) -> Any:
    """Build the graph of a U-Net for one input shape.

    Parameters
    ----------
    folded : FoldedWeights
        Network with batch normalization folded into the convolutions.
    shape : tuple of int
        Shape of the input, (n, 1, y, x); static shapes run fastest.
    center : float
        What has been subtracted from the image: the first convolution makes up for it, and pads with its negative.

    Returns
    -------
    openvino.Model
        Graph from images to logits (n, n_outputs, y, x), float32.
    """
    config, arrays = folded.config, folded.arrays
    image = opset13.parameter(list(shape), dtype=np.float32)
    skips: list[Any] = []
    x = opset13.space_to_depth(image, "depth_first", config.block_px) if config.block_px > 1 else image
    for level in range(len(config.widths)):
        names = [f"encoders.{level}.convs.{i}" for i in range(config.encoder_convs)]
        for name in names[:-1]:
            x, center = opset13.relu(_convolution(x, *arrays[name], center)), 0.0
        x, center = _convolution(x, *arrays[names[-1]], center), 0.0
        skips.append(opset13.relu(x))
        x = opset1.max_pool(x if config.pool_before_relu else skips[-1], [2, 2], [0, 0], [0, 0], [2, 2])
    for i in range(config.centre_convs):
        x = opset13.relu(_convolution(x, *arrays[f"centre.{i}"]))
    for level, skip in enumerate(reversed(skips)):
        x = opset13.concat([skip, _upsample(x)], axis=1)
        for i in range(config.decoder_convs):
            x = opset13.relu(_convolution(x, *arrays[f"decoders.{level}.convs.{i}"]))
    logits = _convolution(x, *arrays["final"])
    if config.block_px > 1:
        logits = opset13.depth_to_space(logits, "depth_first", config.block_px)
    return openvino.Model([logits], [image], "unet")


def _convolution(x: Any, weight: np.ndarray, offset: np.ndarray, center: float = 0.0) -> Any:
    """Convolve with zero padding and add the bias; `center` is what has been subtracted from x."""
    reach = [weight.shape[-1] // 2] * 2
    kernel = opset13.constant(weight)
    bias = opset13.constant((offset + np.float32(center) * weight.sum(axis=(1, 2, 3)))[None, :, None, None])
    if center:
        sides = opset13.constant(np.array([0, 0, *reach], np.int64))
        x = opset13.pad(x, sides, sides, "constant", opset13.constant(np.float32(-center)))
        reach = [0, 0]
    return opset13.add(opset13.convolution(x, kernel, [1, 1], reach, reach, [1, 1]), bias)


def _upsample(x: Any) -> Any:
    """Double y and x by repetition."""
    scales, axes = opset13.constant(np.array([2, 2], np.float32)), opset13.constant(np.array([2, 3], np.int64))
    return opset13.interpolate(
        x,
        scales,
        mode="nearest",
        shape_calculation_mode="scales",
        axes=axes,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
