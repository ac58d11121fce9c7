"""Labelled regions as a forest takes them: features, classes, micrographs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from hrtem_dask.defects.classifier import feature_matrix
from hrtem_dask.errors import SettingsError
from hrtem_dask.tables import REGION_CLASSES, REGION_FEATURES

__all__ = ["NOT_FEATURES", "RegionSamples", "grouped_folds", "make_samples", "table_features"]

NOT_FEATURES = {
    "region_class", "micrograph_id", "region_id", "particle_id", "source", "sample", "material", "is_clear",
    "touches_edge", "visibility", "true_particle_id", "n_true_particles", "area_nm2", "area_px", "n_particles",
    "file", "pixel_size_nm", "plane_trace_deg", "plane_offset_nm", "fault_trace_deg", "fault_offset_nm",
    "phase_step_angle_deg", "phase_step_offset_nm",
}  # fmt: skip
"""Columns of a table of regions that are no features: labels and what is true of a region, its place and its size, and
directions on the screen, which say nothing of a class."""
_NOT_FEATURES_START = ("probability_", "bbox_", "true_", "settings_", "centroid_")


@dataclass(frozen=True, eq=False)
class RegionSamples:
    """Regions whose class is known."""

    table: pd.DataFrame
    """Their rows, all columns; the index counts them."""
    features: tuple[str, ...]
    """Names of the features."""
    classes: tuple[str, ...]
    """Names of the classes that there are, in the order of `tables.REGION_CLASSES`."""
    values: np.ndarray
    """Shape (region, feature), float32; NaN where missing."""
    truth: np.ndarray
    """Shape (region,), int: number of the class."""
    groups: np.ndarray
    """Shape (region,), str: the micrograph."""

    def balancing_weights(self) -> np.ndarray:
        """Return weights with which all classes weigh the same.

        Returns
        -------
        numpy.ndarray of float
            Shape (region,), of mean 1.
        """
        counts = np.bincount(self.truth, minlength=len(self.classes))
        weights: np.ndarray = len(self.truth) / (len(self.classes) * counts[self.truth])
        return weights


def table_features(table: pd.DataFrame) -> tuple[str, ...]:
    """Say which columns of a table are features.

    Parameters
    ----------
    table : pandas.DataFrame
        A table of regions.

    Returns
    -------
    tuple of str
        Those of `tables.REGION_FEATURES` that have a value; in a table of other features the numeric columns that have
        one and are not in `NOT_FEATURES`.
    """
    known = tuple(c.name for c in REGION_FEATURES if c.name in table and table[c.name].notna().any())
    return known or tuple(
        str(name)
        for name in table
        if str(name) not in NOT_FEATURES
        and not str(name).startswith(_NOT_FEATURES_START)
        and pd.api.types.is_numeric_dtype(table[name])
        and not pd.api.types.is_bool_dtype(table[name])
        and table[name].notna().any()
    )


def make_samples(
    table: pd.DataFrame,
    *,
    features: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    keep_cut: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> RegionSamples:
    """Take labelled regions out of a table.

    Parameters
    ----------
    table : pandas.DataFrame
        ``region_class``, ``micrograph_id`` and features; perhaps ``touches_edge``.
    features : sequence of str, optional
        Columns to take; by default `table_features`.
    classes : sequence of str, optional
        By default those that there are.
    keep_cut : bool
        Keep regions that reach the border of the image: their class cannot be seen whole.
    say : callable
        Takes lines on what is left out.

    Returns
    -------
    RegionSamples
        Regions with a class.

    Raises
    ------
    SettingsError
        If a column or a class is unknown, or fewer than two classes are left.
    ModelError
        If a feature is not in the table.
    """
    for name in ("region_class", "micrograph_id"):
        if name not in table:
            raise SettingsError(
                f"a table of labelled regions needs the column {name!r}; it has {', '.join(map(str, table.columns))}"
            )
    kept = table["region_class"].notna() & (table["region_class"] != "")
    if not keep_cut and "touches_edge" in table:
        kept &= ~table["touches_edge"].fillna(False).astype(bool)
    if not kept.all():
        say(f"{int((~kept).sum())} of {len(table)} regions are left out: without a class, or cut by the border")
    rows = table[kept].reset_index(drop=True)
    found = set(rows["region_class"].astype(str))
    if unknown := sorted(found - set(classes or REGION_CLASSES)):
        raise SettingsError(f"region_class {unknown[0]!r} is unknown: use {', '.join(classes or REGION_CLASSES)}")
    names = tuple(classes or (name for name in REGION_CLASSES if name in found))
    if len(names) < 2:
        raise SettingsError(f"need regions of two classes at least, got {', '.join(names) or 'none'}")
    chosen = tuple(features) if features is not None else table_features(rows)
    if not chosen:
        raise SettingsError("the table of labelled regions holds no feature: no numeric column besides labels")
    return RegionSamples(
        table=rows,
        features=chosen,
        classes=names,
        values=feature_matrix(rows, chosen),
        truth=rows["region_class"].astype(str).map({name: i for i, name in enumerate(names)}).to_numpy(np.int64),
        groups=rows["micrograph_id"].astype(str).to_numpy(dtype=object),
    )


def grouped_folds(samples: RegionSamples, *, n_folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split regions so that no micrograph is on both sides, and classes are as frequent in each fold as can be.

    Parameters
    ----------
    samples : RegionSamples
        The regions.
    n_folds : int
        Folds; fewer where a class is in fewer micrographs.
    seed : int
        Of the split.

    Returns
    -------
    list of tuple of numpy.ndarray
        Regions to fit on and regions left out, of each fold.

    Raises
    ------
    SettingsError
        If a class is in one micrograph only.
    """
    in_groups = [len(np.unique(samples.groups[samples.truth == i])) for i in range(len(samples.classes))]
    n_folds = min(n_folds, *in_groups)
    if n_folds < 2:
        poor = samples.classes[int(np.argmin(in_groups))]
        raise SettingsError(
            f"the class {poor} is in {min(in_groups)} micrograph only: to know how good a classifier is, each class "
            "must be in two at least"
        )
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    return list(splitter.split(samples.values, samples.truth, samples.groups))
