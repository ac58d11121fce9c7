"""EfficientNet-Lite0: padding as TensorFlow's, and the features that the published weights give a photograph."""

import numpy as np
import pytest
import torch

from hrtem_dask.detection.networks.efficientnet_lite import _pad_same


@pytest.mark.parametrize(("side", "kernel", "stride"), [(224, 3, 2), (224, 5, 2), (225, 3, 2), (56, 5, 1), (7, 3, 2)])
def test_padding_gives_the_rounded_up_side_and_puts_the_odd_pixel_last(side: int, kernel: int, stride: int) -> None:
    padded = _pad_same(torch.ones(1, 1, side, side), kernel, stride)
    assert (padded.shape[-1] - kernel) // stride + 1 == -(-side // stride)
    row = np.flatnonzero(padded[0, 0].sum(dim=0).numpy())
    before, after = row[0], padded.shape[-1] - 1 - row[-1]
    assert 0 <= after - before <= 1
