"""Importance of each feature: how much accuracy a forest loses when the feature is shuffled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score

from hrtem_dask.defects.forest import Forest
from hrtem_dask.training.forest.region_samples import Fold, RegionSamples
from hrtem_dask.training.forest.search import Candidate, FoldTask, MapTasks, make_forest, run_here

__all__ = ["permutation_importance"]

N_REPEATS = 3
"""Shuffles of each feature and fold."""


def permutation_importance(
    samples: RegionSamples,
    candidate: Candidate,
    folds: Sequence[Fold],
    *,
    seed: int,
    map_tasks: MapTasks = run_here,
) -> pd.DataFrame:
    """Measure the importance of each feature on held-out micrographs.

    Parameters
    ----------
    samples : RegionSamples
        Labeled regions.
    candidate : Candidate
        Hyper-parameters of the forest.
    folds : sequence of tuple of numpy.ndarray
        Folds from `grouped_folds`.
    seed : int
        Seed of the forests and shuffles.
    map_tasks : MapTasks
        Runs the tasks, one per fold.

    Returns
    -------
    pandas.DataFrame
        Index: features, the most important first. ``importance``: loss of balanced accuracy, mean over folds and
        shuffles (L. Breiman, Mach. Learn. 45 (2001) 5). ``spread``: standard deviation over folds. Features that carry
        the same information share their importance.
    """
    tasks = [(candidate, fold, seed + i) for i, fold in enumerate(folds)]
    losses = np.array(list(map_tasks(_losses_of_fold, tasks, samples)))
    table = pd.DataFrame(
        {"importance": losses.mean(axis=0), "spread": losses.std(axis=0)},
        index=pd.Index(samples.features, name="feature"),
    )
    return table.sort_values("importance", ascending=False, kind="stable")


def _losses_of_fold(task: FoldTask, samples: RegionSamples) -> np.ndarray:
    """Return the loss of balanced accuracy for each shuffled feature."""
    candidate, (fit, held_out), seed = task
    fitted = make_forest(candidate, seed=seed).set_params(oob_score=False)
    fitted.fit(samples.values[fit], samples.truth[fit])
    forest, present = Forest.from_sklearn(fitted), fitted.classes_
    values, truth = samples.values[held_out], samples.truth[held_out]
    rng = np.random.default_rng(seed)

    def score(features: np.ndarray) -> float:
        predicted = present[forest.predict_probability(features).argmax(axis=1)]
        return float(balanced_accuracy_score(truth, predicted))

    unshuffled = score(values)
    losses = np.empty(len(samples.features))
    for i in range(len(losses)):
        shuffled = values.copy()
        scores = []
        for _ in range(N_REPEATS):
            shuffled[:, i] = rng.permutation(values[:, i])
            scores.append(score(shuffled))
        losses[i] = unshuffled - np.mean(scores)
    return losses
