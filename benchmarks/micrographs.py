"""Simulated micrographs for the benchmarks, of any number and size."""

from __future__ import annotations

from pathlib import Path

import tifffile

from hrtem_dask.simulation import simulate_scene

PIXEL_SIZE_NM = 0.03
PARTICLES_PER_MPX = 17
SEED = 64


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
    for number, path in enumerate(paths):
        if path.exists():
            continue
        scene = simulate_scene(
            seed=(SEED, size_px, number),  # no two show the same field, which a run would set aside
            shape=(size_px, size_px),
            pixel_size_nm=PIXEL_SIZE_NM,
            n_particles=max(1, round(particles_per_mpx * size_px**2 / 1e6)),
        )
        resolution = (1 / PIXEL_SIZE_NM, 1 / PIXEL_SIZE_NM)
        tifffile.imwrite(path, scene.image, imagej=True, resolution=resolution, metadata={"unit": "nm"})
    return paths
