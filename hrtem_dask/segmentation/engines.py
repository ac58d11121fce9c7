"""Engines that run a trained U-Net: OpenVINO on a CPU, PyTorch on CUDA and where OpenVINO is not installed.

Both take a batch of images and return the particle's log-odds, ln(p / (1 − p)), in exact float32, or in bfloat16 where
that is asked for. Batch normalization is folded into the convolution before it, in float64, which is exact although the
network may pool before the ReLU. A CPU needs no PyTorch.
"""

from __future__ import annotations

import importlib.util
import math
import os
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

from hrtem_dask import backend
from hrtem_dask.errors import SettingsError
from hrtem_dask.segmentation.networks.output import output_log_odds
from hrtem_dask.segmentation.networks.precision import center_of_images
from hrtem_dask.segmentation.networks.weights import FoldedWeights, NetworkWeights
from hrtem_dask.settings import Precision

if TYPE_CHECKING:
    from hrtem_dask.segmentation.unet import UNet

__all__ = ["Engine", "OpenVINOEngine", "make_engine"]

COMPILED_PIXELS = 4096**2
"""The most recently used input shapes stay compiled, up to this many pixels in all; a pixel takes about 100 bytes."""


class Engine(Protocol):
    """A network ready to run."""

    name: str
    """``"openvino"`` or ``"torch"``."""
    device: str
    """``"cpu"`` or ``"cuda"``."""

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return log-odds (n, y, x), float32, for images (n, y, x), in the library of `images`."""


class OpenVINOEngine:
    """Run a U-Net with OpenVINO on the CPU.

    Parameters
    ----------
    model : NetworkWeights or UNet
        The trained network.
    threads : int, optional
        Number of threads. The default follows ``OMP_NUM_THREADS`` and is therefore one in a Dask worker; without that
        variable it is OpenVINO's, one per core.
    precision : {"float32", "bfloat16"}
        Numbers to compute with. In bfloat16 the image is centered before, because its mean would take up the few digits
        that tell pixels apart.
    """

    name = "openvino"
    device = "cpu"
    folded: FoldedWeights
    """What runs: the weights, with batch normalization folded into the convolutions."""

    def __init__(
        self, model: NetworkWeights | UNet, *, threads: int | None = None, precision: Precision = "float32"
    ) -> None:
        weights = model if isinstance(model, NetworkWeights) else model.weights()
        self._center = center_of_images(weights.config, precision)
        self._core = backend.openvino().Core()
        self.folded = weights.folded()
        self._properties = {
            # stated, because the default on CPUs with AMX is bfloat16
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
            "ENABLE_CPU_PINNING": False,  # otherwise several worker processes pin their threads to the same core
            "INFERENCE_NUM_THREADS": threads or _threads_of_the_process(),
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
        log_odds: np.ndarray = backend.array_namespace(images).asarray(
            output_log_odds(logits, config=self.folded.config)
        )
        return log_odds

    def _for_shape(self, shape: tuple[int, ...]) -> Any:
        """Return the model compiled for one input shape: static shapes run fastest."""
        from hrtem_dask.segmentation.openvino_graph import openvino_graph

        if shape not in self._compiled:
            while self._compiled and sum(map(math.prod, (shape, *self._compiled))) > COMPILED_PIXELS:
                self._compiled.popitem(last=False)
            graph = openvino_graph(self.folded, shape, center=self._center)
            self._compiled[shape] = self._core.compile_model(graph, "CPU", self._properties)
        self._compiled.move_to_end(shape)
        return self._compiled[shape]


def make_engine(
    model: NetworkWeights | UNet,
    *,
    engine: Literal["auto", "openvino", "torch"] = "auto",
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision = "float32",
) -> Engine:
    """Return the engine that runs a U-Net.

    Parameters
    ----------
    model : NetworkWeights or UNet
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
    SettingsError
        If PyTorch is needed and not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.segmentation.engines import make_engine
    >>> from hrtem_dask.segmentation.networks.config import UNetConfig
    >>> from hrtem_dask.segmentation.unet import UNet
    >>> engine = make_engine(UNet(UNetConfig(widths=(2,), centre_width=2)), engine="torch")
    >>> engine(np.zeros((1, 8, 8), dtype=np.float32)).shape
    (1, 8, 8)
    """
    if device == "cuda" or engine == "torch" or (engine == "auto" and importlib.util.find_spec("openvino") is None):
        return _torch_engine(model, device, precision)
    return OpenVINOEngine(model, threads=threads, precision=precision)


def _torch_engine(model: NetworkWeights | UNet, device: str, precision: Precision) -> Engine:
    """Return the engine of PyTorch, which is imported here because it is large and slow to import."""
    try:
        from hrtem_dask.segmentation.networks.torch_engine import TorchEngine
        from hrtem_dask.segmentation.unet import UNet
    except ModuleNotFoundError as error:
        raise SettingsError(
            f'the network needs PyTorch for execution.device = "{device}" with this engine, and it is not installed '
            f"({error}): pip install torch, or compute on the CPU with OpenVINO (--device cpu)"
        ) from error
    network = UNet.from_weights(model) if isinstance(model, NetworkWeights) else model
    return TorchEngine(network, device=device, precision=precision)


def _threads_of_the_process() -> int:
    """Return the number of threads that the process may use; 0 lets OpenVINO choose."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdecimal() else 0
