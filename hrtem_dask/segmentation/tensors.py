"""Arrays of NumPy and CuPy as torch tensors that share their memory, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from hrtem_dask import backend

__all__ = ["as_array", "as_tensor"]


def as_tensor(array: Any) -> torch.Tensor:
    """View an array as a float32 tensor, on the device where it lies.

    Parameters
    ----------
    array : numpy.ndarray or cupy.ndarray
        Any real dtype.

    Returns
    -------
    torch.Tensor
        Sharing memory where the array is contiguous float32 (and, on the host, writable: torch knows no
        read-only memory).
    """
    xp = backend.array_namespace(array)
    array = xp.ascontiguousarray(array, dtype=np.float32)
    if xp is np:
        return torch.from_numpy(array if array.flags.writeable else array.copy())
    return torch.from_dlpack(array)  # type: ignore[attr-defined]


def as_array(tensor: torch.Tensor, *, like: Any) -> Any:
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
        Sharing memory where the tensor lies on that library's device.
    """
    xp = backend.array_namespace(like)
    if xp is np:
        return tensor.cpu().numpy()
    return xp.from_dlpack(tensor.contiguous()) if tensor.is_cuda else xp.asarray(tensor.numpy())
