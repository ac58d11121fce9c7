"""Fallback when memory runs out: smaller tiles, then the CPU. The result stays the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hrtem_dask import backend
from hrtem_dask.segmentation.engines import Engine
from hrtem_dask.segmentation.tiling import tiled_logits

__all__ = ["MIN_TILE_PX", "Inference", "logits_within_memory"]

MIN_TILE_PX = 256
"""Smaller tiles than this are not tried, because they would consist mostly of the halo."""


@dataclass(frozen=True)
class Inference:
    """Logits of one image, and how they were computed."""

    logits: np.ndarray
    """Particle log-odds (y, x), float32, in the library of the image."""
    seam_score: float | None
    """Largest difference of logits between neighboring tiles; None for one tile."""
    out_of_memory_steps: tuple[str, ...]
    """What was tried next each time memory ran out, in order."""
    engine: str
    """Name of the engine that ran last."""
    device: str
    """Device of that engine: ``"cpu"`` or ``"cuda"``."""


def logits_within_memory(
    image: np.ndarray,
    engine_for: Callable[[str], Engine],
    *,
    device: str,
    stride_px: int,
    halo_px: int,
    tile_px: int | None,
) -> Inference:
    """Run a network over an image, in smaller tiles or on the CPU where memory runs out.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x).
    engine_for : callable
        Returns the engine for ``"cpu"`` or ``"cuda"``.
    device : {"cpu", "cuda"}
        Device to try first.
    stride_px, halo_px : int
        Total stride and halo of the network, see `tiled_logits`.
    tile_px : int or None
        Side of the tiles to try first; None tries the whole image.

    Returns
    -------
    Inference
        Logits, seam score and the fallbacks that were needed.

    Raises
    ------
    MemoryError
        If the smallest tiles do not fit on the CPU either.
    """
    steps: list[str] = []
    first_tile_px = tile_px
    source = image
    while True:
        try:
            engine = engine_for(device)
            logits, seam_score = tiled_logits(source, engine, stride_px=stride_px, halo_px=halo_px, tile_px=tile_px)
            logits = _to_library_of(image, logits)
            return Inference(logits, seam_score, tuple(steps), engine.name, engine.device)
        except Exception as error:
            if not backend.is_out_of_memory(error):
                raise
            message = str(error)
        # outside the except block, so that the error no longer holds the memory of the failed tile
        backend.free_memory()
        side = tile_px or max(image.shape)
        smaller = max(MIN_TILE_PX, side // 2)
        # a tile with its halo must be smaller than the image to save memory
        if side > MIN_TILE_PX and smaller + 2 * halo_px + stride_px < max(image.shape):
            tile_px = smaller
            steps.append(f"tiles of {tile_px} px on {device}")
        elif device != "cpu":
            device, tile_px, source = "cpu", first_tile_px, backend.to_numpy(image)
            steps.append(f"{'whole image' if tile_px is None else f'tiles of {tile_px} px'} on cpu")
        else:
            raise MemoryError(
                f"no memory for tiles of {side} px of an image of {image.shape[0]} × {image.shape[1]} px "
                f"(smallest tried: {MIN_TILE_PX} px); give each worker more memory, or use fewer workers. {message}"
            )


def _to_library_of(image: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Move logits that were computed on the host back to the device of the image."""
    moved: np.ndarray = backend.array_namespace(image).asarray(logits)
    return moved
