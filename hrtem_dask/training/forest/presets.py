"""Presets of training the classifier of regions."""

from __future__ import annotations

from hrtem_dask.errors import SettingsError
from hrtem_dask.evaluation.region_classes import RegionConfusion, compare_classes
from hrtem_dask.training.forest.groschner2021 import N_TREES, fit_forest
from hrtem_dask.training.forest.region_samples import RegionSamples
from hrtem_dask.training.forest.search import Candidate
from hrtem_dask.training.forest.train_forest import DefectTraining

__all__ = ["GROSCHNER2021_FEATURES", "PRESETS", "preset", "score_their_way"]

GROSCHNER2021_FEATURES = (
    "groschner2021_fft_mean",
    "groschner2021_fft_std",
    "groschner2021_fft_center_of_mass",
    "groschner2021_image_mean",
    "groschner2021_image_std",
)
PRESETS = ("default", "groschner2021")


def preset(name: str) -> tuple[DefectTraining, tuple[str, ...] | None]:
    """Return how to train, and which features to take.

    Parameters
    ----------
    name : {"default", "groschner2021"}
        ``groschner2021``: 500 trees grown out, Gini impurity, √5 features per split, no weights, no calibration, its
        five features.

    Returns
    -------
    training : DefectTraining
        How.
    features : tuple of str or None
        None takes those of the table.

    Raises
    ------
    SettingsError
        If there is no such preset.
    """
    if name == "default":
        return DefectTraining(), None
    if name != "groschner2021":
        raise SettingsError(f"preset {name!r} is unknown: use {' or '.join(PRESETS)}")
    candidate = Candidate(n_estimators=N_TREES, min_samples_leaf=1, class_weight=None)
    return DefectTraining(candidate=candidate, calibrate=False, min_accepted_share=1.0), GROSCHNER2021_FEATURES


def score_their_way(samples: RegionSamples, *, seed: int = 0) -> tuple[RegionConfusion, float]:
    """Score the paper's forest as its notebook does: one random split of regions, whatever micrograph they are of.

    Parameters
    ----------
    samples : RegionSamples
        Regions with its five features.
    seed : int
        Of the split and the forest.

    Returns
    -------
    confusion : RegionConfusion
        Of the test set, a quarter of the regions; its shares are the rows of Figure 5f.
    out_of_bag : float
        Share of the training regions told right by trees that did not see them.

    Raises
    ------
    NothingToAnalyseError
        If there are fewer than eight regions.
    """
    names = samples.table["region_class"].astype(str).to_numpy(dtype=object)
    result = fit_forest(samples.values, names, order=seed)
    return compare_classes(result.truth, result.predicted), result.out_of_bag
