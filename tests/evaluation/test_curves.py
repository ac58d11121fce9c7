"""Scores over thresholds against scikit-learn's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, precision_recall_fscore_support

from hrtem_dask.evaluation import average_precision, curve, threshold_counts
from hrtem_dask.evaluation.curves import THRESHOLDS

shape = (6, 9)
steps = hnp.arrays(np.int64, shape, elements=st.integers(0, 100))
masks = hnp.arrays(np.bool_, shape)


@given(steps=steps, truth=masks)
def test_area_and_points_are_those_of_scikit_learn(steps: np.ndarray, truth: np.ndarray) -> None:
    probability = THRESHOLDS[steps]
    counts = threshold_counts(probability, truth)
    table = curve(counts)
    if not truth.any():
        assert np.isnan(average_precision(counts))
        assert table[["recall", "dice"]].isna().all(axis=None)
        return
    assert average_precision(counts) == pytest.approx(average_precision_score(truth.ravel(), probability.ravel()))
    for number in (0, 50, 73):
        predicted = probability >= THRESHOLDS[number]
        expected = precision_recall_fscore_support(truth.ravel(), predicted.ravel(), average="binary", zero_division=0)
        row = table.loc[number, ["precision", "recall", "dice"]].fillna(0)  # scikit-learn calls 0/0 zero
        np.testing.assert_allclose(row.to_numpy(dtype=float), expected[:3])


@given(steps=steps, truth=masks, other=steps)
def test_counts_add_up(steps: np.ndarray, truth: np.ndarray, other: np.ndarray) -> None:
    one, two = THRESHOLDS[steps], THRESHOLDS[other]
    together = threshold_counts(np.hstack([one, two]), np.hstack([truth, truth]))
    np.testing.assert_array_equal(together, threshold_counts(one, truth) + threshold_counts(two, truth))


def test_a_threshold_is_reached_by_what_equals_it() -> None:
    counts = threshold_counts(np.array([[0.5, 0.4999]], np.float32), np.array([[True, True]]))
    assert counts[0][50] == 1
    assert counts[0][49] == 2


def test_what_is_no_probability_is_refused() -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        threshold_counts(np.array([[1.5]]), np.array([[True]]))
    with pytest.raises(ValueError, match="score one field"):
        threshold_counts(np.zeros((2, 2)), np.zeros((2, 3)))
