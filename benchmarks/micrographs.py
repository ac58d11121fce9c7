"""Simulated micrographs for the benchmarks, of any number and size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from hrtem_dask.simulation import simulate_scene

PIXEL_SIZE_NM = 0.03
PARTICLES_PER_MPX = 17
SEED = 64
VIEWS = 8
"""Orientations of each scene. A scene takes seconds to simulate and is therefore written in eight orientations."""


def write_micrographs(
    folder: Path, *, n: int, size_px: int, particles_per_mpx: float = PARTICLES_PER_MPX
) -> list[Path]:
    """Write micrographs as uint16 ImageJ TIFF files with their pixel size (nm); existing files are kept.

    Parameters
    ----------
    folder : Path
        Folder for the files; created if it does not exist.
    n : int
        Number of micrographs.
    size_px : int
        Height and width (px).
    particles_per_mpx : float
        Particles per million pixels.

    Returns
    -------
    list of Path
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"au_{size_px}_{i:04d}.tif" for i in range(n)]
    for first in range(0, n, VIEWS):
        group = paths[first : first + VIEWS]
        if all(path.exists() for path in group):
            continue
        scene = simulate_scene(
            seed=(SEED, size_px, first // VIEWS),
            shape=(size_px, size_px),
            pixel_size_nm=PIXEL_SIZE_NM,
            n_particles=max(1, round(particles_per_mpx * size_px**2 / 1e6)),
        )
        for view, path in enumerate(group):
            turned = np.rot90(scene.image, view % 4)
            tifffile.imwrite(
                path,
                np.ascontiguousarray(turned if view < 4 else turned[:, ::-1]),
                imagej=True,
                resolution=(1 / PIXEL_SIZE_NM, 1 / PIXEL_SIZE_NM),
                metadata={"unit": "nm"},
            )
    return paths
