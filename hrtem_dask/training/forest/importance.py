"""What a forest needs each feature for: how much worse it gets where the feature is shuffled."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn.metrics import balanced_accuracy_score

from hrtem_dask.defects.forest import Forest
from hrtem_dask.training.forest.region_samples import RegionSamples
from hrtem_dask.training.forest.search import Candidate, MapTasks, make_forest, run_here

__all__ = ["permutation_importance"]

N_REPEATS = 3


def permutation_importance(
    samples: RegionSamples,
    candidate: Candidate,
    folds: list[tuple[np.ndarray, np.ndarray]],
    *,
    seed: int,
    map_tasks: MapTasks = run_here,
) -> pd.DataFrame:
    """Measure the importance of each feature on micrographs left out.

    Parameters
    ----------
    samples : RegionSamples
        The regions.
    candidate : Candidate
        Hyper-parameters of the forest.
    folds : list of tuple of numpy.ndarray
        From `grouped_folds`.
    seed : int
        Of the forests and shuffles.
    map_tasks : callable
        Runs the tasks, one per fold.

    Returns
    -------
    pandas.DataFrame
        Index: features, the most important first. ``importance``: loss of balanced accuracy, mean over folds and
        shuffles (L. Breiman, Mach. Learn. 45 (2001) 5); ``spread``: standard deviation over folds. Features that say
        the same share what they are worth.
    """
    items = [(candidate, fold, seed + i) for i, fold in enumerate(folds)]
    losses = np.array(list(map_tasks(_losses_of_fold, items, samples)))
    table = pd.DataFrame(
        {"importance": losses.mean(axis=0), "spread": losses.std(axis=0)},
        index=pd.Index(samples.features, name="feature"),
    )
    return table.sort_values("importance", ascending=False, kind="stable")


def _losses_of_fold(item: tuple[Candidate, tuple[np.ndarray, np.ndarray], int], samples: RegionSamples) -> np.ndarray:
    """Return the loss of balanced accuracy by each feature."""
    candidate, (fit, left_out), seed = item
    theirs = make_forest(candidate, seed=seed).set_params(oob_score=False)
    theirs.fit(samples.values[fit], samples.truth[fit])
    forest, present = Forest.from_sklearn(theirs), theirs.classes_
    values, truth = samples.values[left_out], samples.truth[left_out]
    rng = np.random.default_rng(seed)

    def score(seen: np.ndarray) -> float:
        return float(balanced_accuracy_score(truth, present[forest.predict_probability(seen).argmax(axis=1)]))

    whole = score(values)
    losses = np.empty(len(samples.features))
    for i in range(len(losses)):
        shuffled = values.copy()
        scores = []
        for _ in range(N_REPEATS):
            shuffled[:, i] = rng.permutation(values[:, i])
            scores.append(score(shuffled))
        losses[i] = whole - np.mean(scores)
    return losses
