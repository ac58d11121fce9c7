"""Which micrographs train, validate and test: by micrograph and by group, never by patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hrtem_dask.errors import SettingsError
from hrtem_dask.training.labelled.labelled_micrograph import Labelled

__all__ = ["Split", "split_by_group"]


@dataclass(frozen=True)
class Split:
    """Micrographs by what they are used for; no group is in two of them."""

    training: list[Labelled]
    """The network learns from these."""
    validation: list[Labelled]
    """Scored after each epoch: they decide which weights are kept and when to stop."""
    test: list[Labelled]
    """Scored once, at the end."""


def split_by_group(
    labelled: Sequence[Labelled],
    *,
    validation_share: float,
    validation_most: int = 0,
    test_share: float = 0.0,
    seed: int = 0,
) -> Split:
    """Split at random, the same way for the same micrographs and seed, in whatever order they are listed.

    Parameters
    ----------
    labelled : sequence of Labelled
        All there are.
    validation_share : float
        Share of the groups that are left after the test set, 0 to 1; at least one group where it is not 0.
    validation_most : int
        Most groups that validate; 0 is no limit.
    test_share : float
        Share of all groups, 0 to 1; at least one group where it is not 0.
    seed : int
        Of the random order.

    Returns
    -------
    Split
        Each part in the order of `labelled`.

    Raises
    ------
    SettingsError
        If nothing would be left to train on.
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


def _number(share: float, n: int) -> int:
    """Return how many groups a share is."""
    return max(1, round(share * n)) if share > 0 else 0
