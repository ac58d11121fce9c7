"""Scores of region classes against scikit-learn's, and against the paper's own definition."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix

from hrtem_dask.evaluation.region_classes import compare_classes
from hrtem_dask.tables import REGION_CLASSES


def classes(rng: np.random.Generator, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    truth = rng.choice(REGION_CLASSES, n, p=[0.4, 0.05, 0.2, 0.25, 0.1])
    predicted = np.where(rng.random(n) < 0.7, truth, rng.choice(REGION_CLASSES, n))
    return truth, predicted


def test_scores_are_those_of_scikit_learn(rng: np.random.Generator) -> None:
    truth, predicted = classes(rng)
    c = compare_classes(list(truth), list(predicted))
    np.testing.assert_array_equal(c.counts, confusion_matrix(truth, predicted, labels=REGION_CLASSES))
    np.testing.assert_allclose(c.shares, confusion_matrix(truth, predicted, labels=REGION_CLASSES, normalize="true"))
    assert c.accuracy == pytest.approx(accuracy_score(truth, predicted))
    assert c.balanced_accuracy == pytest.approx(balanced_accuracy_score(truth, predicted))
    frequency = {kind: float((truth == kind).mean()) for kind in REGION_CLASSES}
    weights = [frequency[kind] for kind in truth]
    assert c.frequency_weighted_accuracy == pytest.approx(accuracy_score(truth, predicted, sample_weight=weights))


def test_the_frequent_class_decides_the_frequency_weighted_accuracy() -> None:
    truth = ["agglomeration"] * 90 + ["stacking_fault"] * 10
    c = compare_classes(truth, ["agglomeration"] * 100)
    assert c.accuracy == 0.9
    assert c.balanced_accuracy == 0.5
    assert c.frequency_weighted_accuracy == pytest.approx(8100 / 8200)
    assert np.isnan(c.shares[1]).all()  # no region without a particle


def test_oriented_and_faulted_shares() -> None:
    truth = ["stacking_fault"] * 2 + ["no_stacking_fault"] * 3 + ["misoriented"] * 4 + ["agglomeration"]
    predicted = ["stacking_fault"] * 3 + ["no_stacking_fault"] * 1 + ["misoriented"] * 6
    c = compare_classes(truth, predicted)
    assert (c.oriented_share(predicted=False), c.oriented_share(predicted=True)) == (0.5, 0.4)
    assert (c.faulted_share(predicted=False), c.faulted_share(predicted=True)) == (0.4, 0.75)


def test_what_is_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown class 'fault'"):
        compare_classes(["fault"], ["stacking_fault"])
    with pytest.raises(ValueError, match="shorter"):
        compare_classes(["stacking_fault"] * 2, ["stacking_fault"])
    assert np.isnan(compare_classes([], []).accuracy)
