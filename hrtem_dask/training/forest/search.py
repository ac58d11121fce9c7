"""Random search of a forest's hyper-parameters, with one independent task per candidate and fold."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
import pandas as pd
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.metrics import balanced_accuracy_score

from hrtem_dask.training.forest.region_samples import Fold, RegionSamples

__all__ = [
    "Candidate",
    "FoldTask",
    "MapTasks",
    "fit_fold",
    "make_forest",
    "random_candidates",
    "run_here",
    "search_forest",
]

Item = TypeVar("Item")
Result = TypeVar("Result")


class MapTasks(Protocol):
    """Calls a function with each item and the samples, and returns the results in the order of the items."""

    def __call__(
        self, function: Callable[[Item, RegionSamples], Result], items: Sequence[Item], samples: RegionSamples, /
    ) -> Iterable[Result]:
        """Run the tasks."""
        ...


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Hyper-parameters of a forest, with the names and meanings of scikit-learn."""

    kind: Literal["random_forest", "extra_trees"] = "random_forest"
    """Type of the forest."""
    n_estimators: int = 300
    """Number of trees."""
    criterion: Literal["gini", "log_loss"] = "gini"
    """Impurity that a split reduces."""
    max_features: float | Literal["sqrt"] = "sqrt"
    """Features tried per split: a share in (0, 1], or the square root of their number."""
    min_samples_leaf: int = 3
    """Smallest number of regions in a leaf."""
    max_depth: int | None = None
    """Largest depth of a tree; None sets no limit."""
    class_weight: Literal["balanced", "balanced_subsample"] | None = "balanced"
    """Weights of the classes; None weights all regions equally."""


FoldTask = tuple[Candidate, Fold, int]
"""Hyper-parameters, fold and seed of one task."""


def random_candidates(n: int, *, seed: int, first: Candidate | None = None) -> list[Candidate]:
    """Draw hyper-parameters at random.

    Parameters
    ----------
    n : int
        Number of candidates.
    seed : int
        Seed of the random numbers; candidate i does not depend on `n`.
    first : Candidate, optional
        The first candidate, so that the search never ends below it. All candidates have its number of trees.

    Returns
    -------
    list of Candidate
        Drawn independently (J. Bergstra, Y. Bengio, J. Mach. Learn. Res. 13 (2012) 281).

    Examples
    --------
    >>> candidates = random_candidates(3, seed=0, first=Candidate(n_estimators=50))
    >>> [candidate.n_estimators for candidate in candidates]
    [50, 50, 50]
    >>> candidates[:2] == random_candidates(2, seed=0, first=Candidate(n_estimators=50))
    True
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
        Hyper-parameters of the forest.
    seed : int
        Seed of the random numbers of the forest.
    n_jobs : int
        Number of threads; the result does not depend on it.

    Returns
    -------
    sklearn.ensemble.RandomForestClassifier or ExtraTreesClassifier
        A forest that computes its out-of-bag score.

    Examples
    --------
    >>> make_forest(Candidate(n_estimators=50), seed=0).n_estimators
    50
    """
    options = {name: value for name, value in dataclasses.asdict(candidate).items() if name != "kind"}
    kind = RandomForestClassifier if candidate.kind == "random_forest" else ExtraTreesClassifier
    return kind(**options, bootstrap=True, oob_score=True, random_state=seed, n_jobs=n_jobs)


def fit_fold(task: FoldTask, samples: RegionSamples) -> np.ndarray:
    """Fit a forest to one fold and predict its held-out regions: one task of the search.

    Parameters
    ----------
    task : tuple
        Hyper-parameters, fold (indices of the regions to fit on, and of the held-out regions), and seed.
    samples : RegionSamples
        All labeled regions.

    Returns
    -------
    numpy.ndarray of float
        Shape (held-out region, class): predicted probabilities, 0 to 1.
    """
    candidate, (fit, held_out), seed = task
    forest = make_forest(candidate, seed=seed).set_params(oob_score=False)
    forest.fit(samples.values[fit], samples.truth[fit])
    probability = np.zeros((len(held_out), len(samples.classes)))
    probability[:, forest.classes_] = forest.predict_proba(samples.values[held_out])
    return probability


def run_here(
    function: Callable[[Item, RegionSamples], Result], items: Sequence[Item], samples: RegionSamples, /
) -> list[Result]:
    """Run tasks one after the other in this process.

    Parameters
    ----------
    function : callable
        Called as ``function(item, samples)``.
    items : sequence
        One item per task.
    samples : RegionSamples
        Labeled regions, the same for all tasks.

    Returns
    -------
    list
        Results of the function, in the order of the items.
    """
    return [function(item, samples) for item in items]


def search_forest(
    samples: RegionSamples,
    candidates: Sequence[Candidate],
    folds: Sequence[Fold],
    *,
    seed: int,
    map_tasks: MapTasks = run_here,
) -> tuple[Candidate, np.ndarray, pd.DataFrame]:
    """Choose the candidate with the highest balanced accuracy on held-out micrographs.

    Parameters
    ----------
    samples : RegionSamples
        Labeled regions.
    candidates : sequence of Candidate
        Candidates to choose from; the first one is chosen if several are equally good.
    folds : sequence of tuple of numpy.ndarray
        Folds from `grouped_folds`.
    seed : int
        Seed of the forests.
    map_tasks : MapTasks
        Runs the tasks; the result does not depend on where they run.

    Returns
    -------
    best : Candidate
        The chosen candidate.
    probability : numpy.ndarray of float
        Shape (region, class): probabilities that the chosen candidate's forests predict for held-out regions.
    trials : pandas.DataFrame
        A row per candidate: its hyper-parameters and ``balanced_accuracy``.
    """
    tasks = [(candidate, fold, seed) for candidate in candidates for fold in folds]
    parts = list(map_tasks(fit_fold, tasks, samples))
    trials, best = [], -1
    probability: np.ndarray = np.empty(0)
    scores: list[float] = []
    for i, candidate in enumerate(candidates):
        predicted = np.full((len(samples.truth), len(samples.classes)), np.nan)
        for (_, held_out), part in zip(folds, parts[i * len(folds) : (i + 1) * len(folds)], strict=True):
            predicted[held_out] = part
        scores.append(float(balanced_accuracy_score(samples.truth, predicted.argmax(axis=1))))
        trials.append({**dataclasses.asdict(candidate), "balanced_accuracy": scores[-1]})
        if best < 0 or scores[-1] > scores[best]:
            best, probability = i, predicted
    return candidates[best], probability, pd.DataFrame(trials)
