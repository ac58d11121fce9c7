"""Columns of the table of detectability: what a run made of each true particle, which `hrtem-dask evaluate` writes."""

from __future__ import annotations

from hrtem_dask.tables.columns import ID, Column, Schema

__all__ = ["DETECTABILITY", "TRUE_STATES"]

TRUE_STATES = ("fault", "no_fault", "misoriented")
"""True states of a particle that shows its lattice, or does not."""

DETECTABILITY: Schema = (
    ID,
    Column("true_diameter_nm", "float", "true equivalent diameter of the particle", "nm", "√(4A/π)"),
    Column(
        "true_state",
        "str",
        "fault (edge-on and on a zone axis), no_fault (on a zone axis), misoriented; null for all others",
    ),
    Column("found", "bool", "whether a counted particle matches it (intersection over union of at least 0.5)"),
    Column(
        "fault_state", "str", "what the run says of that particle: fault, no_fault or unknown; null where not found"
    ),
    Column("material", "str", "its material"),
    Column("pixel_size_nm", "float", "pixel size", "nm"),
    Column("dose_per_nm2", "float", "recorded electrons per nm²"),
)
