"""Simulation of micrographs with known truth."""

from hrtem_dask.simulation.crystals import CRYSTALS, Crystal, find_crystal, layered_crystal
from hrtem_dask.simulation.micrographs import simulate_micrograph
from hrtem_dask.simulation.ranges import SimulationRanges
from hrtem_dask.simulation.scene import GOLD_110_PLANES, Scene, SceneContrast, simulate_scene
from hrtem_dask.simulation.truth import (
    TRUTH_MICROGRAPHS,
    TRUTH_PARTICLES,
    TRUTH_REGIONS,
    SimulatedMicrograph,
)

__all__ = [
    "CRYSTALS",
    "GOLD_110_PLANES",
    "TRUTH_MICROGRAPHS",
    "TRUTH_PARTICLES",
    "TRUTH_REGIONS",
    "Crystal",
    "Scene",
    "SceneContrast",
    "SimulatedMicrograph",
    "SimulationRanges",
    "find_crystal",
    "layered_crystal",
    "simulate_micrograph",
    "simulate_scene",
]
