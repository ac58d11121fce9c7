"""Simulation: truth → micrograph, for demonstrations and tests."""

from hrtem_dask.simulation.scene import Scene, simulate_scene

__all__ = ["Scene", "simulate_scene"]
