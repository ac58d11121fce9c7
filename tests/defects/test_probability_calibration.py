"""Calibration finds probabilities that are known."""

import numpy as np
import pytest

from hrtem_dask.defects import Calibration, expected_calibration_error, fit_calibration, reliability
from hrtem_dask.defects.probability_calibration import log_loss


def drawn(n: int = 6000, *, distortion: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True probabilities, classes drawn from them, and the probabilities distorted."""
    rng = np.random.default_rng(3)
    true = rng.dirichlet([0.7, 0.7, 0.7], n).clip(0.01)
    true /= true.sum(axis=1, keepdims=True)
    truth = (rng.random(n)[:, None] > true.cumsum(axis=1)).sum(axis=1).clip(0, 2)
    matrix, offset = np.eye(3), np.zeros(3)
    if distortion == "temperature":
        matrix = 0.5 * np.eye(3)
    elif distortion == "vector":
        matrix, offset = np.diag([0.5, 1.5, 1.0]), np.array([0.8, -0.4, 0])
    elif distortion == "dirichlet":
        matrix = np.array([[1.0, 0.4, 0.0], [0.0, 0.7, -0.3], [0.2, 0.0, 0.9]])
    said = Calibration("dirichlet", matrix, offset).apply(true)
    return true, truth, said


@pytest.mark.parametrize("distortion", ["none", "temperature", "vector", "dirichlet"])
def test_distorted_probabilities_are_straightened(distortion: str) -> None:
    true, truth, said = drawn(distortion=distortion)
    found, losses = fit_calibration(said, truth, np.arange(len(truth)) // 20)
    assert found.method == distortion
    straightened = found.apply(said)
    assert np.abs(straightened - true).mean() < 0.02
    assert log_loss(straightened, truth) < losses["none"] + 1e-9
    assert expected_calibration_error(straightened, truth) < 0.02


def test_what_is_said_and_what_is_right() -> None:
    true, truth, said = drawn(distortion="temperature")
    assert expected_calibration_error(true, truth) < 0.02
    bins = reliability(said, truth)
    assert bins["n"].sum() == len(truth)
    # halved log-probabilities are not confident enough: right more often than they say
    assert (bins["accuracy"] > bins["probability"])[bins["n"] > 100].all()
    known = np.array([[0.75, 0.25]] * 4)
    assert expected_calibration_error(known, np.array([0, 0, 0, 1])) == pytest.approx(0)
    assert expected_calibration_error(known, np.array([0, 0, 1, 1])) == pytest.approx(0.25)
    assert expected_calibration_error(known, np.array([0, 0, 1, 1]), weight=np.array([1.5, 1.5, 0.5, 0.5])) == 0


def test_weights_balance_the_classes() -> None:
    # no evidence at all: the probabilities are the classes' shares, or equal where they are weighted equal
    rng = np.random.default_rng(0)
    truth = rng.choice(3, 3000, p=[0.7, 0.2, 0.1])
    said, groups = np.full((3000, 3), 1 / 3), np.arange(3000) // 10
    shares, _ = fit_calibration(said, truth, groups)
    np.testing.assert_allclose(shares.apply(said)[0], np.bincount(truth) / 3000, atol=0.02)
    balanced, _ = fit_calibration(said, truth, groups, weight=1 / np.bincount(truth)[truth])
    np.testing.assert_allclose(balanced.apply(said)[0], 1 / 3, atol=0.02)


def test_of_one_micrograph_nothing_is_learnt() -> None:
    found, losses = fit_calibration(np.full((9, 2), 0.5), np.zeros(9, int), np.zeros(9))
    assert (found.method, losses) == ("none", {})
