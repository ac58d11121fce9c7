"""Arrays of NumPy and CuPy as torch tensors that share their memory, and back."""

from __future__ import annotations

import numpy as np
import torch

from hrtem_dask import backend

__all__ = ["as_array", "as_tensor"]


def as_tensor(array: np.ndarray) -> torch.Tensor:
    """View an array as a float32 tensor on the same device.

    Parameters
    ----------
    array : numpy.ndarray or cupy.ndarray
        Any real dtype.

    Returns
    -------
    torch.Tensor
        It shares memory with the array where that is contiguous float32 and, on the host, writable, because torch
        has no read-only memory.
    """
    xp = backend.array_namespace(array)
    array = xp.ascontiguousarray(array, dtype=np.float32)
    if xp is np:
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    return torch.from_dlpack(array)  # type: ignore[attr-defined]


def as_array(tensor: torch.Tensor, *, like: np.ndarray) -> np.ndarray:
    """View a tensor as an array of the same library as another array.

    Parameters
    ----------
    tensor : torch.Tensor
        Any tensor without gradient.
    like : numpy.ndarray or cupy.ndarray
        Decides the library.

    Returns
    -------
    numpy.ndarray or cupy.ndarray
        It shares memory with the tensor where that is on the library's device.
    """
    xp = backend.array_namespace(like)
    if xp is np:
        return tensor.cpu().numpy()
    array: np.ndarray = xp.from_dlpack(tensor.contiguous()) if tensor.is_cuda else xp.asarray(tensor.numpy())
    return array
