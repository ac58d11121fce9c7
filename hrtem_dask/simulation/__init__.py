"""Simulation: truth → micrograph."""

from hrtem_dask.simulation.crystals import CRYSTALS, Crystal, cubic, find_crystal, hexagonal
from hrtem_dask.simulation.micrographs import simulate_micrograph
from hrtem_dask.simulation.ranges import SimulationRanges
from hrtem_dask.simulation.scene import Scene, simulate_scene
from hrtem_dask.simulation.truth import (
    TRUTH_MICROGRAPHS,
    TRUTH_PARTICLES,
    TRUTH_REGIONS,
    SimulatedMicrograph,
)

__all__ = [
    "CRYSTALS",
    "TRUTH_MICROGRAPHS",
    "TRUTH_PARTICLES",
    "TRUTH_REGIONS",
    "Crystal",
    "Scene",
    "SimulatedMicrograph",
    "SimulationRanges",
    "cubic",
    "find_crystal",
    "hexagonal",
    "simulate_micrograph",
    "simulate_scene",
]
