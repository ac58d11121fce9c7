"""The split of micrographs into training, validation and test, by whole groups of micrographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.errors import SettingsError
from hrtem_dask.training.labelled.labelled_micrograph import Labelled

__all__ = ["Split", "split_by_group", "split_folds"]


@dataclass(frozen=True)
class Split:
    """Micrographs by their use; no group is in two parts."""

    training: list[Labelled]
    """Micrographs that the network is fitted to."""
    validation: list[Labelled]
    """Micrographs scored after each epoch, to choose the weights that are kept and the end of the training."""
    test: list[Labelled]
    """Micrographs scored once, after the training."""


def split_by_group(
    labelled: Sequence[Labelled],
    *,
    validation_share: float,
    validation_most: int = 0,
    test_share: float = 0.0,
    seed: int = 0,
) -> Split:
    """Split micrographs at random.

    The same micrographs and seed give the same split, whatever the order of the list.

    Parameters
    ----------
    labelled : sequence of Labelled
        All micrographs.
    validation_share : float
        Share of the groups outside the test set that validate, 0 to 1; at least one group unless it is 0.
    validation_most : int
        Largest number of groups that validate; 0 sets no limit.
    test_share : float
        Share of all groups that are held out for the test, 0 to 1; at least one group unless it is 0.
    seed : int
        Seed of the random order.

    Returns
    -------
    Split
        The three parts, each in the order of `labelled`.

    Raises
    ------
    SettingsError
        If no group would be left to train on.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.training.labelled.labelled_micrograph import make_labelled
    >>> def read():
    ...     return make_labelled(np.eye(8), np.eye(8), pixel_size_nm=None)
    >>> labelled = [Labelled(micrograph_id=f"m{i}", group=f"g{i // 2}", read=read) for i in range(10)]
    >>> split = split_by_group(labelled, validation_share=0.25, test_share=0.2)
    >>> len(split.training), len(split.validation), len(split.test)
    (6, 2, 2)
    """
    groups = sorted({one.group for one in labelled})
    order = np.random.default_rng(seed).permutation(len(groups))
    n_test = _number(test_share, len(groups))
    n_validation = min(_number(validation_share, len(groups) - n_test), validation_most or len(groups))
    if len(groups) - n_test - n_validation < 1:
        raise SettingsError(
            f"{len(groups)} independent micrographs cannot be split into training, {n_validation} for validation and "
            f"{n_test} for test: give more, a separate --validation, or lower shares"
        )
    use = dict.fromkeys(groups, "training")
    use |= {groups[i]: "test" for i in order[:n_test]}
    use |= {groups[i]: "validation" for i in order[n_test : n_test + n_validation]}
    parts = {name: [one for one in labelled if use[one.group] == name] for name in ("training", "validation", "test")}
    return Split(**parts)


def split_folds(labelled: Sequence[Labelled], n_folds: int, *, seed: int = 0) -> list[list[Labelled]]:
    """Divide micrographs at random into the folds of a cross-validation.

    Parameters
    ----------
    labelled : sequence of Labelled
        All micrographs.
    n_folds : int
        Number of folds, at least 2 and at most the number of groups.
    seed : int
        Seed of the random order.

    Returns
    -------
    list of list of Labelled
        The folds, each in the order of `labelled`; every micrograph is in one fold, with all others of its group. The
        numbers of groups in two folds differ by at most 1.

    Raises
    ------
    SettingsError
        If there are too few groups for the folds.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.training.labelled.labelled_micrograph import make_labelled
    >>> def read():
    ...     return make_labelled(np.eye(8), np.eye(8), pixel_size_nm=None)
    >>> labelled = [Labelled(micrograph_id=f"m{i}", group=f"g{i // 2}", read=read) for i in range(10)]
    >>> [len(fold) for fold in split_folds(labelled, 4)]
    [4, 2, 2, 2]
    """
    groups = sorted({one.group for one in labelled})
    if not 2 <= n_folds <= len(groups):
        raise SettingsError(
            f"{n_folds} folds need at least 2 folds and at most one per independent micrograph, and there are "
            f"{len(groups)}: choose another number of folds, or label more micrographs"
        )
    order = np.random.default_rng(seed).permutation(len(groups))
    fold_of = {groups[i]: rank % n_folds for rank, i in enumerate(order)}
    return [[one for one in labelled if fold_of[one.group] == k] for k in range(n_folds)]


def _number(share: float, n: int) -> int:
    """Return the number of groups of a share."""
    return max(1, round(share * n)) if share > 0 else 0
