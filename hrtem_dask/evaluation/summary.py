"""The scores of many micrographs, averaged and pooled, with intervals over micrographs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hrtem_dask.evaluation.definitions import STATISTICS
from hrtem_dask.evaluation.group_scores import score_group
from hrtem_dask.evaluation.groups import grouped_micrographs

__all__ = ["summarize_scores"]


def summarize_scores(
    micrographs: pd.DataFrame,
    objects: pd.DataFrame,
    curves: Mapping[str, np.ndarray] | None = None,
    *,
    groups: Sequence[str] = (),
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Summarize scores over all micrographs, and over groups of them.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        A row per micrograph, from `score_micrograph`, with ``truth_id`` and the columns to group by.
    objects : pandas.DataFrame
        Their particles, from `score_micrograph`, with ``truth_id``.
    curves : mapping of str to numpy.ndarray, optional
        Counts over thresholds, shape (2, 101), by ``truth_id``; a curve is pooled over the micrographs that have one.
    groups : sequence of str
        Columns of `micrographs` to group by. Numbers of more than 6 values are divided into quarters.
    n_resamples : int
        Resamples of the bootstrap.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        A row per group and statistic: ``by`` and ``group`` (both ``"all"`` for all micrographs), ``statistic`` (a name
        in `STATISTICS`), ``value``, ``low`` and ``high``. The last two are the ends of the 95 % interval: Wilson's for
        shares of empty micrographs, else `intervals.bootstrap_interval`. They are null where fewer than
        `intervals.MIN_MICROGRAPHS` micrographs contribute, and for numbers of micrographs and thresholds.

    Raises
    ------
    KeyError
        If there is no such column.

    Examples
    --------
    >>> from hrtem_dask.evaluation import score_micrograph
    >>> truth = np.zeros((64, 64), dtype=int)
    >>> truth[20:40, 20:40] = 1
    >>> found = np.zeros((64, 64), dtype=int)
    >>> found[20:40, 22:40] = 1
    >>> scores = score_micrograph(found, truth, pixel_size_nm=(0.05, 0.05))
    >>> micrographs = pd.DataFrame([scores.row | {"truth_id": "a"}])
    >>> summary = summarize_scores(micrographs, scores.objects.assign(truth_id="a"), n_resamples=100)
    >>> summary.set_index("statistic").loc[["dice_mean", "object_f1"], "value"].round(3).to_dict()
    {'dice_mean': 0.947, 'object_f1': 1.0}
    """
    tables = []
    for by, group, rows in grouped_micrographs(micrographs, groups):
        found = score_group(rows, objects, curves or {}, n_resamples=n_resamples, seed=seed)
        estimates = pd.DataFrame([found[name] for name in STATISTICS]).assign(statistic=list(STATISTICS))
        tables.append(estimates.assign(by=by, group=group))
    return pd.concat(tables, ignore_index=True)[["by", "group", "statistic", "value", "low", "high"]]
