"""A forest of decision trees as plain arrays: scikit-learn's probabilities without scikit-learn, also on a GPU.

The nodes of a tree are stored in depth-first order. A sample that meets a node's condition continues with the next
node, any other sample `right_step` nodes further. A leaf has no feature and no step.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from hrtem_dask.backend import array_namespace
from hrtem_dask.defects.descent import leaves
from hrtem_dask.errors import ModelError

if TYPE_CHECKING:  # scikit-learn takes a second to import, and prediction does not need it
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

__all__ = ["Forest"]

LEAF = -1
_NODES = ("start", "feature", "threshold", "right_step", "missing_goes_left")
_MAX_ENTRIES = 1_000_000
"""Entries of a matrix (sample, tree) that are held at a time."""


@dataclass(frozen=True, eq=False)
class Forest:
    """Decision trees whose leaves hold probabilities; the forest's probability is their mean."""

    n_features: int
    """Number of features."""
    depth: int
    """Number of steps to the deepest leaf."""
    start: np.ndarray
    """Shape (tree,), int32: the root of each tree."""
    feature: np.ndarray
    """Shape (node,), int16: number of the feature that a node compares, -1 in a leaf."""
    threshold: np.ndarray
    """Shape (node,), float32: samples with at most this value continue with the next node; 0 in a leaf."""
    right_step: np.ndarray
    """Shape (node,), int32: number of nodes that all other samples move on by; 0 in a leaf."""
    missing_goes_left: np.ndarray
    """Shape (node,), bool: whether samples with a missing value continue with the next node."""
    leaf_row: np.ndarray
    """Shape (node,), int32: the row of `values` that belongs to a leaf; 0 in other nodes."""
    values: np.ndarray
    """Shape (row, class), float64: the different probabilities of the leaves, each row once."""

    @classmethod
    def from_sklearn(cls, forest: RandomForestClassifier | ExtraTreesClassifier) -> Self:
        """Convert a fitted forest of scikit-learn.

        Parameters
        ----------
        forest : sklearn.ensemble.RandomForestClassifier or ExtraTreesClassifier
            A fitted forest with one output.

        Returns
        -------
        Forest
            A forest whose probabilities equal those of ``forest.predict_proba`` to double precision.

        Raises
        ------
        ModelError
            If the forest has several outputs or more than 32,767 features.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.ensemble import RandomForestClassifier
        >>> from hrtem_dask.defects import Forest
        >>> x, y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0, 0, 1, 1])
        >>> fitted = RandomForestClassifier(n_estimators=5, random_state=0).fit(x, y)
        >>> bool(np.allclose(Forest.from_sklearn(fitted).predict_probability(x), fitted.predict_proba(x)))
        True
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

    def predict_probability(self, features: np.ndarray) -> np.ndarray:
        """Return the probability of each class.

        Parameters
        ----------
        features : numpy.ndarray or cupy.ndarray
            Shape (sample, feature), any real dtype; converted to float32, as in scikit-learn. NaN is a missing value.

        Returns
        -------
        numpy.ndarray or cupy.ndarray
            Shape (sample, class), float64, on the same device as `features`.

        Raises
        ------
        ValueError
            If the number of features differs from the forest's.
        """
        if features.ndim != 2 or features.shape[1] != self.n_features:
            raise ValueError(f"the forest needs features of shape (n, {self.n_features}), got {features.shape}")
        xp = array_namespace(features)
        nodes = self._arrays if xp is np else self._device_arrays
        values = xp.asarray(features, dtype=xp.float32)
        probability: np.ndarray = xp.empty((len(values), self.values.shape[1]), dtype=xp.float64)
        step = max(1, _MAX_ENTRIES // len(self.start))
        for first in range(0, len(values), step):
            probability[first : first + step] = self._mean_of_leaves(xp, nodes, values[first : first + step])
        return probability

    def _mean_of_leaves(self, xp: Any, nodes: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        """Descend all trees and return the mean over their leaves; on a GPU all at once, one level at a time."""
        at = leaves(features, *(nodes[name] for name in _NODES)) if xp is np else self._descended(xp, nodes, features)
        row = nodes["leaf_row"][at]
        means: np.ndarray = xp.stack(
            [nodes["values"][:, c][row].mean(axis=1) for c in range(self.values.shape[1])], axis=1
        )
        return means

    def _descended(self, xp: Any, nodes: Mapping[str, np.ndarray], features: np.ndarray) -> np.ndarray:
        """Return the leaf that each sample reaches in each tree, shape (sample, tree)."""
        at: np.ndarray = xp.tile(nodes["start"], (len(features), 1))  # (sample, tree)
        sample = xp.arange(len(features))[:, None]
        for _ in range(self.depth):
            feature = nodes["feature"][at]
            if not (feature != LEAF).any():  # the deepest leaf of all trees is deeper than those of most samples
                break
            value = features[sample, feature]  # in a leaf this is the last feature; its step is 0 whatever the value
            left = xp.where(xp.isnan(value), nodes["missing_goes_left"][at], value <= nodes["threshold"][at])
            at = at + xp.where(left, feature != LEAF, nodes["right_step"][at])
        return at

    @property
    def _arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in (*_NODES, "leaf_row", "values")}

    @functools.cached_property
    def _device_arrays(self) -> dict[str, np.ndarray]:
        """The nodes on the GPU, copied there once."""
        from hrtem_dask.backend import to_device

        return {name: to_device(array, "cuda") for name, array in self._arrays.items()}

    def __getstate__(self) -> dict[str, Any]:
        # arrays on a GPU are not sent to other processes
        return {name: value for name, value in self.__dict__.items() if name != "_device_arrays"}


def _tree_arrays(tree: Any) -> dict[str, np.ndarray]:
    """Return the nodes of one tree in depth-first order."""
    left, right = tree.children_left, tree.children_right
    order = _depth_first(left, right)
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    leaf = left[order] == -1
    return {
        "feature": np.where(leaf, LEAF, tree.feature[order]).astype(np.int16),
        "threshold": np.where(leaf, 0, _float32_below(tree.threshold[order])).astype(np.float32),
        "right_step": np.where(leaf, 0, position[right[order]] - np.arange(len(order))).astype(np.int32),
        "missing_goes_left": np.where(leaf, False, tree.missing_go_to_left[order].astype(bool)),
        "value": np.where(leaf[:, None], tree.value[order, 0, :], 0.0),
    }


def _depth_first(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the numbers of nodes, each followed by its left child; scikit-learn may store them best first."""
    order, waiting = [], [0]
    while waiting:
        node = waiting.pop()
        order.append(node)
        if left[node] != -1:
            waiting += [int(right[node]), int(left[node])]
    return np.array(order, dtype=np.int64)


def _float32_below(threshold: np.ndarray) -> np.ndarray:
    """Return the largest float32 not above the threshold: comparisons of float32 values stay the same."""
    rounded = threshold.astype(np.float32)
    return np.where(rounded > threshold, np.nextafter(rounded, np.float32(-np.inf)), rounded)
