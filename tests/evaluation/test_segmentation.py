import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score, precision_score, recall_score

from hrtem_dask.evaluation import confusion, dice, precision, recall, score_masks

masks = hnp.arrays(np.bool_, (5, 7))


@given(mask=masks, truth=masks)
def test_scores_are_those_of_scikit_learn(mask: np.ndarray, truth: np.ndarray) -> None:
    flat = truth.ravel(), mask.ravel()
    if truth.any():
        assert dice(mask, truth) == pytest.approx(f1_score(*flat, zero_division=0))
        assert recall(mask, truth) == pytest.approx(recall_score(*flat))
    else:
        assert np.isnan(dice(mask, truth))
    if mask.any():
        assert precision(mask, truth) == pytest.approx(precision_score(*flat))
    else:
        assert np.isnan(precision(mask, truth))


@given(st.lists(st.tuples(masks, masks), min_size=1, max_size=4))
def test_pooling_is_scoring_side_by_side(pairs: list[tuple[np.ndarray, np.ndarray]]) -> None:
    table = score_masks([(str(i), m, t) for i, (m, t) in enumerate(pairs)])
    together = confusion(np.hstack([m for m, _ in pairs]), np.hstack([t for _, t in pairs]))
    np.testing.assert_equal(table.loc["pooled", "dice"], together.dice)


def test_empty_micrographs_stay_out_of_the_mean() -> None:
    full, none, spot = np.ones((4, 4), bool), np.zeros((4, 4), bool), np.eye(4, dtype=bool)
    table = score_masks([("good", full, full), ("empty", spot, none)])
    assert table.loc["mean", "dice"] == 1.0
    assert np.isnan(table.loc["empty", "dice"])
    assert table.loc["empty", "false_positive_share"] == 0.25


def test_different_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="same field"):
        confusion(np.ones((3, 3)), np.ones((3, 4)))
