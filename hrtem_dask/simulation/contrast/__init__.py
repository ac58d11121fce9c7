"""Simulation of the contrast regime: nanoparticles at magnifications where no lattice fringes are resolved."""

from hrtem_dask.simulation.contrast.micrographs import simulate_contrast_micrograph
from hrtem_dask.simulation.contrast.ranges import ContrastRanges
from hrtem_dask.simulation.contrast.shapes import SHAPES
from hrtem_dask.simulation.contrast.truth import CONTRAST_MICROGRAPHS, CONTRAST_PARTICLES, ContrastMicrograph

__all__ = [
    "CONTRAST_MICROGRAPHS",
    "CONTRAST_PARTICLES",
    "SHAPES",
    "ContrastMicrograph",
    "ContrastRanges",
    "simulate_contrast_micrograph",
]
