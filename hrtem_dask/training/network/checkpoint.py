"""Checkpoints: all that training needs to go on as if it had never stopped; read without running any code of theirs."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch

from hrtem_dask.errors import SettingsError

__all__ = ["load_checkpoint", "save_checkpoint"]


def save_checkpoint(path: Path, state: dict[str, Any], *, fingerprint: str) -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file.
    state : dict
        Nested dictionaries and lists of tensors, numbers and strings.
    fingerprint : str
        Of what is trained on what, how.
    """
    partial = path.with_suffix(".partial")
    torch.save({"fingerprint": fingerprint, "state": state}, partial)
    partial.replace(path)


def load_checkpoint(path: Path, *, fingerprint: str) -> dict[str, Any] | None:
    """Read a checkpoint.

    Parameters
    ----------
    path : path-like
        The file.
    fingerprint : str
        Must be the one that it was written with.

    Returns
    -------
    dict or None
        The state; None where there is no such file.

    Raises
    ------
    SettingsError
        If it belongs to another training, or cannot be read.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        written, state = content["fingerprint"], content["state"]
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise SettingsError(f"{path}: no checkpoint of a training ({error}); delete it to begin anew") from error
    if written != fingerprint:
        raise SettingsError(
            f"{path.parent}: holds the training of another recipe, seed, network or data; name another --workdir, or "
            "delete it to begin anew"
        )
    return dict(state)
