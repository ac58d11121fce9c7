"""The array library and the device: the only module that imports CuPy and cuCIM.

Image functions ask for their library once, at the top, by the array they were given; so the same function
runs on NumPy and on CuPy arrays.
"""

from __future__ import annotations

import ctypes
import functools
import gc
import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np

from hrtem_dask.errors import SettingsError

if TYPE_CHECKING:
    import cupy

__all__ = [
    "Array",
    "array_namespace",
    "fft",
    "free_memory",
    "gpu_available",
    "is_out_of_memory",
    "keep_freed_memory",
    "ndimage",
    "openvino",
    "resolve_device",
    "skimage",
    "to_device",
    "to_numpy",
]

Array: TypeAlias = "np.ndarray | cupy.ndarray"
"""An array on the CPU or on the GPU."""


def _is_cupy(array: object) -> TypeGuard[cupy.ndarray]:
    # by name, so that asking never imports CuPy on a machine without a GPU
    return type(array).__module__.split(".")[0] == "cupy"


def array_namespace(array: object) -> Any:
    """Return the array library that `array` belongs to.

    Parameters
    ----------
    array : numpy.ndarray or cupy.ndarray
        Any array.

    Returns
    -------
    module
        `numpy` or `cupy`.
    """
    return importlib.import_module("cupy") if _is_cupy(array) else np


def ndimage(array: object) -> ModuleType:
    """Return `scipy.ndimage`, or its CuPy twin for a CuPy array.

    Parameters
    ----------
    array : numpy.ndarray or cupy.ndarray
        Any array.

    Returns
    -------
    module
        `scipy.ndimage` or `cupyx.scipy.ndimage`.
    """
    return importlib.import_module("cupyx.scipy.ndimage" if _is_cupy(array) else "scipy.ndimage")


def fft(array: object) -> ModuleType:
    """Return `scipy.fft`, or its CuPy twin for a CuPy array.

    Parameters
    ----------
    array : numpy.ndarray or cupy.ndarray
        Any array.

    Returns
    -------
    module
        `scipy.fft` or `cupyx.scipy.fft`.
    """
    return importlib.import_module("cupyx.scipy.fft" if _is_cupy(array) else "scipy.fft")


def skimage(array: object, submodule: str) -> ModuleType:
    """Return a submodule of scikit-image, or of cuCIM's copy for a CuPy array.

    Parameters
    ----------
    array : numpy.ndarray or cupy.ndarray
        Any array.
    submodule : str
        For instance ``"filters"``.

    Returns
    -------
    module
        ``skimage.<submodule>`` or ``cucim.skimage.<submodule>``.
    """
    return importlib.import_module(f"{'cucim.' if _is_cupy(array) else ''}skimage.{submodule}")


def to_numpy(array: Array) -> np.ndarray:
    """Bring an array to the host.

    Parameters
    ----------
    array : numpy.ndarray or cupy.ndarray
        Any array.

    Returns
    -------
    numpy.ndarray
        The same values; the same object where it is a NumPy array already.
    """
    return np.asarray(array.get() if _is_cupy(array) else array)


@functools.cache
def gpu_available() -> bool:
    """Return whether CuPy is installed and finds a CUDA device.

    Returns
    -------
    bool
        True where arrays can be put on a GPU.
    """
    try:
        return bool(importlib.import_module("cupy").cuda.is_available())
    except Exception:  # noqa: BLE001 - a broken driver raises errors of many kinds, and all mean "no GPU"
        return False


def to_device(array: np.ndarray, device: str) -> Array:
    """Put a NumPy array on a device.

    Parameters
    ----------
    array : numpy.ndarray
        Any array.
    device : {"cpu", "cuda"}
        The device.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        The array there; for ``"cpu"`` the same object.
    """
    return importlib.import_module("cupy").asarray(array) if device == "cuda" else array


def resolve_device(device: str) -> str:
    """Choose the device that the settings ask for.

    Parameters
    ----------
    device : {"auto", "cpu", "cuda"}
        ``"auto"`` takes the GPU where there is one.

    Returns
    -------
    {"cpu", "cuda"}
        The device.

    Raises
    ------
    SettingsError
        If a GPU is asked for and there is none.
    """
    if device == "auto":
        return "cuda" if gpu_available() else "cpu"
    if device == "cuda" and not gpu_available():
        raise SettingsError('device = "cuda", but CuPy finds no CUDA device: install the extra gpu, or ask for "auto"')
    return device


@functools.cache
def openvino() -> ModuleType:
    """Return OpenVINO, imported without its converter of models.

    ``import openvino`` imports that too, which takes a third of a second, starts a thread, and tells the maker of
    OpenVINO over the network that it was imported; openvino-telemetry does so without asking.

    Returns
    -------
    module
        The library, which can still be imported as a whole by whoever needs the converter.
    """
    converter = "openvino.tools.ovc"
    if converter in sys.modules:
        return importlib.import_module("openvino")
    sys.modules[converter] = None  # type: ignore[assignment]  # its import fails, which OpenVINO expects
    try:
        return importlib.import_module("openvino")
    finally:
        del sys.modules[converter]


def keep_freed_memory() -> None:
    """Let glibc keep freed memory, which saves a network's large buffers from being faulted in again and again.

    Nothing happens on other systems than Linux with glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # musl has no mallopt
        return
    for option, value in ((-1, 2**30), (-2, 2**28), (-3, 2**30)):  # trim threshold, top pad, mmap threshold
        mallopt(option, value)


def free_memory() -> None:
    """Release the memory that failed work has left allocated: of the host, and what CuPy and PyTorch keep of a GPU.

    Each library keeps what it has freed for itself, so the memory that one lacks may be that of the other.
    """
    gc.collect()
    if "cupy" in sys.modules:
        importlib.import_module("cupy").get_default_memory_pool().free_all_blocks()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory, of host or device, ran out.

    Parameters
    ----------
    error : BaseException
        Any error. PyTorch, CuPy, RMM and Python each raise their own kind (pytorch#133280).

    Returns
    -------
    bool
        True for all of those kinds.
    """
    names = {kind.__name__ for kind in type(error).__mro__}
    text = str(error).lower()
    if type(error).__module__.partition(".")[0] == "cv2":  # OpenCV's error is no RuntimeError
        return "insufficient memory" in text
    # the last one is that of cuBLAS, cuDNN and cuFFT
    phrases = ("out of memory", "can't allocate memory", "bad_alloc", "alloc_failed")
    return bool(names & {"MemoryError", "OutOfMemoryError"}) or (
        isinstance(error, RuntimeError) and any(words in text for words in phrases)
    )
