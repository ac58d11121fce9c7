"""All numbers of the report: those that the run wrote into summary.json, and those that the report adds."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd

from hrtem_dask.errors import SettingsError
from hrtem_dask.population import PopulationOptions, edge_weights, summarize
from hrtem_dask.population.budgets.associations import associations
from hrtem_dask.population.budgets.defect_budgets import defect_budget
from hrtem_dask.population.budgets.measured_bias import bias_of_reference, measured_with, why_it_may_not_hold
from hrtem_dask.population.budgets.nested_variance import nested_variance
from hrtem_dask.population.budgets.reference import compare_with_reference, read_reference
from hrtem_dask.population.budgets.shape_budgets import shape_budgets
from hrtem_dask.population.fault_conditions import KNOWN_FAULT_STATES, describe_fault_conditions
from hrtem_dask.population.orientation import describe_instances
from hrtem_dask.population.particle_table import is_counted
from hrtem_dask.population.relations.describe_relations import relations
from hrtem_dask.population.same_fields import describe_same_fields
from hrtem_dask.population.verdicts import KEPT, LEFT_OUT, describe_verdicts, doubtful_micrographs
from hrtem_dask.report.json_types import JsonDict
from hrtem_dask.report.measured import describe_measurement, describe_quality
from hrtem_dask.report.methods import methods_paragraph
from hrtem_dask.report.overview import describe_title, list_micrographs
from hrtem_dask.settings import DefectSettings
from hrtem_dask.storage.checksums import tables_hash
from hrtem_dask.storage.compaction import read_run_file
from hrtem_dask.storage.results import Results, open_results

__all__ = ["gather", "plain_json", "plain_json_dict", "weighted_particles", "without_doubtful"]

_LIBRARIES = ("hrtem-dask", "dask", "distributed", "numpy", "scipy", "pandas", "pyarrow", "zarr", "torch",
              "openvino", "scikit-image", "scikit-learn", "opencv-python-headless", "rosettasciio",
              "bokeh")  # fmt: skip


def _installed_versions() -> dict[str, str]:
    """Return the versions of those libraries that are installed; PyTorch may be missing."""
    found = {}
    for name in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def gather(
    results: Results,
    particles: pd.DataFrame,
    micrographs: pd.DataFrame,
    *,
    leave_out_doubtful: bool = False,
    seed: int = 0,
    confusion: Mapping[str, Mapping[str, int]] | None = None,
    confusion_measured_on: str = "",
    detectability: str | os.PathLike[str] | None = None,
    reference: str | None = None,
    bias_from: str | os.PathLike[str] | None = None,
) -> JsonDict:
    """Gather every number of the report.

    Parameters
    ----------
    results : Results
        The results folder.
    particles : pandas.DataFrame
        Particles of that folder, as `weighted_particles` returns them.
    micrographs : pandas.DataFrame
        Micrographs of that folder.
    leave_out_doubtful : bool
        Whether the statistics leave out the particles of doubtful micrographs.
    seed : int
        Seed of the random draws.
    confusion : mapping, optional
        Confusion matrix of the fault classifier, as `population.relations` takes it.
    confusion_measured_on : str
        Description of the data on which the confusion matrix was measured.
    detectability : str or path-like, optional
        Table of detectability that ``hrtem-dask evaluate`` wrote for micrographs like these.
    reference : str, optional
        Certified size of a reference material, such as ``30.2±0.6`` (nm, k = 2).
    bias_from : str or path-like, optional
        Results of a reference material, reported with its certified size; its bias enters the budgets of sizes.

    Returns
    -------
    dict
        Ready for JSON: the run's own summary (docs/statistics.md), and in addition ``verdicts``, ``same_fields``,
        ``fault_conditions``, ``measured``, ``quality``, ``instances`` (of a detector, else None), ``relations``
        (docs/statistics_relations.md) and ``provenance``.
    """
    run = _run_file(results)
    bias = None if bias_from is None else _read_bias(bias_from)
    summary = _summary(results, run, particles, micrographs, leave_out_doubtful=leave_out_doubtful, bias=bias)
    summary["verdicts"] = describe_verdicts(micrographs, particles, leave_out_doubtful=leave_out_doubtful)
    summary["same_fields"] = describe_same_fields(micrographs)
    summary["measured"] = describe_measurement(micrographs, particles)
    summary["quality"] = describe_quality(micrographs)
    used = [particles, micrographs]
    if leave_out_doubtful:
        used = [without_doubtful(table, micrographs) for table in used]
    summary["instances"] = describe_instances(*used, seed=seed)
    summary["relations"] = relations(
        *used,
        confusion=confusion,
        confusion_measured_on=confusion_measured_on,
        detectability=None if detectability is None else Path(detectability),
        material=run.get("settings", {}).get("fourier", {}).get("material"),
        seed=seed,
    )
    summary["fault_conditions"] = _fault_conditions(used[0], used[1], run.get("settings", {}).get("defects", {}))
    conditions = measured_with(used[1], run.get("settings", {}))
    summary["comparability"] = _comparability(summary, *used, reference=reference, conditions=conditions)
    summary["comparability"]["bias"] = None
    if bias is not None:
        median = summary["all"].get("equivalent_diameter_nm", {}).get("median")
        summary["comparability"]["bias"] = bias | {"doubts": why_it_may_not_hold(bias, median, conditions)}
    summary["provenance"] = _provenance(results, run, micrographs)
    finished_at = summary["provenance"]["last_finished_at"]
    summary["title"] = describe_title(results, run.get("inputs", []), list(summary["samples"]), finished_at)
    summary["methods_paragraph"] = methods_paragraph(summary)
    summary["each_micrograph"] = list_micrographs(micrographs, particles)
    return plain_json_dict(summary)


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
        The same rows with a column ``weight`` (1 or more), which is null for particles that are not counted.
    """
    counted = pd.Series(is_counted(particles), index=particles.index)
    weights, _ = edge_weights.particle_weights(particles[counted], micrographs)
    return particles.assign(weight=pd.Series(weights, index=particles.index[counted]))


def without_doubtful(table: pd.DataFrame, micrographs: pd.DataFrame) -> pd.DataFrame:
    """Leave out the rows of doubtful micrographs.

    Parameters
    ----------
    table : pandas.DataFrame
        Any table with ``micrograph_id``.
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.

    Returns
    -------
    pandas.DataFrame
        The rows of all other micrographs.
    """
    return table[~table["micrograph_id"].isin(doubtful_micrographs(micrographs))]


def plain_json_dict(content: JsonDict) -> JsonDict:
    """Convert a dict to plain JSON types, see `plain_json`.

    Parameters
    ----------
    content : dict
        Dicts, lists, numbers and strings, nested to any depth.

    Returns
    -------
    dict
        The same content in plain types.
    """
    return {str(key): plain_json(value) for key, value in content.items()}


def plain_json(value: object) -> object:
    """Convert a value to plain JSON types; NaN, infinity and ``pandas.NA`` become None.

    Parameters
    ----------
    value : object
        Dicts, lists, numbers and strings, nested to any depth.

    Returns
    -------
    object
        The same content in plain types.

    Examples
    --------
    >>> import numpy as np
    >>> plain_json({"mean_nm": np.float64(4.5), "sd_nm": float("nan"), "n": (np.int64(3), 4)})
    {'mean_nm': 4.5, 'sd_nm': None, 'n': [3, 4]}
    """
    if isinstance(value, dict):
        return plain_json_dict(value)
    if isinstance(value, list | tuple):
        return [plain_json(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is pd.NA or (isinstance(value, float) and not math.isfinite(value)):
        return None
    return value


def _fault_conditions(particles: pd.DataFrame, micrographs: pd.DataFrame, settings: JsonDict) -> JsonDict:
    """Describe what the fault states rest on."""
    known = particles["fault_state"].isin(KNOWN_FAULT_STATES) & is_counted(particles)
    n_known = particles.loc[known, "micrograph_id"].value_counts()
    low, high = settings.get("voltage_range_kv", DefectSettings().voltage_range_kv)
    return describe_fault_conditions(micrographs, {str(k): int(n) for k, n in n_known.items()}, (low, high))


def _comparability(
    summary: JsonDict,
    particles: pd.DataFrame,
    micrographs: pd.DataFrame,
    *,
    reference: str | None,
    conditions: JsonDict,
) -> JsonDict:
    """Gather what comparisons between laboratories need (ISO 21363, ISO 13322-1)."""
    names = sorted(set(micrographs["sample"].fillna("")))
    groups = {name: [table[table["sample"].fillna("") == name] for table in (particles, micrographs)] for name in names}
    related, size = summary["relations"], summary["all"].get("equivalent_diameter_nm")
    found: JsonDict = {
        "shape_budgets": {
            "overall": shape_budgets(particles, micrographs),
            "samples": {name: shape_budgets(*tables) for name, tables in groups.items()},
        },
        "defect_budgets": {
            "overall": defect_budget(related["overall"]),
            "samples": {name: defect_budget(rows) for name, rows in related["samples"].items()},
        },
        "nested_variance": nested_variance(particles, micrographs),
        "associations": associations(particles),
        "reference": None,
    }
    if reference is not None:
        certified = read_reference(reference)
        if size is not None:
            compared = compare_with_reference(size["uncertainty"]["mean_nm"], *certified)
            found["reference"] = compared | {"measured_with": conditions}
    return found


def _read_bias(folder: str | os.PathLike[str]) -> JsonDict:
    """Read the bias that the report of a reference material states."""
    opened = open_results(folder)
    if not opened.folder.exists("summary.json"):
        raise SettingsError(f"{folder} has no summary.json: finish the run of the reference material first")
    return bias_of_reference(json.loads(opened.folder.read_bytes("summary.json")), os.fspath(folder))


def _run_file(results: Results) -> JsonDict:
    """Read run.toml; return an empty dict if the folder has none."""
    if not results.folder.exists("run.toml"):
        return {}
    return read_run_file(results.folder)


def _summary(
    results: Results,
    run: JsonDict,
    particles: pd.DataFrame,
    micrographs: pd.DataFrame,
    *,
    leave_out_doubtful: bool,
    bias: JsonDict | None,
) -> JsonDict:
    """Read the summary that the run wrote, or compute it if there is none with the same micrographs."""
    counts: JsonDict = {}
    definitions: JsonDict = {}
    bias_term = None if bias is None else bias["bias_term_nm"]
    with suppress(OSError, ValueError, AttributeError):  # a damaged one is computed again
        summary: JsonDict = json.loads(results.folder.read_bytes("summary.json"))
        counts = {key: summary[key] for key in ("micrographs", "corrected") if key in summary}
        definitions = summary.get("definitions", {})
        used = definitions.get("doubtful_micrographs", KEPT)
        is_complete = {"definitions", "all", "samples"} <= set(summary) and _is_recent(summary["all"])
        is_same = used == (LEFT_OUT if leave_out_doubtful else KEPT)
        if is_complete and is_same and definitions.get("bias_uncertainty_nm") == bias_term:
            return summary
    limits = run.get("settings", {}).get("particles", {})
    options = PopulationOptions(
        leave_out_doubtful=leave_out_doubtful,
        bias_uncertainty_nm=bias_term,
        **{k: limits[k] for k in ("min_area_px", "min_area_nm2") if k in limits},
        **{k: definitions[k] for k in ("confidence", "n_resamples", "seed") if k in definitions},
    )
    return counts | summarize(particles.drop(columns="weight"), micrographs, options)


def _is_recent(population: JsonDict) -> bool:
    """Return whether a population was described by this version, and not by one without all of its statistics."""
    size = population.get("equivalent_diameter_nm")
    if size is None:
        return True
    if "effective_n_by_weights" not in size or "d10_nm" not in size["uncertainty"]:
        return False
    # earlier versions stated an uncertainty where one micrograph has nearly all particles
    is_known = size["uncertainty"]["median_nm"]["expanded_uncertainty_nm"] is not None
    return not (is_known and str(size["interval_reason"] or "").startswith("no intervals"))


def _provenance(results: Results, run: JsonDict, micrographs: pd.DataFrame) -> JsonDict:
    """Collect settings, models, devices and versions."""
    execution = results.table("execution") if results.folder.exists("execution.parquet") else None
    times = [] if execution is None else sorted(execution["finished_at"].dropna())
    return {
        "code_version": run.get("code_version"),
        "settings_hash": run.get("settings_hash"),
        "tables_hash": tables_hash(results.folder),
        "settings": run.get("settings", {}),
        "models": run.get("models", {}),
        "model_hashes": sorted(micrographs["model_hash"].dropna().unique()),
        "defect_model_hashes": sorted(micrographs["defect_model_hash"].dropna().unique()),
        "engines": [] if execution is None else sorted(execution["engine"].dropna().unique()),
        "devices": [] if execution is None else sorted(execution["device"].dropna().unique()),
        "first_finished_at": times[0] if times else None,
        "last_finished_at": times[-1] if times else None,
        "versions": {"Python": platform.python_version(), **_installed_versions()},
    }
