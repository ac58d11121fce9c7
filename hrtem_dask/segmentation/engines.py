"""Engines that run a trained U-Net: OpenVINO on a CPU, torch on CUDA and where OpenVINO is not installed.

Both take a batch of images and return the particle's log-odds, ln(p / (1 − p)), in exact float32, or in bfloat16 where
that is asked for. Batch normalization is folded into the convolution before it, in float64, which is exact although the
network may pool before the ReLU.
"""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import math
import threading
from collections import OrderedDict
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import nn

from hrtem_dask import backend
from hrtem_dask.segmentation.tensors import as_array, as_tensor
from hrtem_dask.segmentation.unet import UNet, UNetConfig
from hrtem_dask.settings import Precision

__all__ = ["Engine", "OpenVINOEngine", "TorchEngine", "make_engine", "output_log_odds", "particle_log_odds"]

COMPILED_PIXELS = 4096**2
"""The most recently used input shapes stay compiled, up to this many pixels in all; a pixel takes about 100 bytes."""

MIDDLE_OF_RANGE = 0.45
"""Typical mean of an image that is scaled to [0, 1]; subtracted before an image is rounded to bfloat16."""
CONTACT_SHARPNESS = 2.0
"""Factor on the log-odds of a contact, see `output_log_odds`."""


class Engine(Protocol):
    """A network ready to run."""

    name: str
    """``"openvino"`` or ``"torch"``."""
    device: str
    """``"cpu"`` or ``"cuda"``."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return log-odds (n, y, x), float32, for images (n, y, x), in the library of `images`."""


def particle_log_odds(logits: torch.Tensor, *, config: UNetConfig) -> torch.Tensor:
    """Return the log-odds of the particle class from class logits.

    Parameters
    ----------
    logits : torch.Tensor
        Shape (n, n_classes, y, x), before softmax; a single class is the particle's logit.
    config : UNetConfig
        Its `n_classes` and `particle_class` are used.

    Returns
    -------
    torch.Tensor
        Shape (n, y, x): ln(p / (1 − p)), where p is the softmax probability of the particle class.

    Examples
    --------
    >>> import torch
    >>> from hrtem_dask.segmentation.engines import particle_log_odds
    >>> from hrtem_dask.segmentation.unet import UNetConfig
    >>> config = UNetConfig(widths=(4,), centre_width=4)
    >>> particle_log_odds(torch.tensor([[[[1.0]], [[3.0]]]]), config=config).tolist()
    [[[2.0]]]
    """
    particle = logits[:, config.particle_class]
    others = [c for c in range(config.n_classes) if c != config.particle_class]
    return particle - torch.logsumexp(logits[:, others], dim=1) if others else particle


def output_log_odds(logits: torch.Tensor, *, config: UNetConfig) -> torch.Tensor:
    """Return the log-odds of the particle class, lowered towards 0 where the network sees two particles touch.

    A line of lower probability runs between touching particles, which the splitting of particles follows. Log-odds do
    not change their sign, so that the mask at a probability of 0.5 is that of the particle class.

    Parameters
    ----------
    logits : torch.Tensor
        Shape (n, n_outputs, y, x).
    config : UNetConfig
        Configuration of the network.

    Returns
    -------
    torch.Tensor
        Shape (n, y, x): l − max(l, 0) σ(2 k), with the log-odds l of the particle class, the log-odds k of a contact
        and the logistic function σ. The factor 2 makes the line distinct from the interior of a faint particle.

    Examples
    --------
    >>> import torch
    >>> from hrtem_dask.segmentation.engines import output_log_odds
    >>> from hrtem_dask.segmentation.unet import UNetConfig
    >>> config = UNetConfig(widths=(4,), centre_width=4, n_classes=1, particle_class=0, contact_output=True)
    >>> output_log_odds(torch.tensor([[[[4.0, -4.0]], [[0.0, 0.0]]]]), config=config).tolist()
    [[[2.0, -4.0]]]
    """
    log_odds = particle_log_odds(logits, config=config)
    if not config.contact_output:
        return log_odds
    return log_odds - torch.relu(log_odds) * torch.sigmoid(CONTACT_SHARPNESS * logits[:, config.n_classes])


class _Inference(nn.Module):
    """A U-Net with batch normalization folded in, from images to log-odds."""

    def __init__(self, model: UNet) -> None:
        super().__init__()
        self.net = copy.deepcopy(model).cpu().eval().requires_grad_(False)
        for block in self.net.conv_norms():
            _fold(block)
        self.config = model.config
        final, particle = self.net.final, model.config.particle_class
        n = model.config.block_px**2
        if model.config.n_classes == 2:
            # the softmax of two classes is the sigmoid of their difference, so one output channel replaces two
            assert final.bias is not None
            this, other = (slice(c * n, (c + 1) * n) for c in (particle, 1 - particle))
            weight, bias = final.weight[this] - final.weight[other], final.bias[this] - final.bias[other]
            contact = slice(2 * n, None)  # empty for a network without this output
            final.weight = nn.Parameter(torch.cat([weight, final.weight[contact]]), requires_grad=False)
            final.bias = nn.Parameter(torch.cat([bias, final.bias[contact]]), requires_grad=False)
            self.config = dataclasses.replace(model.config, n_classes=1, particle_class=0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return log-odds (n, y, x) for images (n, 1, y, x)."""
        return output_log_odds(self.net(x), config=self.config)


def _fold(block: Any) -> None:
    """Fold batch normalization into the convolution before it, in place."""
    conv, norm = block.conv, block.norm
    scale = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = norm.bias.double() + (conv.bias.double() - norm.running_mean.double()) * scale
    conv.weight.copy_((conv.weight.double() * scale[:, None, None, None]).float())
    conv.bias.copy_(bias.float())
    block.norm = nn.Identity()


def _center(config: UNetConfig, precision: Precision) -> float:
    """Return what is subtracted from images before they are rounded; images of mean 0 need nothing."""
    return MIDDLE_OF_RANGE if precision == "bfloat16" and config.input_scaling == "min_max" else 0.0


def _expect_centered(net: UNet, center: float) -> None:
    """Let the first convolution make up for what has been subtracted from the image, in place."""
    block: Any = net.encoders[0].convs[0]  # type: ignore[index]
    conv = block.conv
    conv.bias.add_(center * conv.weight.sum(dim=(1, 2, 3)))
    reach, conv.padding = conv.kernel_size[0] // 2, 0
    block.conv = nn.Sequential(nn.ConstantPad2d(reach, -center), conv)


class TorchEngine:
    """Run a U-Net with torch.

    Parameters
    ----------
    model : UNet
        The trained network; it is copied.
    device : {"cpu", "cuda"}
        Device that the network runs on; images may be on either device, and log-odds return to it.
    precision : {"float32", "bfloat16"}
        Numbers to compute with; see `OpenVINOEngine`.
    """

    name = "torch"

    def __init__(self, model: UNet, *, device: str = "cpu", precision: Precision = "float32") -> None:
        self.device = device
        self._rounded = precision == "bfloat16"
        self._center = _center(model.config, precision)
        inference = _Inference(model)
        if self._center:
            _expect_centered(inference.net, self._center)
        self._module = inference.to(device=torch.device(device), memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the particle's log-odds.

        Parameters
        ----------
        images : numpy.ndarray or cupy.ndarray
            Shape (n, y, x), scaled as the model expects; y and x multiples of its total stride.

        Returns
        -------
        numpy.ndarray or cupy.ndarray
            Shape (n, y, x), float32.
        """
        x = as_tensor(images).to(self.device)[:, None]
        # TensorFloat-32, the default of cuDNN, keeps only 10 bits of the mantissa: masks would differ from the CPU's
        rounded = torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self._rounded)
        exact = torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False)
        with torch.inference_mode(), exact, rounded:
            return as_array(self._module(x - self._center if self._center else x).float(), like=images)


class OpenVINOEngine:
    """Run a U-Net with OpenVINO on the CPU.

    Parameters
    ----------
    model : UNet
        The trained network; it is copied.
    threads : int, optional
        Number of threads. The default is that of torch, which follows ``OMP_NUM_THREADS`` and is therefore one in a
        Dask worker.
    precision : {"float32", "bfloat16"}
        Numbers to compute with. In bfloat16 the image is centered before, because its mean would take up the few digits
        that tell pixels apart.
    """

    name = "openvino"
    device = "cpu"

    def __init__(self, model: UNet, *, threads: int | None = None, precision: Precision = "float32") -> None:
        import openvino

        self._center = _center(model.config, precision)
        self._core = openvino.Core()
        self._inference = _Inference(model)
        self._properties = {
            # stated, because the default on CPUs with AMX is bfloat16
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "ENABLE_CPU_PINNING": False,  # otherwise several worker processes pin their threads to the same core
            "INFERENCE_NUM_THREADS": threads or torch.get_num_threads(),
            "NUM_STREAMS": 1,
        }
        self._compiled: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self._lock = threading.Lock()  # a compiled model runs one request at a time

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the particle's log-odds.

        Parameters
        ----------
        images : numpy.ndarray or cupy.ndarray
            Shape (n, y, x), scaled as the model expects; y and x multiples of its total stride.

        Returns
        -------
        numpy.ndarray or cupy.ndarray
            Shape (n, y, x), float32.
        """
        x = np.ascontiguousarray(backend.to_numpy(images), dtype=np.float32)[:, None]
        if self._center:
            x = x - np.float32(self._center)
        with self._lock:
            logits = self._for_shape(x.shape)(x, share_inputs=True, share_outputs=False)[0]
        log_odds = output_log_odds(torch.from_numpy(logits), config=self._inference.config)
        return as_array(log_odds, like=images)

    def _for_shape(self, shape: tuple[int, ...]) -> Any:
        """Return the model compiled for one input shape: static shapes run fastest."""
        from hrtem_dask.segmentation.openvino_graph import openvino_graph

        if shape not in self._compiled:
            while self._compiled and sum(map(math.prod, (shape, *self._compiled))) > COMPILED_PIXELS:
                self._compiled.popitem(last=False)
            graph = openvino_graph(self._inference.net, shape, center=self._center)
            self._compiled[shape] = self._core.compile_model(graph, "CPU", self._properties)
        self._compiled.move_to_end(shape)
        return self._compiled[shape]


def make_engine(
    model: UNet,
    *,
    engine: Literal["auto", "openvino", "torch"] = "auto",
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision = "float32",
) -> Engine:
    """Return the engine that runs a U-Net.

    Parameters
    ----------
    model : UNet
        The trained network.
    engine : {"auto", "openvino", "torch"}
        Engine on a CPU; ``"auto"`` is OpenVINO where it is installed, else torch. On CUDA it is always torch.
    device : {"cpu", "cuda"}
        Device that the network runs on.
    threads : int, optional
        Number of threads of OpenVINO.
    precision : {"float32", "bfloat16"}
        Numbers to compute with.

    Returns
    -------
    Engine
        Callable that turns images (n, y, x) into log-odds (n, y, x).

    Raises
    ------
    ModuleNotFoundError
        If `engine` is ``"openvino"`` and OpenVINO is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.segmentation.engines import make_engine
    >>> from hrtem_dask.segmentation.unet import UNet, UNetConfig
    >>> engine = make_engine(UNet(UNetConfig(widths=(2,), centre_width=2)), engine="torch")
    >>> engine(np.zeros((1, 8, 8), dtype=np.float32)).shape
    (1, 8, 8)
    """
    if device == "cuda" or engine == "torch":
        return TorchEngine(model, device=device, precision=precision)
    if engine == "auto" and importlib.util.find_spec("openvino") is None:
        return TorchEngine(model, device=device, precision=precision)
    return OpenVINOEngine(model, threads=threads, precision=precision)
