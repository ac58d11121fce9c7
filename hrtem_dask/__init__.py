"""Batch analytics of HRTEM micrographs of nanoparticles, distributed by Dask.

The public names, in the order of the pipeline. Importing this package imports nothing heavy: a name is loaded when it
is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hrtem_dask.analysis import analyse as analyse
    from hrtem_dask.analysis import analyse_crystal as analyse_crystal
    from hrtem_dask.batch.collection import Collection as Collection
    from hrtem_dask.batch.collection import classify as classify
    from hrtem_dask.batch.collection import label as label
    from hrtem_dask.batch.collection import measure as measure
    from hrtem_dask.batch.collection import open_micrographs as open_micrographs
    from hrtem_dask.batch.collection import segment as segment
    from hrtem_dask.batch.correction.correct import correct as correct
    from hrtem_dask.batch.correction.correct import undo_corrections as undo_corrections
    from hrtem_dask.batch.correction.export import export as export
    from hrtem_dask.batch.evaluation.evaluate import evaluate as evaluate
    from hrtem_dask.batch.ingest import ingest as ingest
    from hrtem_dask.batch.inspection import inspect_files as inspect_files
    from hrtem_dask.batch.results_state import run_state as run_state
    from hrtem_dask.batch.results_state import verify as verify
    from hrtem_dask.batch.run.run import run as run
    from hrtem_dask.cluster_settings import Cluster as Cluster
    from hrtem_dask.micrograph import make_micrograph as make_micrograph
    from hrtem_dask.population import summarize as summarize
    from hrtem_dask.report import write_report as write_report
    from hrtem_dask.settings import Settings as Settings
    from hrtem_dask.storage.exchange.joined_results import join_results as join_results
    from hrtem_dask.storage.results import crop as crop
    from hrtem_dask.storage.results import open_results as open_results

_HOMES = {
    "Settings": "settings",
    "Cluster": "cluster_settings",
    "make_micrograph": "micrograph",
    "inspect_files": "batch.inspection",
    "ingest": "batch.ingest",
    "open_micrographs": "batch.collection",
    "Collection": "batch.collection",
    "segment": "batch.collection",
    "label": "batch.collection",
    "measure": "batch.collection",
    "classify": "batch.collection",
    "summarize": "population",
    "analyse": "analysis",
    "analyse_crystal": "analysis",
    "run": "batch.run.run",
    "run_state": "batch.results_state",
    "verify": "batch.results_state",
    "write_report": "report",
    "evaluate": "batch.evaluation.evaluate",
    "open_results": "storage.results",
    "join_results": "storage.exchange.joined_results",
    "export": "batch.correction.export",
    "correct": "batch.correction.correct",
    "undo_corrections": "batch.correction.correct",
    "crop": "storage.results",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module 'hrtem_dask' has no attribute {name!r}")
    return getattr(importlib.import_module(f"hrtem_dask.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """List the public names, and nothing else."""
    return sorted(__all__)
