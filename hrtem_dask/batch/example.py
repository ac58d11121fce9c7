"""Example micrographs with known particles, small enough to try every command on them in seconds."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import tifffile

from hrtem_dask.simulation import simulate_scene

__all__ = ["write_example"]

PIXEL_SIZE_NM = 0.04
SIZE_PX = 256


def write_example(folder: str | os.PathLike[str], *, n: int = 1, seed: int = 0, n_particles: int = 4) -> Path:
    """Write simulated micrographs of gold particles and their true masks.

    The micrographs are analytic scenes (`simulation.simulate_scene`), which show how to use this package and prove
    nothing about its accuracy on real micrographs.

    Parameters
    ----------
    folder : str or path-like
        Folder to write to; it is made if it does not exist.
    n : int
        Number of micrographs.
    seed : int
        Seed of the series; the same seed gives the same micrographs.
    n_particles : int
        Number of particles on each micrograph.

    Returns
    -------
    pathlib.Path
        The folder. ``images`` in it holds the micrographs as TIFF files of 256 × 256 pixels of 0.04 nm, and ``masks``
        the PNG files of the same names, in which particles are white. `run` analyzes the former, and `evaluate`
        compares both.

    Examples
    --------
    >>> import tempfile
    >>> from hrtem_dask.batch.example import write_example
    >>> folder = write_example(tempfile.mkdtemp(), n=2)
    >>> sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*"))
    ['images/example_0.tif', 'images/example_1.tif', 'masks/example_0.png', 'masks/example_1.png']
    """
    folder = Path(folder)
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index in range(n):
        scene = simulate_scene(
            seed=(seed, index),
            shape=(SIZE_PX, SIZE_PX),
            pixel_size_nm=PIXEL_SIZE_NM,
            n_particles=n_particles,
            diameter_nm=(1.5, 2.5),
        )
        tifffile.imwrite(
            folder / "images" / f"example_{index}.tif",
            scene.image,
            imagej=True,
            resolution=(1 / PIXEL_SIZE_NM, 1 / PIXEL_SIZE_NM),
            metadata={"unit": "nm"},
        )
        mask = np.where(scene.labels > 0, 255, 0).astype(np.uint8)
        cv2.imwrite(str(folder / "masks" / f"example_{index}.png"), mask)
    return folder
