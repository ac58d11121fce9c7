"""Labeled regions as arrays for a forest: features, classes and micrographs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from hrtem_dask.defects.classifier import feature_matrix
from hrtem_dask.errors import SettingsError
from hrtem_dask.tables import REGION_CLASSES, REGION_FEATURES

__all__ = [
    "NOT_FEATURES",
    "Fold",
    "RegionSamples",
    "grouped_folds",
    "make_samples",
    "require_columns",
    "table_features",
]

NOT_FEATURES = {
    "region_class", "micrograph_id", "region_id", "particle_id", "source", "sample", "material", "is_clear",
    "touches_edge", "visibility", "true_particle_id", "n_true_particles", "area_nm2", "area_px", "n_particles",
    "file", "pixel_size_nm", "plane_trace_deg", "plane_offset_nm", "fault_trace_deg", "fault_offset_nm",
    "phase_step_angle_deg", "phase_step_offset_nm",
}  # fmt: skip
"""Columns of a table of regions that are not features: labels, truth, position, size, and directions in the image,
which do not depend on the class."""
_NOT_FEATURES_START = ("probability_", "bbox_", "true_", "settings_", "centroid_")
_log = logging.getLogger(__name__)

Fold = tuple[np.ndarray, np.ndarray]
"""Indices of the regions to fit on, and of the held-out regions."""


@dataclass(frozen=True, eq=False)
class RegionSamples:
    """Regions of known class."""

    table: pd.DataFrame
    """All columns of the regions; the index counts them from 0."""
    features: tuple[str, ...]
    """Names of the features."""
    classes: tuple[str, ...]
    """Names of the classes that occur, in the order of `tables.REGION_CLASSES`."""
    values: np.ndarray
    """Shape (region, feature), float32; NaN where missing."""
    truth: np.ndarray
    """Shape (region,), int: index of the true class in `classes`."""
    groups: np.ndarray
    """Shape (region,), str: name of the micrograph of each region."""

    def balancing_weights(self) -> np.ndarray:
        """Return weights that give all classes the same total weight.

        Returns
        -------
        numpy.ndarray of float
            Shape (region,), positive, with mean 1.
        """
        counts = np.bincount(self.truth, minlength=len(self.classes))
        weights: np.ndarray = len(self.truth) / (len(self.classes) * counts[self.truth])
        return weights


def table_features(table: pd.DataFrame) -> tuple[str, ...]:
    """Return the columns of a table that are features.

    Parameters
    ----------
    table : pandas.DataFrame
        A table of regions.

    Returns
    -------
    tuple of str
        The columns of `tables.REGION_FEATURES` that have a value. In a table without any of them, the numeric columns
        that have a value and are not in `NOT_FEATURES`.

    Examples
    --------
    >>> import pandas as pd
    >>> table_features(pd.DataFrame({"micrograph_id": ["a"], "my_feature": [0.5], "area_nm2": [20.0]}))
    ('my_feature',)
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


def require_columns(table: pd.DataFrame) -> None:
    """Refuse a table without the class and the micrograph of its regions.

    Parameters
    ----------
    table : pandas.DataFrame
        Labeled regions.

    Raises
    ------
    SettingsError
        If it lacks ``region_class`` or ``micrograph_id``.
    """
    for name in ("region_class", "micrograph_id"):
        if name not in table:
            raise SettingsError(
                f"a table of labeled regions needs the column {name!r}; it has {', '.join(map(str, table.columns))}"
            )


def make_samples(
    table: pd.DataFrame,
    *,
    features: Sequence[str] | None = None,
    classes: Sequence[str] | None = None,
    keep_cut: bool = False,
) -> RegionSamples:
    """Select the labeled regions of a table.

    Regions that are left out are reported to the logger of this module.

    Parameters
    ----------
    table : pandas.DataFrame
        ``region_class``, ``micrograph_id`` and features; optionally ``touches_edge``.
    features : sequence of str, optional
        Columns to use; by default `table_features`.
    classes : sequence of str, optional
        Names of the classes; by default the classes that occur.
    keep_cut : bool
        Whether regions that touch the border of the image are kept, although only a part of them is visible.

    Returns
    -------
    RegionSamples
        The regions that have a class.

    Raises
    ------
    SettingsError
        If a column or a class is unknown, or fewer than two classes are left.
    ModelError
        If a feature is not in the table.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "micrograph_id": ["a", "a", "b"],
    ...     "region_class": ["misoriented", "stacking_fault", None],
    ...     "solidity": [0.9, 0.8, 0.7],
    ... })
    >>> samples = make_samples(table)
    >>> samples.classes, samples.features, samples.values.shape
    (('misoriented', 'stacking_fault'), ('solidity',), (2, 1))
    """
    require_columns(table)
    kept = table["region_class"].notna() & (table["region_class"] != "")
    if not keep_cut and "touches_edge" in table:
        kept &= ~table["touches_edge"].fillna(False).astype(bool)
    if not kept.all():
        _log.info("%d of %d regions are left out: they have no class or touch the border", (~kept).sum(), len(table))
    rows = table[kept].reset_index(drop=True)
    found = set(rows["region_class"].astype(str))
    if unknown := sorted(found - set(classes or REGION_CLASSES)):
        raise SettingsError(f"region_class {unknown[0]!r} is unknown: use {', '.join(classes or REGION_CLASSES)}")
    names = tuple(classes or (name for name in REGION_CLASSES if name in found))
    if len(names) < 2:
        raise SettingsError(f"need regions of at least two classes, got {', '.join(names) or 'none'}")
    chosen = tuple(features) if features is not None else table_features(rows)
    if not chosen:
        raise SettingsError("the table of labeled regions has no feature: no numeric column besides the labels")
    return RegionSamples(
        table=rows,
        features=chosen,
        classes=names,
        values=feature_matrix(rows, chosen),
        truth=rows["region_class"].astype(str).map({name: i for i, name in enumerate(names)}).to_numpy(np.int64),
        groups=rows["micrograph_id"].astype(str).to_numpy(dtype=object),
    )


def grouped_folds(samples: RegionSamples, *, n_folds: int, seed: int) -> list[Fold]:
    """Split regions by micrograph, with class frequencies as equal as possible in all folds.

    Parameters
    ----------
    samples : RegionSamples
        Labeled regions.
    n_folds : int
        Number of folds. It is reduced to the number of micrographs of the rarest class.
    seed : int
        Seed of the split.

    Returns
    -------
    list of tuple of numpy.ndarray
        For each fold, the indices of the regions to fit on and of the held-out regions.

    Raises
    ------
    SettingsError
        If a class occurs in one micrograph only.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({
    ...     "micrograph_id": ["a", "b", "c", "d"],
    ...     "region_class": ["misoriented", "stacking_fault"] * 2,
    ...     "solidity": [0.9, 0.8, 0.9, 0.8],
    ... })
    >>> folds = grouped_folds(make_samples(table), n_folds=2, seed=0)
    >>> [sorted([*fit, *held_out]) == [0, 1, 2, 3] for fit, held_out in folds]
    [True, True]
    """
    in_groups = [len(np.unique(samples.groups[samples.truth == i])) for i in range(len(samples.classes))]
    n_folds = min(n_folds, *in_groups)
    if n_folds < 2:
        rarest = samples.classes[int(np.argmin(in_groups))]
        raise SettingsError(
            f"the class {rarest} is in {min(in_groups)} micrograph only: to score a classifier, each class must be in "
            "at least two micrographs"
        )
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    return list(splitter.split(samples.values, samples.truth, samples.groups))
