"""The random forest of Groschner et al. (2021), fitted and held against its test set as its notebook does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.utils import shuffle

from hrtem_dask.errors import NothingToAnalyseError

__all__ = ["ForestResult", "carbon_patch", "fit_forest"]

N_TREES = 500
TEST_SHARE = 0.25
"""Of the regions, shuffled: this share for the test set, and as many for choosing features, which no one scores."""
LEAST_REGIONS = 8
"""Fewer leave nothing to fit or to score."""
PATCH_PX = (100, 151)
"""Side of a patch of carbon: at least, and below."""
N_CORNERS = 201
"""A patch begins at one of the first so many background pixels."""


@dataclass(frozen=True, kw_only=True)
class ForestResult:
    """What the forest said of regions that it was not fitted on."""

    truth: tuple[str, ...]
    """Class of each region of the test set."""
    predicted: tuple[str, ...]
    """What the forest said."""
    out_of_bag: float
    """Share of the training regions told right by the trees that did not see them."""
    n_training: int
    """Regions that it was fitted on."""


def fit_forest(features: np.ndarray, classes: np.ndarray, *, order: int = 0) -> ForestResult:
    """Shuffle regions, fit the paper's forest on the first half, and ask it about the last quarter.

    Parameters
    ----------
    features : numpy.ndarray
        Shape (n, 5): `fourier.groschner2021.groschner2021_features` of n regions.
    classes : numpy.ndarray
        Shape (n,): their classes.
    order : int
        Seed of the shuffling and of the forest. The notebook shuffles by seed 0 what the file system listed in no
        stated order, and its forest has no seed: its very split cannot be had.

    Returns
    -------
    ForestResult
        Of 500 trees, Gini impurity, √5 features per split.

    Raises
    ------
    NothingToAnalyseError
        If there are fewer than eight regions.
    """
    n = len(classes)
    if n < LEAST_REGIONS:
        raise NothingToAnalyseError(
            f"{n} labelled regions can be used: a forest needs {LEAST_REGIONS}, half of them to fit"
        )
    features, classes = shuffle(features, classes, random_state=order)
    n_test = int(n * TEST_SHARE)
    n_training = n - 2 * n_test
    forest = RandomForestClassifier(
        N_TREES, criterion="gini", max_features="sqrt", oob_score=True, random_state=order
    ).fit(features[:n_training], classes[:n_training])
    return ForestResult(
        truth=tuple(map(str, classes[-n_test:])),
        predicted=tuple(map(str, forest.predict(features[-n_test:]))),
        out_of_bag=float(forest.oob_score_),
        n_training=n_training,
    )


def carbon_patch(image: np.ndarray, mask: np.ndarray, *, seed: int) -> np.ndarray | None:
    """Cut a patch of carbon as the notebook does to fill up its class of empty regions.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x).
    mask : numpy.ndarray of bool
        Shape (y, x): particle.
    seed : int
        Of the patch's place and size; the notebook has none.

    Returns
    -------
    numpy.ndarray or None
        100 to 150 px on a side, smaller where the image ends; None where a particle reaches into it.
    """
    rng = np.random.default_rng(seed)
    background = np.argwhere(~mask)[:N_CORNERS]
    if len(background) == 0:
        return None
    # column and row are drawn apart and exchanged, as in the notebook
    row, column = (int(background[rng.integers(len(background)), axis]) for axis in (1, 0))
    height, width = (int(side) for side in rng.integers(*PATCH_PX, size=2))
    where = np.s_[row : row + height, column : column + width]
    patch = image[where]
    return None if mask[where].any() or min(patch.shape) < 2 else patch
