"""Lattices spanned by two reflections against NumPy's inverse matrices."""

import itertools

import numpy as np
import pytest

from hrtem_dask.fourier.compiled.nodes import best_pair_on_nodes, evidence_on_nodes


def test_evidence_of_further_reflections() -> None:
    rng = np.random.default_rng(0)
    position, weight, error = rng.normal(0, 4, (9, 2)), rng.uniform(0, 2, 9), rng.uniform(0.05, 0.3, 9)
    for second in (1, 4):
        basis = position[[0, second]]
        steps = position @ np.linalg.inv(basis)
        distance = np.hypot(*((steps - np.round(steps)) @ basis).T) / error
        chance = np.minimum(2 * np.pi * error**2 / abs(np.linalg.det(basis)), 1)
        gain = weight * (np.exp(-(distance**2) / 2) - chance)
        gain[[0, second]] = 0
        assert evidence_on_nodes(position, weight, error, second) == pytest.approx(gain.sum(), rel=1e-9)


def test_pair_that_explains_most() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        vectors, weight = rng.normal(0, 4, (12, 2)), rng.uniform(1, 2, 12)
        remaining = rng.random(12) < 0.8
        candidates = np.flatnonzero(remaining)[:5]
        sums = [0.0]
        for pair in itertools.combinations(candidates.tolist(), 2):
            basis = vectors[list(pair)].T
            if abs(np.linalg.det(basis)) >= 0.4 * np.prod(np.hypot(*basis)):
                index = np.clip(np.round(np.linalg.inv(basis) @ vectors.T), -3, 3)
                near = np.linalg.norm(vectors.T - basis @ index, axis=0) < 0.5
                sums.append(float(weight[near & (np.abs(index).max(0) > 0) & remaining].sum()))
        found, explained = best_pair_on_nodes(vectors, weight, remaining, candidates, 0.5, 3, 0.4)
        assert found == (len(sums) > 1)
        assert weight[explained].sum() == pytest.approx(max(sums))
    parallel = np.array([[1.0, 0.0], [2.0, 0.0]])
    assert not best_pair_on_nodes(parallel, np.ones(2), np.ones(2, bool), np.arange(2), 0.5, 3, 0.4)[0]
