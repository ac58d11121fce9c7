"""Random search of a forest's hyper-parameters: each candidate and fold is a task of its own, wherever it runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score

from hrtem_dask.training.forest.region_samples import RegionSamples

__all__ = ["Candidate", "MapTasks", "fit_fold", "make_forest", "random_candidates", "run_here", "search_forest"]

MapTasks = Callable[[Callable[..., Any], Sequence[Any], RegionSamples], Iterable[Any]]
"""Calls a function on each item with the samples, and gives the results in the order of the items."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Hyper-parameters of a forest; the meaning of each is scikit-learn's."""

    kind: Literal["random_forest", "extra_trees"] = "random_forest"
    n_estimators: int = 300
    criterion: Literal["gini", "log_loss"] = "gini"
    max_features: float | Literal["sqrt"] = "sqrt"
    min_samples_leaf: int = 3
    max_depth: int | None = None
    class_weight: Literal["balanced", "balanced_subsample"] | None = "balanced"


def random_candidates(n: int, *, seed: int, first: Candidate | None = None) -> list[Candidate]:
    """Draw hyper-parameters.

    Parameters
    ----------
    n : int
        How many.
    seed : int
        Of the random numbers; candidate i does not depend on `n`.
    first : Candidate, optional
        Takes the first place: the search never ends below it. Its number of trees is everyone's.

    Returns
    -------
    list of Candidate
        Drawn independently (J. Bergstra, Y. Bengio, J. Mach. Learn. Res. 13 (2012) 281).
    """
    first = first or Candidate()
    drawn = [first]
    for i in range(1, n):
        rng = np.random.default_rng([seed, i])
        drawn.append(
            dataclasses.replace(
                first,
                kind="extra_trees" if rng.random() < 0.5 else "random_forest",
                criterion="log_loss" if rng.random() < 0.5 else "gini",
                max_features="sqrt" if rng.random() < 0.3 else round(float(rng.uniform(0.15, 0.7)), 2),
                min_samples_leaf=round(float(np.exp(rng.uniform(0, np.log(20))))),
                max_depth=None if rng.random() < 0.6 else int(rng.integers(6, 25)),
            )
        )
    return drawn[:n]


def make_forest(candidate: Candidate, *, seed: int, n_jobs: int = 1) -> RandomForestClassifier | ExtraTreesClassifier:
    """Return an unfitted forest.

    Parameters
    ----------
    candidate : Candidate
        Its hyper-parameters.
    seed : int
        Of its random numbers.
    n_jobs : int
        Threads; the result does not depend on it.

    Returns
    -------
    sklearn.ensemble.RandomForestClassifier or ExtraTreesClassifier
        With out-of-bag score.
    """
    options = {name: value for name, value in dataclasses.asdict(candidate).items() if name != "kind"}
    kind = RandomForestClassifier if candidate.kind == "random_forest" else ExtraTreesClassifier
    return kind(**options, bootstrap=True, oob_score=True, random_state=seed, n_jobs=n_jobs)


def fit_fold(item: tuple[Candidate, tuple[np.ndarray, np.ndarray], int], samples: RegionSamples) -> np.ndarray:
    """Fit a forest on one side of a fold, and ask it about the other: one task of the search.

    Parameters
    ----------
    item : tuple
        Candidate, fold (regions to fit on, regions left out), seed.
    samples : RegionSamples
        All regions.

    Returns
    -------
    numpy.ndarray of float
        Shape (region left out, class): probabilities.
    """
    candidate, (fit, left_out), seed = item
    forest = make_forest(candidate, seed=seed).set_params(oob_score=False)
    forest.fit(samples.values[fit], samples.truth[fit])
    probability = np.zeros((len(left_out), len(samples.classes)))
    probability[:, forest.classes_] = forest.predict_proba(samples.values[left_out])
    return probability


def run_here(function: Callable[..., Any], items: Sequence[Any], samples: RegionSamples) -> list[Any]:
    """Run tasks one after the other in this process.

    Parameters
    ----------
    function : callable
        Called as ``function(item, samples)``.
    items : sequence
        The items.
    samples : RegionSamples
        The regions.

    Returns
    -------
    list
        What the function returned.
    """
    return [function(item, samples) for item in items]


def search_forest(
    samples: RegionSamples,
    candidates: Sequence[Candidate],
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    *,
    seed: int,
    map_tasks: MapTasks = run_here,
) -> tuple[Candidate, np.ndarray, pd.DataFrame]:
    """Choose the candidate with the highest balanced accuracy of micrographs left out.

    Parameters
    ----------
    samples : RegionSamples
        The regions.
    candidates : sequence of Candidate
        To choose from; of equal ones the first.
    folds : sequence of tuple of numpy.ndarray
        From `grouped_folds`.
    seed : int
        Of the forests.
    map_tasks : callable
        Runs the tasks; the result does not depend on where.

    Returns
    -------
    best : Candidate
        The chosen one.
    probability : numpy.ndarray
        Shape (region, class): what forests like it said of micrographs left out.
    trials : pandas.DataFrame
        A row per candidate: its hyper-parameters and ``balanced_accuracy``.
    """
    items = [(candidate, fold, seed) for candidate in candidates for fold in folds]
    parts = list(map_tasks(fit_fold, items, samples))
    trials, best = [], -1
    probability: np.ndarray = np.empty(0)
    scores: list[float] = []
    for i, candidate in enumerate(candidates):
        whole = np.full((len(samples.truth), len(samples.classes)), np.nan)
        for (_, left_out), part in zip(folds, parts[i * len(folds) : (i + 1) * len(folds)], strict=True):
            whole[left_out] = part
        scores.append(float(balanced_accuracy_score(samples.truth, whole.argmax(axis=1))))
        trials.append({**dataclasses.asdict(candidate), "balanced_accuracy": scores[-1]})
        if best < 0 or scores[-1] > scores[best]:
            best, probability = i, whole
    return candidates[best], probability, pd.DataFrame(trials)
