"""Backbone, feature pyramid and first stage of a detector in OpenVINO, for micrographs of any size.

The graph is built operation by operation from the layers, as that of the U-Nets (`segmentation.openvino_graph`), with
batch normalization folded into the convolutions in float64. It has no fixed size: the search for the scale looks at
many, and one compilation serves all of them.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np
import torch
from torch import nn

from hrtem_dask import backend
from hrtem_dask.detection.networks.backbones import STRIDES_PX, GrayPyramid
from hrtem_dask.detection.networks.efficientnet_lite import LAST_BLOCKS, EfficientNetLite0

__all__ = ["OpenVINOFeatures"]

openvino = backend.openvino()
opset1, opset13 = openvino.opset1, openvino.opset13


class OpenVINOFeatures:
    """Run the convolutions of a detector with OpenVINO on the CPU, in float32.

    Parameters
    ----------
    pyramid : GrayPyramid
        On EfficientNet-Lite0; its weights are copied.
    tower : torch.nn.Sequential, optional
        Layers of the first stage that see each level of the pyramid.
    heads : sequence of torch.nn.Conv2d
        Outputs of the tower.
    """

    def __init__(
        self, pyramid: GrayPyramid, tower: nn.Sequential | None = None, heads: tuple[nn.Conv2d, ...] = ()
    ) -> None:
        image = opset13.parameter([1, 1, -1, -1], dtype=np.float32)
        levels = _pyramid(image, pyramid)
        outputs = list(levels)
        if tower is not None:
            seen = [_layers(level, tower) for level in levels]
            outputs += [_convolution(one, head) for head in heads for one in seen]
        properties = {
            "INFERENCE_PRECISION_HINT": "f32",  # stated, because the default on CPUs with AMX is bfloat16
            "ENABLE_CPU_PINNING": False,  # otherwise several worker processes pin their threads to the same core
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
            "NUM_STREAMS": 1,
        }
        self._heads = len(heads)
        model = openvino.Model(outputs, [image], "features")
        self._request = openvino.Core().compile_model(model, "CPU", properties).create_infer_request()
        self._lock = threading.Lock()  # one request runs at a time

    def __call__(self, image: torch.Tensor) -> tuple[OrderedDict[str, torch.Tensor], list[list[torch.Tensor]]]:
        """Compute the levels of the pyramid, and the outputs of the first stage.

        Parameters
        ----------
        image : torch.Tensor
            Shape (1, 1, y, x), sides multiples of 32 px, on the CPU.

        Returns
        -------
        levels : OrderedDict of str to torch.Tensor
            As of `GrayPyramid`.
        maps : list of list of torch.Tensor
            Of each head, its output on each level.
        """
        values = np.ascontiguousarray(image.numpy(), dtype=np.float32)
        with self._lock:
            self._request.infer([values], share_inputs=True)
            n = len(STRIDES_PX) * (1 + self._heads)
            found = [torch.from_numpy(self._request.get_output_tensor(i).data.copy()) for i in range(n)]
        parts = [found[i : i + len(STRIDES_PX)] for i in range(0, n, len(STRIDES_PX))]
        return OrderedDict(zip(map(str, STRIDES_PX), parts[0], strict=True)), parts[1:]


def _pyramid(image: Any, pyramid: GrayPyramid) -> list[Any]:
    """Return the levels of the pyramid, finest first."""
    trunk = pyramid.trunk
    assert isinstance(trunk, EfficientNetLite0)
    x = _relu6(_convolution(image, trunk._conv_stem, norm=trunk._bn0))
    features = []
    for number, block in enumerate(trunk._blocks):
        x = _block(x, block)
        if number in LAST_BLOCKS:
            features.append(x)
    fpn, levels, coarser = pyramid.fpn, [], None
    for inner, layer, feature in reversed(list(zip(fpn.inner_blocks, fpn.layer_blocks, features, strict=True))):
        lateral = _layers(feature, inner)
        coarser = lateral if coarser is None else opset13.add(lateral, _double(coarser))
        levels.append(_layers(coarser, layer))
    return levels[::-1]


def _block(x: Any, block: Any) -> Any:
    """Return the output of an inverted residual block."""
    y = x
    if block._expand_conv is not None:
        y = _relu6(_convolution(y, block._expand_conv, norm=block._bn0))
    y = _relu6(_convolution(y, block._depthwise_conv, norm=block._bn1))
    y = _convolution(y, block._project_conv, norm=block._bn2)
    return opset13.add(x, y) if block._has_shortcut else y


def _layers(x: Any, layers: Any) -> Any:
    """Return the output of convolutions, normalizations by groups and ReLUs, one after the other."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            x = _convolution(x, layer)
        elif isinstance(layer, nn.GroupNorm):
            x = _group_norm(x, layer)
        else:
            assert isinstance(layer, nn.ReLU)
            x = opset13.relu(x)
    return x


def _convolution(x: Any, conv: Any, *, norm: Any = None) -> Any:
    """Convolve, with padding as in TensorFlow's "same" for sides that are multiples of the stride, and normalize."""
    weight = conv.weight.detach().double()
    bias = torch.zeros(len(weight), dtype=torch.float64) if conv.bias is None else conv.bias.detach().double()
    if norm is not None:
        scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        weight, bias = weight * scale[:, None, None, None], norm.bias.double() + (bias - norm.running_mean) * scale
    stride, total = conv.stride[0], conv.kernel_size[0] - conv.stride[0]
    before, after = [total // 2] * 2, [total - total // 2] * 2
    steps, dense = [stride, stride], [1, 1]
    if conv.groups > 1:
        kernel = opset13.constant(_array(weight)[:, None])
        y = opset1.group_convolution(x, kernel, steps, before, after, dense)
    else:
        y = opset1.convolution(x, opset13.constant(_array(weight)), steps, before, after, dense)
    return opset13.add(y, opset13.constant(_array(bias)[None, :, None, None]))


def _group_norm(x: Any, norm: nn.GroupNorm) -> Any:
    """Normalize by groups of channels.

    OpenVINO's own operation splits the channels and brings the whole image into another order for that; here the
    groups are formed of the means of the channels.
    """
    n = norm.num_channels // norm.num_groups
    same_group = np.kron(np.eye(norm.num_groups, dtype=np.float32), np.full((n, n), 1 / n, np.float32))
    over_group = opset13.constant(same_group[:, :, None, None])
    axes = opset13.constant(np.array([2, 3], np.int64))

    def mean(values: Any) -> Any:
        by_channel = opset13.reduce_mean(values, axes, keep_dims=True)
        return opset1.convolution(by_channel, over_group, [1, 1], [0, 0], [0, 0], [1, 1])

    centered = opset13.subtract(x, mean(x))
    variance = mean(opset13.multiply(centered, centered))
    spread = opset13.sqrt(opset13.add(variance, opset13.constant(np.float32(norm.eps))))
    factor = opset13.divide(opset13.constant(_array(norm.weight)[None, :, None, None]), spread)
    return opset13.add(opset13.multiply(centered, factor), opset13.constant(_array(norm.bias)[None, :, None, None]))


def _relu6(x: Any) -> Any:
    """Limit values to 0 to 6."""
    return opset13.clamp(x, 0.0, 6.0)


def _double(x: Any) -> Any:
    """Double y and x by repetition."""
    scales, axes = opset13.constant(np.array([2, 2], np.float32)), opset13.constant(np.array([2, 3], np.int64))
    return opset13.interpolate(
        x, scales, mode="nearest", shape_calculation_mode="scales", axes=axes,
        coordinate_transformation_mode="asymmetric", nearest_mode="floor",
    )  # fmt: skip


def _array(values: torch.Tensor) -> np.ndarray:
    """Return weights as float32."""
    return np.ascontiguousarray(values.detach().float().numpy())
