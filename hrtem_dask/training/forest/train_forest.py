"""Fit the classifier of regions: forest, calibration, when it is unsure, and how good it is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold

from hrtem_dask.defects import Calibration, DefectClassifier, Forest, expected_calibration_error, fit_calibration
from hrtem_dask.training.forest.importance import permutation_importance
from hrtem_dask.training.forest.region_samples import RegionSamples, grouped_folds
from hrtem_dask.training.forest.search import (
    Candidate,
    MapTasks,
    make_forest,
    random_candidates,
    run_here,
    search_forest,
)
from hrtem_dask.training.forest.subsets import score_subsets

__all__ = ["DefectTraining", "TrainedDefects", "choose_unsure_threshold", "train_defects"]


@dataclass(frozen=True, kw_only=True)
class DefectTraining:
    """How the classifier is fitted."""

    candidate: Candidate = field(default_factory=Candidate)
    """Hyper-parameters, or where the search starts."""
    n_candidates: int = 1
    """Hyper-parameters to try; 1 takes `candidate`."""
    n_folds: int = 5
    """Folds of the cross-validation, micrographs kept together."""
    calibrate: bool = True
    """Calibrate the probabilities."""
    accepted_balanced_accuracy: float = 0.9
    """The threshold of unsure is the lowest at which accepted regions reach this balanced accuracy …"""
    min_accepted_share: float = 0.8
    """… but never so high that less than this share of the regions is accepted."""
    importance: bool = True
    """Measure the importance of features."""
    seed: int = 0
    """Of folds, forests, candidates and intervals."""


@dataclass(frozen=True, eq=False)
class TrainedDefects:
    """A classifier, and what was measured on micrographs left out."""

    classifier: DefectClassifier
    """Fitted on all regions."""
    samples: RegionSamples
    """What it was fitted on."""
    probability: np.ndarray
    """Shape (region, class): calibrated, said of micrographs left out; their calibration left them out too."""
    weight: np.ndarray
    """Shape (region,): of each region in calibration; with balanced class weights all classes weigh the same."""
    scores: pd.DataFrame
    """Rows of `region_scores` with a column ``subset``: all, clear, each source."""
    importance: pd.DataFrame
    """Of `permutation_importance`; empty where it was not asked for."""
    trials: pd.DataFrame
    """A row per candidate of the search."""
    out_of_bag: float
    """Share of regions told right by trees that did not see them; they may have seen their micrograph."""
    calibration_errors: dict[str, float]
    """Expected calibration error on micrographs left out, before and after."""
    calibration_losses: dict[str, float]
    """Cross-validated log loss of each method of calibration."""


def train_defects(
    samples: RegionSamples,
    training: DefectTraining | None = None,
    *,
    map_tasks: MapTasks = run_here,
    say: Callable[[str], None] = lambda _: None,
) -> TrainedDefects:
    """Fit a classifier of regions.

    Parameters
    ----------
    samples : RegionSamples
        Labelled regions.
    training : DefectTraining, optional
        How.
    map_tasks : callable
        Runs the tasks of search and importance; `batch.search.on_cluster` runs them on a cluster. The result does not
        depend on it.
    say : callable
        Takes lines on progress.

    Returns
    -------
    TrainedDefects
        The classifier and its scores. With balanced class weights, its probabilities are those of classes that are
        equally frequent: how frequent they are in training says nothing of a user's particles.

    Raises
    ------
    SettingsError
        If a class is in one micrograph only.
    """
    training = training or DefectTraining()
    folds = grouped_folds(samples, n_folds=training.n_folds, seed=training.seed)
    candidates = random_candidates(training.n_candidates, seed=training.seed, first=training.candidate)
    say(f"{len(samples.truth)} regions of {len(np.unique(samples.groups))} micrographs, {len(folds)} folds")
    best, raw, trials = search_forest(samples, candidates, folds, seed=training.seed, map_tasks=map_tasks)
    say(f"best of {len(candidates)}: balanced accuracy {trials['balanced_accuracy'].max():.4f}")
    weight = samples.balancing_weights() if best.class_weight else np.ones(len(samples.truth))
    calibration = Calibration.identity(len(samples.classes))
    losses: dict[str, float] = {}
    probability = raw
    if training.calibrate:
        calibration, losses = fit_calibration(raw, samples.truth, samples.groups, weight=weight)
        probability = _calibrated_left_out(calibration, raw, samples, weight)
    threshold = choose_unsure_threshold(probability, samples.truth, training)
    forest, out_of_bag = _fit_on_all(samples, best, training.seed)
    importance = pd.DataFrame({"importance": [], "spread": []})
    if training.importance:
        say("measuring the importance of features")
        importance = permutation_importance(samples, best, folds, seed=training.seed, map_tasks=map_tasks)
    scores = score_subsets(samples, probability, unsure_threshold=threshold, seed=training.seed)
    classifier = DefectClassifier(
        features=samples.features,
        classes=samples.classes,
        forest=forest,
        calibration=calibration,
        unsure_threshold=threshold,
        ranges=_ranges(samples),
        metadata=_metadata(samples, best, training, scores),
    )
    return TrainedDefects(
        classifier=classifier,
        samples=samples,
        probability=probability,
        weight=weight,
        scores=scores,
        importance=importance,
        trials=trials,
        out_of_bag=out_of_bag,
        calibration_errors={
            "before": expected_calibration_error(raw, samples.truth, weight=weight),
            "after": expected_calibration_error(probability, samples.truth, weight=weight),
        },
        calibration_losses=losses,
    )


def choose_unsure_threshold(probability: np.ndarray, truth: np.ndarray, training: DefectTraining) -> float:
    """Choose below which probability a region is unsure.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (region, class): said of micrographs left out.
    truth : numpy.ndarray of int
        Shape (region,).
    training : DefectTraining
        The rule: target and least accepted share.

    Returns
    -------
    float
        In steps of 0.01: the lowest at which accepted regions reach the target; where none does, the highest that
        accepts the least share.
    """
    said, best = probability.max(axis=1), probability.argmax(axis=1)
    chosen = 0.0
    for threshold in np.arange(0, 1, 0.01):
        accepted = said >= threshold
        if accepted.mean() < training.min_accepted_share:
            break
        chosen = float(round(threshold, 2))
        if balanced_accuracy_score(truth[accepted], best[accepted]) >= training.accepted_balanced_accuracy:
            break
    return chosen


def _fit_on_all(samples: RegionSamples, candidate: Candidate, seed: int) -> tuple[Forest, float]:
    """Return the forest, and the share told right of the regions that some trees did not see."""
    theirs = make_forest(candidate, seed=seed, n_jobs=-1)
    with warnings.catch_warnings():
        # weighted regions are drawn often: some are seen by every tree, and scikit-learn counts them as wrong
        warnings.filterwarnings("ignore", message="Some inputs do not have OOB scores")
        theirs.fit(samples.values, samples.truth)
    votes = theirs.oob_decision_function_
    known = votes.sum(axis=1) > 0
    right = theirs.classes_[votes[known].argmax(axis=1)] == samples.truth[known]
    return Forest.from_sklearn(theirs), float(right.mean()) if known.any() else float("nan")


def _calibrated_left_out(
    calibration: Calibration, raw: np.ndarray, samples: RegionSamples, weight: np.ndarray
) -> np.ndarray:
    """Calibrate each fold's probabilities by what was fitted on the others: none may see its own micrographs."""
    n_folds = min(5, len(np.unique(samples.groups)))
    probability = np.empty_like(raw)
    for fit, left_out in GroupKFold(n_folds).split(raw, groups=samples.groups):
        fitted, _ = fit_calibration(
            raw[fit], samples.truth[fit], samples.groups[fit], weight=weight[fit], methods=[calibration.method]
        )
        probability[left_out] = fitted.apply(raw[left_out])
    return probability


def _ranges(samples: RegionSamples) -> dict[str, tuple[float, float]]:
    """Return the 1st and 99th percentile of each feature."""
    known = np.isfinite(samples.values).any(axis=0)
    low, high = np.nanpercentile(samples.values[:, known], [1, 99], axis=0)
    names = np.array(samples.features)[known]
    return {str(name): (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}


def _metadata(
    samples: RegionSamples, best: Candidate, training: DefectTraining, scores: pd.DataFrame
) -> dict[str, str]:
    """Say in the file what it was fitted on, and how good it is."""
    digest = hashlib.blake2b(samples.values.tobytes(), digest_size=8)
    digest.update("\0".join([*samples.groups, *samples.features]).encode())
    digest.update(samples.truth.tobytes())
    counts = dict(zip(samples.classes, np.bincount(samples.truth).tolist(), strict=True))
    overall = scores[scores["subset"] == "all"].set_index("score")["value"]
    return {
        "forest": json.dumps(dataclasses.asdict(best)),
        "training": json.dumps(dataclasses.asdict(training)),
        "data": json.dumps(
            {"regions": counts, "micrographs": len(np.unique(samples.groups)), "hash": digest.hexdigest()}
        ),
        "scores": json.dumps({name: None if v != v else round(float(v), 5) for name, v in overall.items()}),
        "probabilities": "of classes that are equally frequent" if best.class_weight else "of classes as in training",
        "code_version": version("hrtem-dask"),
    }
