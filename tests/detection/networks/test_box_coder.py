"""The code of rotated boxes: reversible, the same after turning both, and blind to how a rectangle is described."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask.detection.networks.box_coder import canonical_boxes, decode, encode
from hrtem_dask.detection.rotated_boxes import canonical, rotate_boxes
from hrtem_dask.detection.rotated_iou import rotated_iou

angle = st.floats(-90, 89.9)
box = st.tuples(st.floats(-50, 50), st.floats(-50, 50), st.floats(10, 60), st.floats(10, 60), angle).map(
    lambda b: canonical(np.array(b))
)


def _tensor(*boxes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(boxes))


@given(box, box)
def test_decoding_reverses_encoding(reference: np.ndarray, target: np.ndarray) -> None:
    again = canonical_boxes(decode(_tensor(reference), encode(_tensor(reference), _tensor(target)))).numpy()
    assert rotated_iou(again, target[None])[0, 0] == pytest.approx(1, abs=1e-6)


@given(box, box, st.floats(-180, 180))
def test_turning_both_boxes_changes_nothing(reference: np.ndarray, target: np.ndarray, angle_deg: float) -> None:
    turned = rotate_boxes(np.stack([reference, target]), angle_deg, (0, 0))
    code = encode(_tensor(reference), _tensor(target))[0]
    again = encode(torch.from_numpy(turned[:1]), torch.from_numpy(turned[1:]))[0]
    difference = (code - again).abs().numpy()
    if (
        abs(abs(code[4].item()) - np.pi / 2) > 1e-6 and abs(abs(code[4].item()) - np.pi / 4) > 1e-6
    ):  # both ways round are equally far
        # the frame of the reference may point the other way, which turns both offsets round
        same = np.isclose(difference[:2], 0, atol=1e-6) | np.isclose((code + again).abs()[:2], 0, atol=1e-6)
        assert same.all()
        np.testing.assert_allclose(difference[2:], 0, atol=1e-6)


@given(box, st.floats(-44, 44))
@settings(max_examples=50)
def test_of_a_rod_the_angle_has_a_period_of_180_and_of_a_square_of_90(reference: np.ndarray, turn: float) -> None:
    for width, period in ((10.0, 180), (40.0, 90)):
        rod = np.array([*reference[:2], 50, 20, reference[4]])
        targets = [np.array([0, 0, 40, width, reference[4] + turn + k * period]) for k in (-2, 0, 3)]
        codes = [encode(_tensor(rod), _tensor(target)) for target in targets]
        for code in codes:
            torch.testing.assert_close(code, codes[0], atol=1e-9, rtol=0)
            assert np.rad2deg(code[0, 4].item()) == pytest.approx(turn, abs=1e-9)


def test_a_small_turn_over_the_end_of_the_period_is_small() -> None:
    code = encode(_tensor(np.array([0, 0, 30, 5, 89.0])), _tensor(np.array([0, 0, 30, 5, -89.0])))
    assert np.rad2deg(code[0, 4].item()) == pytest.approx(2)


def test_tensors_are_canonical_as_arrays_are() -> None:
    boxes = np.random.default_rng(0).uniform(1, 300, (50, 5))
    np.testing.assert_allclose(canonical_boxes(torch.from_numpy(boxes)).numpy(), canonical(boxes), atol=1e-9)
