"""Scores of classified regions with intervals, from one table of counts: micrograph × true class × predicted class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from hrtem_dask.evaluation.resampled_statistics import Estimate, estimate, ratio_estimate
from hrtem_dask.intervals import resamples

__all__ = ["class_counts", "region_scores"]

FAULT, NO_FAULT, MISORIENTED = "stacking_fault", "no_stacking_fault", "misoriented"
SCORES = {
    "balanced_accuracy": "share classified correctly, mean over classes",
    "accuracy": "share classified correctly: recall weighted by the frequency of classes, as the paper's 0.864",
    "frequency_weighted_accuracy": "share classified correctly, each region weighted by the frequency of its class",
    "on_zone_recall": "mean recall of fault and no fault; every other predicted class counts as wrong",
    "fault_balanced_accuracy": "balanced accuracy of regions on zone by the likelier of fault and no fault",
    "oriented_share_true": "share of particles (fault, no fault, misoriented) that are on zone",
    "oriented_share": "the same of the predicted classes",
    "oriented_share_expected": "the same of the sums of probabilities",
    "faulted_share_true": "share of the particles on zone that are faulted",
    "faulted_share": "the same of the predicted classes",
    "faulted_share_expected": "the same of the sums of probabilities",
    "accepted_share": "share of regions that are not classified as unsure",
    "accepted_balanced_accuracy": "balanced accuracy of those",
}
"""What `region_scores` gives beside recall and precision of each class."""


def class_counts(truth: np.ndarray, predicted: np.ndarray, groups: np.ndarray, n_classes: int) -> np.ndarray:
    """Count regions by micrograph, true and predicted class.

    Parameters
    ----------
    truth : numpy.ndarray of int
        Shape (regions,): numbers of the true classes, 0 to `n_classes` − 1.
    predicted : numpy.ndarray of int
        Shape (regions,): numbers of the predicted classes; `n_classes` stands for unsure.
    groups : numpy.ndarray
        Shape (regions,): micrograph of each region.
    n_classes : int
        Number of classes.

    Returns
    -------
    numpy.ndarray of int
        Shape (micrographs, n_classes, n_classes + 1), micrographs sorted.

    Examples
    --------
    >>> class_counts(np.array([0, 1, 1]), np.array([0, 1, 2]), np.array(["a", "a", "a"]), 2).tolist()
    [[[1, 0, 0], [0, 1, 1]]]
    """
    names, group = np.unique(groups, return_inverse=True)
    shape = (len(names), n_classes, n_classes + 1)
    flat = np.ravel_multi_index((group.ravel(), truth, predicted), shape)
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
    """Score predicted class probabilities of regions.

    Parameters
    ----------
    truth : numpy.ndarray of int
        Shape (regions,): numbers of the true classes.
    probability : numpy.ndarray of float
        Shape (regions, classes): predicted probabilities, 0 to 1.
    groups : numpy.ndarray
        Shape (regions,): micrograph of each region. The bootstrap draws whole micrographs.
    classes : sequence of str
        Names of the classes.
    unsure_threshold : float
        A region whose likeliest class has a lower probability is unsure. This affects only the scores of accepted
        regions; all other scores use the likeliest class.
    n_resamples : int
        Resamples of the bootstrap over micrographs.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        Index: names of `SCORES`, ``recall_<class>`` and ``precision_<class>``. Columns: ``value``, ``low`` and
        ``high``, the ends of the 95 % interval of `intervals.bootstrap_interval`; NaN where there is none.

    Examples
    --------
    >>> truth = np.array([0, 0, 1, 1])
    >>> probability = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])
    >>> scores = region_scores(truth, probability, np.arange(4), ["no_particle", "misoriented"], n_resamples=100)
    >>> scores.loc[["accuracy", "recall_no_particle"], "value"].to_dict()
    {'accuracy': 0.75, 'recall_no_particle': 0.5}
    """
    names, group = np.unique(groups, return_inverse=True)
    n, n_classes = len(names), len(classes)
    draws = resamples(n, n_resamples=n_resamples, seed=seed)
    number = {name: i for i, name in enumerate(classes)}
    best = probability.argmax(axis=1)
    counts = class_counts(truth, best, groups, n_classes)[..., :n_classes]
    scores = _confusion_scores(counts, draws, classes)
    expected = np.zeros((n, n_classes))
    np.add.at(expected, group.ravel(), probability)
    scores |= _shares(expected, draws, number, "_expected")
    if {FAULT, NO_FAULT} <= set(number):
        pair = [number[FAULT], number[NO_FAULT]]
        likelier = np.where(np.isin(truth, pair), np.array(pair)[probability[:, pair].argmax(axis=1)], best)
        drawn = _drawn(class_counts(truth, likelier, groups, n_classes)[..., :n_classes], draws)
        n_on_zone = int(np.count_nonzero(counts[:, pair].sum(axis=(1, 2))))
        scores["fault_balanced_accuracy"] = estimate(_recalls(drawn)[:, pair].mean(axis=1), n_on_zone)
    accepted = np.where(probability.max(axis=1) < unsure_threshold, n_classes, best)
    with_unsure = class_counts(truth, accepted, groups, n_classes)
    sure, drawn = with_unsure[..., :n_classes], _drawn(with_unsure, draws)
    drawn_sure = drawn[..., :n_classes]
    scores["accepted_share"] = estimate(_ratio(drawn_sure.sum((1, 2)), drawn.sum((1, 2))), n)
    n_sure = int(np.count_nonzero(sure.sum(axis=(1, 2))))
    scores["accepted_balanced_accuracy"] = estimate(_mean_known(_recalls(drawn_sure)), n_sure)
    return pd.DataFrame.from_dict(scores, orient="index", columns=["value", "low", "high"])


def _drawn(counts: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Add up the counts of each resample, shape (resamples, …), from those of each micrograph."""
    return np.asarray(np.tensordot(draws, counts.astype(float), axes=1))


def _confusion_scores(counts: np.ndarray, draws: np.ndarray, classes: Sequence[str]) -> dict[str, Estimate]:
    """Return the scores of a confusion matrix per micrograph, shape (micrographs, true class, predicted class)."""
    number = {name: i for i, name in enumerate(classes)}
    drawn, n = _drawn(counts, draws), len(counts)
    right, true, predicted = np.diagonal(drawn, axis1=1, axis2=2), drawn.sum(axis=2), drawn.sum(axis=1)
    recall, precision = _recalls(drawn), _ratio(right, predicted)
    scores = {
        "balanced_accuracy": estimate(_mean_known(recall), n),
        "accuracy": estimate(_ratio(right.sum(axis=1), true.sum(axis=1)), n),
        "frequency_weighted_accuracy": estimate(_ratio((true * right).sum(axis=1), (true**2).sum(axis=1)), n),
    }
    true_per_micrograph, predicted_per_micrograph = counts.sum(axis=2), counts.sum(axis=1)
    if {FAULT, NO_FAULT} <= set(number):
        pair = [number[FAULT], number[NO_FAULT]]
        n_on_zone = int(np.count_nonzero(true_per_micrograph[:, pair].sum(axis=1)))
        scores["on_zone_recall"] = estimate(recall[:, pair].mean(axis=1), n_on_zone)
        scores |= _shares(true_per_micrograph, draws, number, "_true")
        scores |= _shares(predicted_per_micrograph, draws, number, "")
    for i, name in enumerate(classes):
        scores[f"recall_{name}"] = estimate(recall[:, i], int(np.count_nonzero(true_per_micrograph[:, i])))
        scores[f"precision_{name}"] = estimate(precision[:, i], int(np.count_nonzero(predicted_per_micrograph[:, i])))
    return scores


def _shares(n: np.ndarray, draws: np.ndarray, number: Mapping[str, int], suffix: str) -> dict[str, Estimate]:
    """Return the share of particles on zone and the share of faults among these, from counts (micrographs, classes)."""
    if not {FAULT, NO_FAULT} <= set(number):
        return {}
    faulted = n[:, number[FAULT]]
    on_zone = faulted + n[:, number[NO_FAULT]]
    shares = {f"faulted_share{suffix}": ratio_estimate(faulted, on_zone, draws)}
    if MISORIENTED in number:
        shares[f"oriented_share{suffix}"] = ratio_estimate(on_zone, on_zone + n[:, number[MISORIENTED]], draws)
    return shares


def _recalls(counts: np.ndarray) -> np.ndarray:
    """Return the recall of each class; NaN where it has no region."""
    return _ratio(np.diagonal(counts, axis1=1, axis2=2), counts.sum(axis=2))


def _mean_known(recall: np.ndarray) -> np.ndarray:
    """Return the mean over the classes that have regions."""
    known = np.isfinite(recall)
    return _ratio(np.where(known, recall, 0).sum(axis=1), known.sum(axis=1))


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """Divide; NaN where the denominator is 0."""
    ratio: np.ndarray = np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under != 0)
    return ratio
