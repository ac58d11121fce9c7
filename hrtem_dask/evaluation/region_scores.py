"""Scores of classified regions with intervals, all from one table of counts: micrograph × true class × said class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hrtem_dask.evaluation.bootstrap import interval, resamples

__all__ = ["class_counts", "region_scores"]

FAULT, NO_FAULT, MISORIENTED = "stacking_fault", "no_stacking_fault", "misoriented"
SCORES = {
    "balanced_accuracy": "mean over classes of the share told right",
    "accuracy": "share told right: recall weighted by the frequency of classes, as the paper's 0.864",
    "frequency_weighted_accuracy": "share told right, each region weighted by the frequency of its class once more",
    "on_zone_recall": "mean recall of fault and no fault, whatever else was said counted as wrong",
    "fault_balanced_accuracy": "of regions on zone, fault against no fault by which of the two is likelier",
    "oriented_share_true": "share of particles (fault, no fault, misoriented) that are on zone",
    "oriented_share": "the same, as said",
    "oriented_share_expected": "the same, by the sums of probabilities",
    "faulted_share_true": "share of those on zone that are faulted",
    "faulted_share": "the same, as said",
    "faulted_share_expected": "the same, by the sums of probabilities",
    "accepted_share": "share of regions that are not called unsure",
    "accepted_balanced_accuracy": "balanced accuracy of those",
}
"""What `region_scores` gives beside recall and precision of each class."""


def class_counts(truth: np.ndarray, said: np.ndarray, groups: np.ndarray, n_classes: int) -> np.ndarray:
    """Count regions by micrograph, true and said class.

    Parameters
    ----------
    truth : numpy.ndarray of int
        Shape (region,): numbers of the true classes.
    said : numpy.ndarray of int
        Shape (region,): numbers of the classes said; ``n_classes`` is unsure.
    groups : numpy.ndarray
        Shape (region,): micrographs.
    n_classes : int
        Number of classes.

    Returns
    -------
    numpy.ndarray of int
        Shape (micrograph, class, class + 1), micrographs sorted.
    """
    names, group = np.unique(groups, return_inverse=True)
    shape = (len(names), n_classes, n_classes + 1)
    flat = np.ravel_multi_index((group.ravel(), truth, said), shape)
    return np.bincount(flat, minlength=int(np.prod(shape))).reshape(shape)


def region_scores(
    truth: np.ndarray,
    probability: np.ndarray,
    groups: np.ndarray,
    classes: Sequence[str],
    *,
    unsure_threshold: float = 0.0,
    n_resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Score probabilities of classes.

    Parameters
    ----------
    truth : numpy.ndarray of int
        Shape (region,): numbers of the true classes.
    probability : numpy.ndarray
        Shape (region, class).
    groups : numpy.ndarray
        Shape (region,): micrographs, drawn as a whole for the intervals.
    classes : sequence of str
        Names of the classes.
    unsure_threshold : float
        A region whose likeliest class is less probable is unsure. It counts in the scores of accepted ones alone: all
        others take the likeliest class.
    n_resamples : int
        Resamples of the bootstrap over micrographs.
    seed : int
        Its seed.

    Returns
    -------
    pandas.DataFrame
        Index: names of `SCORES`, ``recall_<class>`` and ``precision_<class>``. Columns: ``value``, ``low`` and
        ``high``, the ends of the 95 % interval; NaN where nothing can be said.
    """
    n_classes = len(classes)
    place = {name: i for i, name in enumerate(classes)}
    best = probability.argmax(axis=1)
    accepted = np.where(probability.max(axis=1) < unsure_threshold, n_classes, best)
    pair = [place[name] for name in (FAULT, NO_FAULT) if name in place]
    on_zone = np.isin(truth, pair)
    likelier = np.where(on_zone, np.array(pair or [0])[probability[:, pair or [0]].argmax(axis=1)], best)
    weights = resamples(len(np.unique(groups)), n_resamples=n_resamples, seed=seed)

    def totals(said: np.ndarray) -> np.ndarray:
        counts = class_counts(truth, said, groups, n_classes)
        summed = weights @ counts.reshape(len(counts), -1)
        return np.asarray(summed.reshape(-1, n_classes, n_classes + 1).astype(float))

    scores = _of_counts(totals(best)[..., :n_classes], classes)
    group = np.unique(groups, return_inverse=True)[1].ravel()
    expected = np.zeros((group.max() + 1, n_classes))
    np.add.at(expected, group, probability)
    scores |= _shares(weights @ expected, place, "_expected")
    if len(pair) == 2:
        scores["fault_balanced_accuracy"] = _recalls(totals(likelier)[..., :n_classes])[:, pair].mean(axis=1)
    sure = totals(accepted)
    scores["accepted_share"] = _ratio(sure[..., :n_classes].sum((1, 2)), sure.sum((1, 2)))
    scores["accepted_balanced_accuracy"] = _mean_known(_recalls(sure[..., :n_classes]))
    rows = {name: (values[0], *interval(values)) for name, values in scores.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high"])


def _of_counts(counts: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Return scores of confusion matrices, shape (resample, true, said)."""
    place = {name: i for i, name in enumerate(classes)}
    right, true, said = np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2), counts.sum(axis=1)
    recall = _recalls(counts)
    scores = {
        "balanced_accuracy": _mean_known(recall),
        "accuracy": _ratio(right.sum(axis=1), true.sum(axis=1)),
        "frequency_weighted_accuracy": _ratio((true * right).sum(axis=1), (true**2).sum(axis=1)),
    }
    if {FAULT, NO_FAULT} <= set(place):
        fault, no_fault = place[FAULT], place[NO_FAULT]
        scores["on_zone_recall"] = recall[:, [fault, no_fault]].mean(axis=1)
        scores |= _shares(true, place, "_true") | _shares(said, place, "")
    for i, name in enumerate(classes):
        scores[f"recall_{name}"] = recall[:, i]
        scores[f"precision_{name}"] = _ratio(right[:, i], said[:, i])
    return scores


def _shares(n: np.ndarray, place: Mapping[str, int], suffix: str) -> dict[str, np.ndarray]:
    """Return how many are on zone, and how many of these are faulted, from numbers of shape (resample, class)."""
    if not {FAULT, NO_FAULT} <= set(place):
        return {}
    on_zone = n[:, place[FAULT]] + n[:, place[NO_FAULT]]
    shares = {f"faulted_share{suffix}": _ratio(n[:, place[FAULT]], on_zone)}
    if MISORIENTED in place:
        shares[f"oriented_share{suffix}"] = _ratio(on_zone, on_zone + n[:, place[MISORIENTED]])
    return shares


def _recalls(counts: np.ndarray) -> np.ndarray:
    return _ratio(np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2))


def _mean_known(recall: np.ndarray) -> np.ndarray:
    """Return the mean over the classes that have regions."""
    known = np.isfinite(recall)
    return _ratio(np.where(known, recall, 0).sum(axis=1), known.sum(axis=1))


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    ratio: np.ndarray = np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under != 0)
    return ratio
