"""Backbones: the levels of the pyramid have the strides that they are named for, and frozen normalization."""

import pytest
import torch

from hrtem_dask.detection.networks.backbones import BACKBONES, STRIDES_PX, BackboneName, GrayPyramid, make_trunk
from hrtem_dask.errors import ModelError


@pytest.mark.parametrize("name", BACKBONES)
def test_levels_have_their_strides(name: BackboneName) -> None:
    levels = GrayPyramid(name, 16)(torch.zeros(1, 1, 64, 96))
    assert {key: tuple(level.shape) for key, level in levels.items()} == {
        str(s): (1, 16, 64 // s, 96 // s) for s in STRIDES_PX
    }
    assert list(levels) == [str(s) for s in STRIDES_PX]


def test_normalization_does_not_change_in_training() -> None:
    model = GrayPyramid("efficientnet_lite0", 16).train()
    before = {name: value.clone() for name, value in model.named_buffers()}
    model(torch.randn(2, 1, 64, 64))
    assert before
    assert all(torch.equal(value, before[name]) for name, value in model.named_buffers())


def test_an_unknown_network_is_refused() -> None:
    with pytest.raises(ModelError, match="choose one of efficientnet_lite0"):
        make_trunk("vgg")  # type: ignore[arg-type]
