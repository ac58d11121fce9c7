import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score, precision_score, recall_score

from hrtem_dask.evaluation import confusion, dice, precision, recall

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


@given(masks, masks, masks, masks)
def test_pooling_is_scoring_side_by_side(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> None:
    assert confusion(a, b) + confusion(c, d) == confusion(np.hstack([a, c]), np.hstack([b, d]))


def test_different_fields_are_refused() -> None:
    with pytest.raises(ValueError, match="same field"):
        confusion(np.ones((3, 3)), np.ones((3, 4)))
