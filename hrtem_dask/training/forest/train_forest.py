"""Train the classifier of regions: fit the forest, calibrate it, choose the threshold of unsure, and score it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import warnings
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

__all__ = ["ForestTraining", "TrainedForest", "choose_unsure_threshold", "train_forest"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ForestTraining:
    """Settings for training the classifier of regions."""

    candidate: Candidate = field(default_factory=Candidate)
    """Hyper-parameters of the forest, and the first candidate of the search."""
    n_candidates: int = 1
    """Number of candidates to try, at least 1; with 1, only `candidate` is used."""
    n_folds: int = 5
    """Number of folds of the cross-validation, at least 2; all regions of a micrograph are in the same fold."""
    calibrate: bool = True
    """Whether the probabilities are calibrated."""
    accepted_balanced_accuracy: float = 0.9
    """Balanced accuracy of the accepted regions, 0 to 1, that the threshold of unsure must reach."""
    min_accepted_share: float = 0.8
    """Smallest share of accepted regions, 0 to 1: the threshold of unsure is never so high that fewer are accepted."""
    importance: bool = True
    """Whether the importance of the features is measured."""
    seed: int = 0
    """Seed of the folds, forests, candidates and intervals."""


@dataclass(frozen=True, eq=False)
class TrainedForest:
    """A classifier of regions with its scores on held-out micrographs."""

    classifier: DefectClassifier
    """The classifier, fitted on all regions."""
    samples: RegionSamples
    """The regions that it was fitted on."""
    probability: np.ndarray
    """Shape (region, class): calibrated probabilities of held-out regions, 0 to 1. The calibration of each region was
    fitted without its micrograph, too."""
    weight: np.ndarray
    """Shape (region,): weight of each region in the calibration. With balanced class weights, all classes have the same
    total weight."""
    scores: pd.DataFrame
    """Rows of `score_subsets`: scores of all regions, of the clear regions, and of each source."""
    importance: pd.DataFrame
    """Table of `permutation_importance`; empty if the importance was not measured."""
    trials: pd.DataFrame
    """A row per candidate of the search."""
    out_of_bag: float
    """Share of regions classified correctly by the trees that were fitted without them, 0 to 1. These trees may have
    been fitted on other regions of the same micrograph."""
    calibration_errors: dict[str, float]
    """Expected calibration error of held-out regions, ``before`` and ``after`` calibration."""
    calibration_losses: dict[str, float]
    """Cross-validated log loss (nat) of each calibration method."""


def train_forest(
    samples: RegionSamples, training: ForestTraining | None = None, *, map_tasks: MapTasks = run_here
) -> TrainedForest:
    """Train a classifier of regions.

    Parameters
    ----------
    samples : RegionSamples
        Labeled regions.
    training : ForestTraining, optional
        Settings of the training; the default settings are used without them.
    map_tasks : MapTasks
        Runs the tasks of the search and of the importance; `batch.training.search_on_cluster.on_cluster` runs them on a
        cluster. The result does not depend on where they run.

    Returns
    -------
    TrainedForest
        The classifier and its scores. With balanced class weights, its probabilities hold for equally frequent classes,
        because the class frequencies of the training data differ from those of a user's sample.

    Raises
    ------
    SettingsError
        If a class occurs in one micrograph only.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from hrtem_dask.training.forest.region_samples import make_samples
    >>> table = pd.DataFrame({
    ...     "micrograph_id": np.arange(40) // 2,
    ...     "region_class": ["misoriented", "stacking_fault"] * 20,
    ...     "my_feature": np.tile([0.0, 1.0], 20),
    ... })
    >>> training = ForestTraining(candidate=Candidate(n_estimators=10), calibrate=False, importance=False)
    >>> trained = train_forest(make_samples(table), training)
    >>> trained.probability.argmax(axis=1).tolist() == trained.samples.truth.tolist()
    True
    """
    training = training or ForestTraining()
    folds = grouped_folds(samples, n_folds=training.n_folds, seed=training.seed)
    candidates = random_candidates(training.n_candidates, seed=training.seed, first=training.candidate)
    n_micrographs = len(np.unique(samples.groups))
    _log.info("%d regions of %d micrographs, %d folds", len(samples.truth), n_micrographs, len(folds))
    best, raw, trials = search_forest(samples, candidates, folds, seed=training.seed, map_tasks=map_tasks)
    _log.info("best of %d: balanced accuracy %.4f", len(candidates), trials["balanced_accuracy"].max())
    weight = samples.balancing_weights() if best.class_weight else np.ones(len(samples.truth))
    calibration = Calibration.identity(len(samples.classes))
    losses: dict[str, float] = {}
    probability = raw
    if training.calibrate:
        calibration, losses = fit_calibration(raw, samples.truth, samples.groups, weight=weight)
        probability = _cross_calibrated(calibration, raw, samples, weight)
    threshold = choose_unsure_threshold(probability, samples.truth, training)
    forest, out_of_bag = _fit_on_all(samples, best, training.seed)
    importance = pd.DataFrame({"importance": [], "spread": []})
    if training.importance:
        _log.info("measuring the importance of the features")
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
    return TrainedForest(
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


def choose_unsure_threshold(probability: np.ndarray, truth: np.ndarray, training: ForestTraining) -> float:
    """Choose the probability below which a region is unsure.

    Parameters
    ----------
    probability : numpy.ndarray
        Shape (region, class): probabilities predicted for held-out regions, 0 to 1.
    truth : numpy.ndarray of int
        Shape (region,): index of the true class.
    training : ForestTraining
        Settings with the target `accepted_balanced_accuracy` and the smallest `min_accepted_share`.

    Returns
    -------
    float
        In steps of 0.01: the lowest threshold at which accepted regions reach the target. If none reaches it, the
        highest threshold that accepts the smallest share.

    Examples
    --------
    >>> import numpy as np
    >>> probability = np.array([[0.9, 0.1], [0.2, 0.8], [0.55, 0.45], [0.1, 0.9]])
    >>> choose_unsure_threshold(probability, np.array([0, 1, 1, 1]), ForestTraining(min_accepted_share=0.7))
    0.56
    """
    highest, predicted = probability.max(axis=1), probability.argmax(axis=1)
    chosen = 0.0
    for threshold in np.arange(0, 1, 0.01):
        accepted = highest >= threshold
        if accepted.mean() < training.min_accepted_share:
            break
        chosen = float(round(threshold, 2))
        if balanced_accuracy_score(truth[accepted], predicted[accepted]) >= training.accepted_balanced_accuracy:
            break
    return chosen


def _fit_on_all(samples: RegionSamples, candidate: Candidate, seed: int) -> tuple[Forest, float]:
    """Return the forest and its out-of-bag accuracy."""
    fitted = make_forest(candidate, seed=seed, n_jobs=-1)
    with warnings.catch_warnings():
        # Some regions are drawn for every tree. They have no out-of-bag prediction, and are left out here; the score of
        # scikit-learn counts them as wrong.
        warnings.filterwarnings("ignore", message="Some inputs do not have OOB scores")
        fitted.fit(samples.values, samples.truth)
    votes = fitted.oob_decision_function_
    known = votes.sum(axis=1) > 0
    correct = fitted.classes_[votes[known].argmax(axis=1)] == samples.truth[known]
    return Forest.from_sklearn(fitted), float(correct.mean()) if known.any() else float("nan")


def _cross_calibrated(
    calibration: Calibration, raw: np.ndarray, samples: RegionSamples, weight: np.ndarray
) -> np.ndarray:
    """Calibrate the probabilities of each fold by a calibration that was fitted on the other folds' micrographs."""
    n_folds = min(5, len(np.unique(samples.groups)))
    probability = np.empty_like(raw)
    for fit, held_out in GroupKFold(n_folds).split(raw, groups=samples.groups):
        fold_calibration, _ = fit_calibration(
            raw[fit], samples.truth[fit], samples.groups[fit], weight=weight[fit], methods=[calibration.method]
        )
        probability[held_out] = fold_calibration.apply(raw[held_out])
    return probability


def _ranges(samples: RegionSamples) -> dict[str, tuple[float, float]]:
    """Return the 1st and 99th percentile of each feature."""
    known = np.isfinite(samples.values).any(axis=0)
    low, high = np.nanpercentile(samples.values[:, known], [1, 99], axis=0)
    names = np.array(samples.features)[known]
    return {str(name): (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}


def _metadata(
    samples: RegionSamples, best: Candidate, training: ForestTraining, scores: pd.DataFrame
) -> dict[str, str]:
    """Return the metadata of the model file: training data, settings and scores."""
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
