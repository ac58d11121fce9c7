"""Relations of one table of particles in one call: shapes, defects, correlations, comparisons and trends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.population.particle_table import LazyTable, computed, numbers
from hrtem_dask.population.relations.comparisons import compare_samples
from hrtem_dask.population.relations.correlations import correlations
from hrtem_dask.population.relations.defect_curves import defect_curve
from hrtem_dask.population.relations.defect_effects import defect_effects, with_detectability
from hrtem_dask.population.relations.defect_fraction import defect_fraction
from hrtem_dask.population.relations.detectability import Conditions, read_detectability
from hrtem_dask.population.relations.misclassification import corrected_defect_fraction
from hrtem_dask.population.relations.shape_classes import shape_classes, shape_distributions
from hrtem_dask.population.relations.trends import covariate_trends

__all__ = ["numeric_covariates", "relations"]


def relations(
    particles: pd.DataFrame | LazyTable,
    micrographs: pd.DataFrame | LazyTable,
    *,
    size: str = "equivalent_diameter_nm",
    covariates: Sequence[str] | None = None,
    confusion: Mapping[str, Mapping[str, int]] | None = None,
    confusion_measured_on: str = "",
    detectability: str | Path | None = None,
    material: str | None = None,
    seed: int = 0,
    n_resamples: int = 2000,
) -> dict[str, Any]:
    """Compute the relations between size, shape, defects, samples and covariates.

    Parameters
    ----------
    particles : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.PARTICLES`, optionally with a column ``weight``; a lazy table is computed.
    micrographs : pandas.DataFrame or dask.dataframe.DataFrame
        Rows of `tables.MICROGRAPHS`; further columns are covariates.
    size : str
        Column of the size (nm) to which the other columns are related.
    covariates : sequence of str, optional
        Numeric columns of `micrographs`; by default all beyond the schema.
    confusion : mapping, optional
        Confusion matrix of the fault classifier, see `misclassification.corrected_defect_fraction`.
    confusion_measured_on : str
        Data on which the confusion matrix was measured; required with `confusion`.
    detectability : str or path-like, optional
        Table of detectability that ``hrtem-dask evaluate`` wrote for micrographs like these, which corrects the curves
        of defects against size; by default that of the package, which corrects nothing.
    material : str, optional
        Name of the material, with which the default of detectability is chosen.
    seed : int
        Seed of the draws of the correction, the only random numbers.
    n_resamples : int
        Number of these draws.

    Returns
    -------
    dict
        Ready for JSON. ``overall`` and ``samples`` (name → the same): ``n_micrographs``, ``shape_distributions``,
        ``shape_classes``, ``defect_fraction``, ``defect_fraction_corrected`` (None without a confusion matrix),
        ``defect_curve``, ``defect_effects`` and ``correlations``, each as the function of that name returns it;
        ``comparisons`` of the samples; ``trends`` against covariates; ``size`` and ``covariates``.
    """
    particles, micrographs = computed(particles), computed(micrographs)
    covariates = numeric_covariates(micrographs) if covariates is None else list(covariates)

    def describe(rows: pd.DataFrame, frames: pd.DataFrame) -> dict[str, Any]:
        corrected = None
        if confusion is not None:
            corrected = corrected_defect_fraction(
                rows, confusion, measured_on=confusion_measured_on, n_resamples=n_resamples, seed=seed
            )
        known = read_detectability(detectability, conditions=_conditions(frames, material))
        curve = defect_curve(rows, size, detectability=known)
        return {
            "n_micrographs": int(frames["micrograph_id"].nunique()),
            "shape_distributions": shape_distributions(rows),
            "shape_classes": shape_classes(rows),
            "defect_fraction": defect_fraction(rows),
            "defect_fraction_corrected": corrected,
            "defect_curve": curve,
            "defect_effects": with_detectability(defect_effects(rows, given=size), curve["conclusion"]),
            "correlations": correlations(rows),
        }

    names = sorted(set(particles["sample"].fillna("")) | set(micrographs["sample"].fillna("")))
    return {
        "size": size,
        "covariates": covariates,
        "overall": describe(particles, micrographs),
        "samples": {
            str(name): describe(
                particles[particles["sample"].fillna("") == name], micrographs[micrographs["sample"].fillna("") == name]
            )
            for name in names
        },
        "comparisons": compare_samples(particles, size=size),
        "trends": covariate_trends(
            _with_covariates(particles, micrographs, covariates),
            covariates,
            outcomes=(size, "aspect_ratio", "defect_fraction"),
        ),
    }


def _conditions(frames: pd.DataFrame, material: str | None) -> Conditions:
    """Return the conditions under which micrographs were taken, as far as their table knows them."""
    pixel, dose = (
        numbers(frames, name) if name in frames else np.zeros(0) for name in ("pixel_size_y_nm", "dose_per_nm2")
    )
    middle = [float(np.median(v[v > 0])) if (v > 0).any() else None for v in (pixel, dose)]
    return Conditions(pixel_size_nm=middle[0], dose_per_nm2=middle[1], material=material)


def numeric_covariates(micrographs: pd.DataFrame) -> list[str]:
    """Return the numeric columns beyond the schema.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS` and covariates as further columns.

    Returns
    -------
    list of str
        Their names, in the order of the table.

    Examples
    --------
    >>> numeric_covariates(pd.DataFrame({"micrograph_id": ["a"], "temperature_C": [300.0], "operator": ["x"]}))
    ['temperature_C']
    """
    schema = {column.name for column in tables.MICROGRAPHS}
    return [
        str(name)
        for name in micrographs
        if name not in schema
        and pd.api.types.is_numeric_dtype(micrographs[name])
        and not pd.api.types.is_bool_dtype(micrographs[name])
    ]


def _with_covariates(particles: pd.DataFrame, micrographs: pd.DataFrame, covariates: Sequence[str]) -> pd.DataFrame:
    """Return the particles with the covariates of their micrographs."""
    by_id = micrographs.drop_duplicates("micrograph_id").set_index("micrograph_id")
    present = [name for name in covariates if name in by_id]
    return particles.assign(**{name: particles["micrograph_id"].map(by_id[name]) for name in present})
