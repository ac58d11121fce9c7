"""A forest of decision trees as plain arrays: scikit-learn's probabilities without scikit-learn, also on a GPU.

Nodes of a tree stand in depth-first order: what fulfils a node's condition goes on with the node after it, all else
`right_step` nodes further. A leaf has no feature, and no step.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hrtem_dask.backend import array_namespace
from hrtem_dask.errors import ModelError

if TYPE_CHECKING:  # scikit-learn takes a second to import, which a worker that predicts can do without
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

__all__ = ["Forest"]

LEAF = -1
_AT_ONCE = 1_000_000  # entries of a matrix samples × trees


@dataclass(frozen=True, eq=False)
class Forest:
    """Many decision trees, whose leaves hold probabilities; the forest's are their mean."""

    n_features: int
    """Features that it looks at."""
    depth: int
    """Steps to the deepest leaf."""
    start: np.ndarray
    """Shape (tree,), int32: the root of each tree."""
    feature: np.ndarray
    """Shape (node,), int16: number of the feature that a node looks at, -1 in a leaf."""
    threshold: np.ndarray
    """Shape (node,), float32: what is at most this goes on with the next node; 0 in a leaf."""
    right_step: np.ndarray
    """Shape (node,), int32: where the others go, counted from the node; 0 in a leaf."""
    missing_goes_left: np.ndarray
    """Shape (node,), bool: whether a missing value goes on with the next node."""
    leaf_row: np.ndarray
    """Shape (node,), int32: the row of `values` that a leaf has; 0 in other nodes."""
    values: np.ndarray
    """Shape (row, class), float64: probabilities, each row once."""

    @classmethod
    def from_sklearn(cls, forest: RandomForestClassifier | ExtraTreesClassifier) -> Self:
        """Take over a fitted forest of scikit-learn.

        Parameters
        ----------
        forest : sklearn.ensemble.RandomForestClassifier or ExtraTreesClassifier
            Fitted, with one output.

        Returns
        -------
        Forest
            Its probabilities are those of ``forest.predict_proba`` to double precision.

        Raises
        ------
        ModelError
            If the forest has several outputs, or more features than 32,767.
        """
        if forest.n_outputs_ != 1 or forest.n_features_in_ > np.iinfo(np.int16).max:
            raise ModelError(
                f"a forest has one output and at most 32767 features, got {forest.n_outputs_} and "
                f"{forest.n_features_in_}: fit one with fewer"
            )
        trees = [_tree_arrays(estimator.tree_) for estimator in forest.estimators_]
        sizes = [len(tree["feature"]) for tree in trees]
        nodes = {name: np.concatenate([tree[name] for tree in trees]) for name in trees[0]}
        values, leaf_row = np.unique(nodes.pop("value"), axis=0, return_inverse=True)
        leaf = nodes["feature"] == LEAF
        return cls(
            n_features=int(forest.n_features_in_),
            depth=max(int(estimator.tree_.max_depth) for estimator in forest.estimators_),
            start=np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32),
            leaf_row=np.where(leaf, leaf_row.ravel(), 0).astype(np.int32),
            values=values,
            **nodes,
        )

    def predict_probability(self, features: Any) -> Any:
        """Return the probability of each class.

        Parameters
        ----------
        features : numpy.ndarray or cupy.ndarray
            Shape (sample, feature), any real dtype; seen as float32, as scikit-learn does. NaN is a missing value.

        Returns
        -------
        numpy.ndarray or cupy.ndarray
            Shape (sample, class), float64, where `features` are; nothing is copied to the host.

        Raises
        ------
        ValueError
            If the number of features is not the forest's.
        """
        if features.ndim != 2 or features.shape[1] != self.n_features:
            raise ValueError(f"the forest needs features of shape (n, {self.n_features}), got {features.shape}")
        xp = array_namespace(features)
        nodes = self._arrays if xp is np else self._device_arrays
        seen = xp.asarray(features, dtype=xp.float32)
        probability = xp.empty((len(seen), self.values.shape[1]), dtype=xp.float64)
        step = max(1, _AT_ONCE // len(self.start))
        for first in range(0, len(seen), step):
            probability[first : first + step] = self._mean_of_leaves(xp, nodes, seen[first : first + step])
        return probability

    def _mean_of_leaves(self, xp: Any, nodes: Mapping[str, Any], seen: Any) -> Any:
        """Walk down all trees at once, a level at a time."""
        at = xp.tile(nodes["start"], (len(seen), 1))  # (sample, tree)
        sample = xp.arange(len(seen))[:, None]
        for _ in range(self.depth):
            feature = nodes["feature"][at]
            value = seen[sample, feature]  # of a leaf the last feature, which moves nothing
            left = xp.where(xp.isnan(value), nodes["missing_goes_left"][at], value <= nodes["threshold"][at])
            at = at + xp.where(left, feature != LEAF, nodes["right_step"][at])
        row = nodes["leaf_row"][at]
        return xp.stack([nodes["values"][:, c][row].mean(axis=1) for c in range(self.values.shape[1])], axis=1)

    @property
    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("start", "feature", "threshold", "right_step", "missing_goes_left", "leaf_row", "values")
        return {name: getattr(self, name) for name in names}

    @functools.cached_property
    def _device_arrays(self) -> dict[str, Any]:
        """The nodes on the GPU, put there once."""
        from hrtem_dask.backend import to_device

        return {name: to_device(array, "cuda") for name, array in self._arrays.items()}

    def __getstate__(self) -> dict[str, Any]:
        # what lies on a GPU does not travel to other processes
        return {name: value for name, value in self.__dict__.items() if name != "_device_arrays"}


def _tree_arrays(tree: Any) -> dict[str, np.ndarray]:
    """Return the nodes of one tree in depth-first order."""
    left, right = tree.children_left, tree.children_right
    order = _depth_first(left, right)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    leaf = left[order] == -1
    return {
        "feature": np.where(leaf, LEAF, tree.feature[order]).astype(np.int16),
        "threshold": np.where(leaf, 0, _float32_below(tree.threshold[order])).astype(np.float32),
        "right_step": np.where(leaf, 0, place[right[order]] - np.arange(len(order))).astype(np.int32),
        "missing_goes_left": np.where(leaf, False, tree.missing_go_to_left[order].astype(bool)),
        "value": np.where(leaf[:, None], tree.value[order, 0, :], 0.0),
    }


def _depth_first(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the numbers of nodes, each followed by its left child: scikit-learn may have grown them best first."""
    order, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        if left[node] != -1:
            waiting += [int(right[node]), int(left[node])]
    return np.array(order, dtype=np.int64)


def _float32_below(threshold: np.ndarray) -> np.ndarray:
    """Return the largest float32 that is not above: for float32 values the comparison stays the same."""
    rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)
