"""Scores of regions against scikit-learn, and against counts done by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, balanced_accuracy_score, precision_score, recall_score

from hrtem_dask.evaluation.region_scores import class_counts, region_scores
from hrtem_dask.tables import REGION_CLASSES


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.choice(5, 400, p=[0.1, 0.1, 0.4, 0.3, 0.1])
    probability = rng.dirichlet(np.ones(5), 400) + np.eye(5)[truth] * 0.4
    return truth, probability / probability.sum(axis=1, keepdims=True), rng.integers(0, 30, 400)


def test_the_same_as_scikit_learn(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    truth, probability, groups = drawn
    scores = region_scores(truth, probability, groups, REGION_CLASSES, unsure_threshold=0.5)["value"]
    predicted, sure = probability.argmax(axis=1), probability.max(axis=1) >= 0.5
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, predicted))
    assert scores["accuracy"] == pytest.approx(recall_score(truth, predicted, average="weighted"))
    assert scores["accepted_share"] == pytest.approx(sure.mean())
    assert scores["accepted_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth[sure], predicted[sure]))
    for i, name in enumerate(REGION_CLASSES):
        recall = recall_score(truth, predicted, labels=[i], average="macro")
        assert scores[f"recall_{name}"] == pytest.approx(recall)
        assert scores[f"precision_{name}"] == pytest.approx(
            precision_score(truth, predicted, labels=[i], average="macro")
        )


def test_faults_among_regions_on_zone() -> None:
    # true: 2 faults, 2 without, 1 misoriented; the last column's class is fault
    truth = np.array([4, 4, 2, 2, 3])
    probability = np.array(
        [
            [0, 0, 0.1, 0.0, 0.9],
            [0, 0, 0.1, 0.6, 0.3],  # predicted as misoriented, but a fault is likelier than none
            [0, 0, 0.9, 0.0, 0.1],
            [0, 0, 0.2, 0.0, 0.8],
            [0, 0, 0.0, 1.0, 0.0],
        ]
    )
    scores = region_scores(truth, probability, np.arange(5), REGION_CLASSES)["value"]
    assert scores["fault_balanced_accuracy"] == pytest.approx((1 + 0.5) / 2)
    assert scores["on_zone_recall"] == pytest.approx((0.5 + 0.5) / 2)
    assert scores["oriented_share_true"] == pytest.approx(4 / 5)
    assert scores["oriented_share"] == pytest.approx(3 / 5)
    assert scores["faulted_share_true"] == pytest.approx(2 / 4)
    assert scores["faulted_share"] == pytest.approx(2 / 3)
    assert np.isnan(scores["recall_agglomeration"])


def test_intervals_are_wider_where_micrographs_agree(drawn: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    truth, probability, _ = drawn
    right = probability.argmax(axis=1) == truth
    alone = region_scores(truth, probability, np.arange(400), REGION_CLASSES).loc["accuracy"]
    # all that is right in some micrographs, all that is wrong in others
    together = region_scores(truth, probability, np.argsort(np.argsort(~right)) // 20, REGION_CLASSES).loc["accuracy"]
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])
    sampling = 2 * 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 400)
    assert alone["high"] - alone["low"] == pytest.approx(sampling, rel=0.15)


def test_counts() -> None:
    counts = class_counts(np.array([0, 0, 1]), np.array([0, 2, 1]), np.array(["b", "a", "b"]), 2)
    assert counts.tolist() == [[[0, 0, 1], [0, 0, 0]], [[1, 0, 0], [0, 1, 0]]]


def test_expected_shares_are_true_where_probabilities_are() -> None:
    """Classes drawn by their probabilities: the sums recover the shares, the likeliest classes do not."""
    rng = np.random.default_rng(5)
    classes = ("no_stacking_fault", "misoriented", "stacking_fault")
    n = 6000
    doubt = np.tile([0.35, 0.4, 0.25], (n, 1))  # one who always predicts misoriented finds none on zone
    truth = np.array([rng.choice(3, p=row) for row in doubt])
    scores = region_scores(truth, doubt, np.arange(n) % 40, classes, n_resamples=50)["value"]
    assert abs(scores["oriented_share_expected"] - scores["oriented_share_true"]) < 0.02
    assert abs(scores["faulted_share_expected"] - scores["faulted_share_true"]) < 0.03
    assert scores["oriented_share"] == 0
