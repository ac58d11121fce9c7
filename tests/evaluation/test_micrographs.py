"""Sizes and empty fields, where the answer is known by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask.evaluation import score_micrograph
from hrtem_dask.evaluation.micrographs import connected_pieces, counting_limit_px
from hrtem_dask.particles import measure_labels
from hrtem_dask.settings import ParticleSettings


def squares(side: int, *, margin: int = 10, n: int = 3) -> np.ndarray:
    """Squares of a side in a row, none at the border."""
    pitch = 40 + 2 * margin
    labels = np.zeros((pitch, n * pitch), np.int32)
    for number in range(n):
        y, x = (pitch - side) // 2, number * pitch + (pitch - side) // 2
        labels[y : y + side, x : x + side] = number + 1
    return labels


@pytest.mark.parametrize("grown", [-4, -2, 0, 2, 6])
def test_particles_grown_by_a_known_amount_have_the_known_bias(grown: int) -> None:
    row = score_micrograph(squares(30 + grown), squares(30), pixel_size_nm=(0.1, 0.1)).row
    assert row["n_sized"] == 3
    # the equivalent diameter of a square goes with its side
    assert row["size_bias_mean"] == pytest.approx(grown / 30)
    assert row["size_bias_median"] == pytest.approx(grown / 30)
    assert row["median_diameter_predicted_nm"] == pytest.approx(0.1 * (30 + grown) * 2 / np.sqrt(np.pi))
    assert row["count_bias"] == 0
    assert row["object_f1"] == 1


def test_counts_are_those_planted() -> None:
    truth, found = squares(30, n=5), squares(30, n=5)
    found[found > 3] = 0
    row = score_micrograph(found, truth, pixel_size_nm=None).row
    assert row["count_bias"] == pytest.approx(-0.4)
    assert (row["object_precision"], row["object_recall"]) == (1, pytest.approx(0.6))
    assert (row["precision"], row["recall"], row["dice"]) == (1, pytest.approx(0.6), pytest.approx(0.75))
    assert np.isnan(row["median_diameter_true_nm"])
    assert row["median_diameter_true_px"] == pytest.approx(60 / np.sqrt(np.pi))


@given(st.floats(0.001, 100), st.floats(0.001, 100))
def test_the_pixel_size_changes_only_nm(height: float, width: float) -> None:
    found, truth = squares(28), squares(30)
    plain = score_micrograph(found, truth, pixel_size_nm=None, min_area_nm2=0).row
    sized = score_micrograph(found, truth, pixel_size_nm=(height, width), min_area_nm2=0).row
    differing = {k for k in plain if not np.array_equal(plain[k], sized[k], equal_nan=True)}
    assert {name.rsplit("_", 1)[1] for name in differing} == {"nm", "nm2"}
    assert sized["median_diameter_true_nm"] == pytest.approx(30 * np.sqrt(height * width * 4 / np.pi))
    assert sized["false_positive_area_nm2"] == 0


def test_cut_particles_have_no_size_on_either_side() -> None:
    truth, found = squares(30), squares(30)
    truth[:, :61][truth[:, :61] > 0] = 0
    truth[10:40, 0:30] = found[10:40, 1:31] = 1  # cut in truth alone
    found[:, 31:60] = 0
    row = score_micrograph(found, truth, pixel_size_nm=None).row
    assert (row["n_true"], row["n_matched_iou50"], row["n_sized"]) == (3, 3, 2)


def test_an_empty_micrograph_has_no_dice_but_a_false_area() -> None:
    found = np.zeros((50, 60), np.int32)
    found[10:25, 10:30] = 1
    found[40:43, 40:43] = 2
    row = score_micrograph(found, np.zeros_like(found), pixel_size_nm=(0.5, 0.2)).row
    assert row["truth_empty"]
    assert all(np.isnan(row[name]) for name in ("dice", "recall", "object_recall", "count_bias"))
    assert row["precision"] == 0
    assert (row["false_positive_px"], row["false_positive_area_nm2"]) == (309, pytest.approx(30.9))
    assert row["n_predicted"] == 1  # the other is below the limit


def test_mask_and_probability_are_scored_apart_from_particles() -> None:
    truth = squares(30, n=1)
    mask, probability = truth > 0, np.where(truth > 0, 0.8, 0.2).astype(np.float32)
    scores = score_micrograph(np.zeros_like(truth), truth, pixel_size_nm=None, mask=mask, probability=probability)
    assert (scores.row["dice"], scores.row["mask_dice"]) == (0, 1)
    assert scores.threshold_counts is not None
    assert list(scores.threshold_counts[:, 50]) == [900, 900]
    bare = score_micrograph(truth, truth, pixel_size_nm=None)
    assert bare.threshold_counts is None
    assert np.isnan(bare.row["mask_dice"])


def test_without_instances_pieces_are_compared() -> None:
    truth = squares(30, n=1)
    halves = np.where((truth > 0) & (np.indices(truth.shape)[1] > 30), 2, truth)
    assert score_micrograph(halves, truth, pixel_size_nm=None).row["n_splits"] == 1
    row = score_micrograph(halves, truth, pixel_size_nm=None, instances=False).row
    assert (row["n_splits"], row["object_f1"]) == (0, 1)
    assert connected_pieces(np.eye(4)).max() == 1  # corners join, as in a run


def test_the_limit_is_the_stricter_one() -> None:
    assert counting_limit_px((0.05, 0.05), min_area_px=100, min_area_nm2=0.5) == pytest.approx(200)
    assert counting_limit_px((0.2, 0.2), min_area_px=100, min_area_nm2=0.5) == 100
    assert counting_limit_px(None, min_area_px=100, min_area_nm2=0.5) == 100


@pytest.mark.parametrize("pixel_size_nm", [None, (0.05, 0.05), (0.2, 0.3)])
def test_the_limit_is_that_of_the_run(pixel_size_nm: tuple[float, float] | None) -> None:
    """Without particles at the border, a run counts what the evaluation judges."""
    labels = np.zeros((200, 200), dtype=np.int32)
    for k in range(1, 17):
        y, x = np.divmod(k - 1, 4)
        labels[50 * y + 10 : 50 * y + 10 + k, 50 * x + 10 : 50 * x + 10 + k] = k
    found = measure_labels(labels, np.zeros(labels.shape), pixel_size_nm=pixel_size_nm)
    limits = ParticleSettings()
    row = score_micrograph(
        found.labels, labels, pixel_size_nm=pixel_size_nm,
        min_area_px=limits.min_area_px, min_area_nm2=limits.min_area_nm2,
    ).row  # fmt: skip
    assert row["n_true"] == row["n_predicted"] == found.particles["counted"].sum()
    assert found.n_too_small == 16 - row["n_true"] > 0
    assert score_micrograph(found.labels, labels, pixel_size_nm=pixel_size_nm).row["n_true"] == row["n_true"]
