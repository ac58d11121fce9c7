"""The random forest of Groschner et al. (2021), fitted and tested as in their notebook."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.utils import shuffle

from hrtem_dask.errors import NothingToAnalyseError

__all__ = ["ForestResult", "carbon_patch", "fit_forest"]

N_TREES = 500
TEST_SHARE = 0.25
"""Share of the shuffled regions in the test set. As many are set aside for choosing features and are not scored."""
MIN_REGIONS = 8
"""With fewer regions, a part of the split would be too small to fit or to score."""
PATCH_PX = (100, 151)
"""Range of the sides of a carbon patch (px); the upper end is exclusive."""
N_CORNERS = 201
"""The first corner of a patch is drawn from this many background pixels, the first ones of the image."""


@dataclass(frozen=True, kw_only=True)
class ForestResult:
    """Predictions of the forest for regions that it was not fitted on."""

    truth: tuple[str, ...]
    """True class of each region of the test set."""
    predicted: tuple[str, ...]
    """Predicted class of each region of the test set."""
    out_of_bag: float
    """Share of the training regions classified correctly by the trees that were fitted without them, 0 to 1."""
    n_training: int
    """Number of regions that the forest was fitted on."""


def fit_forest(features: np.ndarray, classes: np.ndarray, *, order: int = 0) -> ForestResult:
    """Shuffle regions, fit the paper's forest on the first half, and predict the last quarter.

    Parameters
    ----------
    features : numpy.ndarray of float
        Shape (n, 5): `fourier.groschner2021.groschner2021_features` of n regions.
    classes : numpy.ndarray of str
        Shape (n,): class of each region.
    order : int
        Seed of the shuffling and of the forest. The notebook shuffles by seed 0 a list in the order of the file system,
        which is not recorded, and its forest has no seed. Its exact split can therefore not be reproduced.

    Returns
    -------
    ForestResult
        Predictions of a forest with 500 trees, Gini impurity and √5 features per split.

    Raises
    ------
    NothingToAnalyseError
        If there are fewer than eight regions.
    """
    n = len(classes)
    if n < MIN_REGIONS:
        raise NothingToAnalyseError(
            f"{n} labeled regions can be used: a forest needs at least {MIN_REGIONS}, half of them to fit"
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
    """Cut out a patch of carbon, as the notebook does to fill up its class of empty regions.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype.
    mask : numpy.ndarray of bool
        Shape (y, x): True on particles.
    seed : int
        Seed of the position and size of the patch; the notebook uses none.

    Returns
    -------
    numpy.ndarray or None
        Sides of 100 to 150 px, smaller where the image ends. None if the patch overlaps a particle, if it is less than
        2 px wide, or if the image has no background.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.zeros((512, 512), np.float32)
    >>> particle = np.zeros(image.shape, bool)
    >>> patch = carbon_patch(image, particle, seed=0)
    >>> 100 <= min(patch.shape) <= max(patch.shape) <= 150
    True
    >>> particle[:] = True
    >>> print(carbon_patch(image, particle, seed=0))
    None
    """
    rng = np.random.default_rng(seed)
    background = np.argwhere(~mask)[:N_CORNERS]
    if len(background) == 0:
        return None
    # the notebook draws row and column independently and swaps them, which is reproduced here
    row, column = (int(background[rng.integers(len(background)), axis]) for axis in (1, 0))
    height, width = (int(side) for side in rng.integers(*PATCH_PX, size=2))
    window = np.s_[row : row + height, column : column + width]
    patch = image[window]
    return None if mask[window].any() or min(patch.shape) < 2 else patch
