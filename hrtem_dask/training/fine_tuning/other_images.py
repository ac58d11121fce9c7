"""Simulated micrographs of another kind, on which fine-tuning may have made a network worse.

A network that learns from a few similar micrographs forgets some of what it knew. These micrographs show how much: a
few of either regime, simulated in seconds by the fast simulators, always the same ones.
"""

from __future__ import annotations

import functools

import numpy as np

from hrtem_dask.simulation.contrast import ContrastRanges, simulate_contrast_micrograph
from hrtem_dask.simulation.scene import simulate_scene
from hrtem_dask.training.labelled.labelled_micrograph import Labelled, LabelledMicrograph, make_labelled
from hrtem_dask.training.labelled.sources import LEAST_CONTRAST_TO_NOISE

__all__ = ["simulated_contrast", "simulated_lattice"]

SEED = 20_260
"""Seed of both series."""
CONTRAST_RANGES = ContrastRanges(
    size_px=256, empty_fraction=0.0, bright_fraction=0.0, median_diameter_px=(16.0, 60.0), annotated_fraction=0.0
)
"""Dark particles, as networks are trained to find, in a small field without burnt-in marks."""


def simulated_lattice(n: int = 8) -> list[Labelled]:
    """Return micrographs of the lattice regime.

    Parameters
    ----------
    n : int
        Number of micrographs.

    Returns
    -------
    list of Labelled
        Analytic scenes of Au particles on carbon (`simulation.scene`), 320 × 320 px of 0.03 nm. They are not multislice
        simulations, which would take minutes.
    """
    return [
        Labelled(micrograph_id=f"lattice-{i}", group=f"simulated/lattice-{i}", read=functools.partial(_lattice, i))
        for i in range(n)
    ]


def simulated_contrast(n: int = 8) -> list[Labelled]:
    """Return micrographs of the contrast regime.

    Parameters
    ----------
    n : int
        Number of micrographs.

    Returns
    -------
    list of Labelled
        Micrographs of `simulation.contrast` without a pixel size, 256 × 256 px. Pixels of particles that can hardly be
        seen are not known, as in training.
    """
    return [
        Labelled(micrograph_id=f"contrast-{i}", group=f"simulated/contrast-{i}", read=functools.partial(_contrast, i))
        for i in range(n)
    ]


def _lattice(index: int) -> LabelledMicrograph:
    """Simulate one micrograph of the lattice regime."""
    scene = simulate_scene(seed=(SEED, index), shape=(320, 320), n_particles=4)
    return make_labelled(scene.image, scene.labels, pixel_size_nm=scene.pixel_size_nm)


def _contrast(index: int) -> LabelledMicrograph:
    """Simulate one micrograph of the contrast regime."""
    micrograph = simulate_contrast_micrograph(CONTRAST_RANGES, seed=SEED, index=index)
    particles = micrograph.particles
    ratio = particles["contrast_to_noise"].to_numpy(dtype=float, na_value=np.nan)
    faint = particles["particle_id"][~(np.abs(ratio) >= LEAST_CONTRAST_TO_NOISE)]
    valid = ~np.isin(micrograph.labels, faint.astype(int).tolist())
    return make_labelled(micrograph.image, micrograph.labels, pixel_size_nm=None, valid=None if valid.all() else valid)
