"""Presets for training the classifier of regions."""

from __future__ import annotations

from hrtem_dask.errors import SettingsError
from hrtem_dask.evaluation.region_classes import RegionConfusion, compare_classes
from hrtem_dask.fourier import GROSCHNER2021_COLUMNS
from hrtem_dask.training.forest.groschner2021 import N_TREES, fit_forest
from hrtem_dask.training.forest.region_samples import RegionSamples
from hrtem_dask.training.forest.search import Candidate
from hrtem_dask.training.forest.train_forest import ForestTraining

__all__ = ["GROSCHNER2021_FEATURES", "PRESETS", "preset", "score_as_published"]

GROSCHNER2021_FEATURES = GROSCHNER2021_COLUMNS
PRESETS = ("default", "groschner2021")


def preset(name: str) -> tuple[ForestTraining, tuple[str, ...] | None]:
    """Return the settings and features of a preset.

    Parameters
    ----------
    name : {"default", "groschner2021"}
        ``groschner2021``: 500 fully grown trees, Gini impurity, √5 features per split, no class weights, no
        calibration, and the five features of the paper.

    Returns
    -------
    training : ForestTraining
        Settings of the training.
    features : tuple of str or None
        Names of the features; None uses the features of the table.

    Raises
    ------
    SettingsError
        If there is no such preset.

    Examples
    --------
    >>> training, features = preset("groschner2021")
    >>> training.candidate.n_estimators, len(features)
    (500, 5)
    """
    if name == "default":
        return ForestTraining(), None
    if name != "groschner2021":
        raise SettingsError(f"preset {name!r} is unknown: use {' or '.join(PRESETS)}")
    candidate = Candidate(n_estimators=N_TREES, min_samples_leaf=1, class_weight=None)
    return ForestTraining(candidate=candidate, calibrate=False, min_accepted_share=1.0), GROSCHNER2021_FEATURES


def score_as_published(samples: RegionSamples, *, seed: int = 0) -> tuple[RegionConfusion, float]:
    """Score the paper's forest as its notebook does: by one random split of regions, regardless of their micrograph.

    Parameters
    ----------
    samples : RegionSamples
        Regions with the five features of the paper.
    seed : int
        Seed of the split and of the forest.

    Returns
    -------
    confusion : RegionConfusion
        Confusion of the test set, a quarter of the regions. Its shares are the rows of Figure 5f.
    out_of_bag : float
        Share of the training regions classified correctly by the trees that were fitted without them, 0 to 1.

    Raises
    ------
    NothingToAnalyseError
        If there are fewer than eight regions.
    """
    names = samples.table["region_class"].astype(str).to_numpy(dtype=object)
    result = fit_forest(samples.values, names, order=seed)
    return compare_classes(result.truth, result.predicted), result.out_of_bag
