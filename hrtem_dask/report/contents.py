"""Every number of the report: what the run wrote into summary.json, and what only the report adds."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.population import PopulationOptions, edge_weights, summarize
from hrtem_dask.population.relations.describe_relations import relations
from hrtem_dask.report.measured import describe_measurement, describe_quality
from hrtem_dask.storage.results import Results

__all__ = ["gather", "weighted_particles"]

_LIBRARIES = ("hrtem-dask", "dask", "distributed", "numpy", "scipy", "pandas", "pyarrow", "zarr", "torch",
              "openvino", "scikit-image", "scikit-learn", "opencv-python-headless", "rosettasciio",
              "bokeh")  # fmt: skip


def gather(
    results: Results,
    particles: pd.DataFrame,
    micrographs: pd.DataFrame,
    *,
    seed: int = 0,
    confusion: Mapping[str, Mapping[str, int]] | None = None,
    confusion_measured_on: str = "",
) -> dict[str, Any]:
    """Gather every number of the report.

    Parameters
    ----------
    results : Results
        The results folder.
    particles : pandas.DataFrame
        Its particles, as `weighted_particles` returns them.
    micrographs : pandas.DataFrame
        Its micrographs.
    seed : int
        Seed of what is drawn at random.
    confusion : mapping, optional
        Of the fault classifier, as `population.relations` takes it.
    confusion_measured_on : str
        On which data.

    Returns
    -------
    dict
        Ready for JSON: the run's own summary (docs/statistics.md) with ``measured``, ``quality``, ``relations``
        (docs/statistics_relations.md) and ``provenance`` beside it.
    """
    run = _run_file(results)
    summary = _summary(results, run, particles, micrographs)
    summary["measured"] = describe_measurement(micrographs, particles)
    summary["quality"] = describe_quality(micrographs)
    summary["relations"] = relations(
        particles, micrographs, confusion=confusion, confusion_measured_on=confusion_measured_on, seed=seed
    )
    summary["provenance"] = _provenance(results, run, micrographs)
    plain: dict[str, Any] = plain_json(summary)
    return plain


def weighted_particles(particles: pd.DataFrame, micrographs: pd.DataFrame) -> pd.DataFrame:
    """Give each counted particle its edge weight, as the size statistics do.

    Parameters
    ----------
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`.
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.

    Returns
    -------
    pandas.DataFrame
        The same rows with a column ``weight``, null where not counted.
    """
    counted = particles["counted"].fillna(False).astype(bool)
    weights, _ = edge_weights.particle_weights(particles[counted], micrographs)
    return particles.assign(weight=pd.Series(weights, index=particles.index[counted]))


def plain_json(value: Any) -> Any:
    """Return a value as JSON holds it: what is not finite is None.

    Parameters
    ----------
    value : object
        Dicts, lists, numbers and strings.

    Returns
    -------
    object
        The same with plain types only.
    """
    if isinstance(value, dict):
        return {str(k): plain_json(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def _run_file(results: Results) -> dict[str, Any]:
    """Read run.toml; empty where there is none."""
    import tomllib

    if not results.folder.exists("run.toml"):
        return {}
    return tomllib.loads(results.folder.read_bytes("run.toml").decode())


def _summary(
    results: Results, run: dict[str, Any], particles: pd.DataFrame, micrographs: pd.DataFrame
) -> dict[str, Any]:
    """Return what the run wrote, or make it where it wrote none."""
    if results.folder.exists("summary.json"):
        summary: dict[str, Any] = json.loads(results.folder.read_bytes("summary.json"))
        if {"definitions", "all", "samples"} <= set(summary):
            return summary
    limits = run.get("settings", {}).get("particles", {})
    options = PopulationOptions(**{k: limits[k] for k in ("min_area_px", "min_area_nm2") if k in limits})
    return summarize(particles.drop(columns="weight"), micrographs, options)


def _provenance(results: Results, run: dict[str, Any], micrographs: pd.DataFrame) -> dict[str, Any]:
    """Return settings, models and versions."""
    execution = results.table("execution") if results.folder.exists("execution.parquet") else None
    times = [] if execution is None else sorted(execution["finished_at"].dropna())
    return {
        "code_version": run.get("code_version"),
        "settings_hash": run.get("settings_hash"),
        "settings": run.get("settings", {}),
        "models": run.get("models", {}),
        "model_hashes": sorted(micrographs["model_hash"].dropna().unique()),
        "defect_model_hashes": sorted(micrographs["defect_model_hash"].dropna().unique()),
        "engines": [] if execution is None else sorted(execution["engine"].dropna().unique()),
        "devices": [] if execution is None else sorted(execution["device"].dropna().unique()),
        "first_finished_at": times[0] if times else None,
        "last_finished_at": times[-1] if times else None,
        "versions": {"Python": platform.python_version(), **{name: version(name) for name in _LIBRARIES}},
    }
