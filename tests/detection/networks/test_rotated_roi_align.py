"""Features in rotated boxes: torchvision's at 0°, exact on a ramp, unchanged when image and box turn together."""

import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from hrtem_dask.detection.networks.rotated_roi_align import rotated_roi_align
from hrtem_dask.detection.rotated_boxes import rotate_boxes


def _boxes(rng: np.random.Generator, n: int, angles: tuple[float, float] = (0, 0)) -> np.ndarray:
    """Return boxes in and around an image of 160 × 224 px."""
    sides = np.sort(rng.uniform(2, 150, (n, 2)))[:, ::-1]
    return np.column_stack([rng.uniform(-30, 250, n), rng.uniform(-30, 190, n), sides, rng.uniform(*angles, n)])


@pytest.mark.parametrize("stride", [1, 4, 16])
@pytest.mark.parametrize(("cells", "samples"), [((5, 9), 2), ((3, 3), 1)])
def test_upright_boxes_give_what_torchvision_gives(stride: int, cells: tuple[int, int], samples: int) -> None:
    rng = np.random.default_rng(stride)
    features = torch.from_numpy(rng.normal(size=(1, 3, 160 // stride, 224 // stride)))
    boxes = torch.from_numpy(_boxes(rng, 60))
    x, y, length, width, _ = boxes.T
    corners = torch.stack([x - length / 2, y - width / 2, x + length / 2, y + width / 2], dim=1) + 0.5
    rois = torch.cat([torch.zeros(60, 1, dtype=torch.float64), corners], dim=1)
    expected = roi_align(features, rois, cells, 1 / stride, samples, aligned=True)
    found = rotated_roi_align(features[0], boxes, stride_px=stride, cells=cells, samples=samples)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("stride", [1, 8])
def test_a_linear_ramp_is_measured_exactly_at_any_angle(stride: int) -> None:
    y, x = np.mgrid[: 160 // stride, : 224 // stride] * stride + (stride - 1) / 2
    ramp = 0.3 * x - 0.7 * y + 5
    rng = np.random.default_rng(0)
    boxes = np.column_stack([rng.uniform(100, 120, 40), rng.uniform(75, 85, 40), rng.uniform(40, 80, 40),
                             rng.uniform(5, 40, 40), rng.uniform(-90, 90, 40)])  # fmt: skip
    found = rotated_roi_align(torch.from_numpy(ramp)[None], torch.from_numpy(boxes), stride_px=stride)
    across, along = ((np.arange(n) + 0.5) / n - 0.5 for n in (5, 9))
    angle = np.deg2rad(boxes[:, 4])[:, None, None]
    u, v = along * boxes[:, 2, None, None], across[:, None] * boxes[:, 3, None, None]
    cell_x = boxes[:, 0, None, None] + u * np.cos(angle) + v * np.sin(angle)
    cell_y = boxes[:, 1, None, None] - u * np.sin(angle) + v * np.cos(angle)
    np.testing.assert_allclose(found[:, 0], 0.3 * cell_x - 0.7 * cell_y + 5, atol=1e-9)


def test_turning_image_and_boxes_by_90_degrees_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    features = rng.normal(size=(2, 64, 64))
    boxes = np.column_stack([rng.uniform(10, 54, 20), rng.uniform(10, 54, 20), rng.uniform(20, 30, 20),
                             rng.uniform(3, 15, 20), rng.uniform(-90, 0, 20)])  # fmt: skip
    turned = np.rot90(features, axes=(1, 2)).copy()  # counter-clockwise on the screen
    before = rotated_roi_align(torch.from_numpy(features), torch.from_numpy(boxes), stride_px=1)
    after = rotated_roi_align(
        torch.from_numpy(turned), torch.from_numpy(rotate_boxes(boxes, 90, (31.5, 31.5))), stride_px=1
    )
    torch.testing.assert_close(after, before, atol=1e-9, rtol=0)


def test_no_boxes() -> None:
    assert rotated_roi_align(torch.zeros(4, 8, 8), torch.zeros(0, 5), stride_px=4).shape == (0, 4, 5, 9)


def test_with_a_gradient_the_features_are_the_same() -> None:
    """Training goes through torch, everything else through a loop of its own."""
    rng = np.random.default_rng(6)
    features = torch.from_numpy(rng.normal(size=(3, 40, 56))).requires_grad_()
    boxes = torch.from_numpy(_boxes(rng, 50, (-90, 90)))
    differentiated = rotated_roi_align(features, boxes, stride_px=4)
    assert differentiated.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(rotated_roi_align(features, boxes, stride_px=4), differentiated, atol=1e-9, rtol=0)
