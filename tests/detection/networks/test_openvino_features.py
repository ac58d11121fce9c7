"""Backbone and first stage in OpenVINO: the same numbers as torch's, at every size."""

import numpy as np
import pytest
import torch

from hrtem_dask.detection.networks.mask_rcnn import MaskRCNN
from hrtem_dask.detection.networks.openvino_features import OpenVINOFeatures
from hrtem_dask.detection.networks.rotated_rcnn import RotatedRCNN


def _with_other_statistics(model: torch.nn.Module) -> None:
    """Give normalizations numbers of their own, as trained networks have them."""
    numbers = torch.Generator().manual_seed(1)
    for name, values in model.state_dict().items():
        if "bn" in name or name.endswith("bias") or values.dim() == 1:
            values.copy_(0.5 + torch.rand(values.shape, generator=numbers))


@pytest.fixture(scope="module")
def rotated() -> RotatedRCNN:
    torch.manual_seed(0)
    model = RotatedRCNN(["rod"], channels=16).eval()
    _with_other_statistics(model)
    return model


def test_levels_and_first_stage_are_those_of_torch(rotated: RotatedRCNN) -> None:
    features = OpenVINOFeatures(rotated.pyramid, *rotated.convolutions())
    for shape in ((64, 96), (160, 32), (64, 96)):
        image = torch.randn(1, 1, *shape)
        with torch.no_grad():
            levels = rotated.pyramid(image)
            maps = rotated.proposals(levels)
        found, found_maps = features(image)
        assert list(found) == list(levels)
        for key, level in levels.items():
            torch.testing.assert_close(found[key], level, atol=1e-4, rtol=1e-4)
        for one, other in zip(found_maps, maps, strict=True):
            for found_map, level in zip(one, other, strict=True):
                torch.testing.assert_close(found_map, level, atol=1e-4, rtol=1e-4)


def test_levels_alone_for_another_first_stage() -> None:
    torch.manual_seed(0)
    model = MaskRCNN(["hole"], channels=16).eval()
    _with_other_statistics(model.pyramid)
    image = torch.randn(1, 1, 64, 64)
    found, maps = OpenVINOFeatures(model.pyramid, *model.convolutions())(image)
    assert maps == []
    with torch.no_grad():
        for key, level in model.pyramid(image).items():
            torch.testing.assert_close(found[key], level, atol=1e-4, rtol=1e-4)


def test_results_of_earlier_images_stay(rotated: RotatedRCNN) -> None:
    features = OpenVINOFeatures(rotated.pyramid, *rotated.convolutions())
    first = features(torch.randn(1, 1, 64, 64))[0]["4"]
    before = first.clone()
    features(torch.randn(1, 1, 64, 64))
    assert torch.equal(first, before)


def test_the_least_score_only_leaves_out_what_is_below_it(rotated: RotatedRCNN) -> None:
    image = torch.randn(1, 64, 64)
    everything = rotated.detect(image, shape=(64, 64), min_score=0.02)
    middle = float(np.median(everything.scores))
    sure = rotated.detect(image, shape=(64, 64), min_score=middle)
    kept = everything.scores >= middle
    assert 0 < kept.sum() < len(everything)
    np.testing.assert_array_equal(sure.scores, everything.scores[kept])
    np.testing.assert_array_equal(sure.rotated_boxes, everything.rotated_boxes[kept])
