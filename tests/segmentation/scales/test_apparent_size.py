"""The diameter of the pieces of a mask, weighted by area."""

import numpy as np
import pytest
from skimage.draw import disk

from hrtem_dask.segmentation.scales.apparent_size import apparent_diameter_px


def test_disks_have_their_diameter_whatever_specks_lie_beside_them() -> None:
    mask = np.zeros((200, 200), bool)
    for centre in ((40, 40), (40, 150), (150, 40)):
        mask[disk(centre, 15.0)] = True
    clean = apparent_diameter_px(mask)
    assert clean == pytest.approx(30, rel=0.02)
    mask[100::12, 100::12] = True
    mask[102::40, 102::40] = True
    assert apparent_diameter_px(mask) == clean
    mask[190:194, 190:194] = True
    assert apparent_diameter_px(mask) == clean


def test_noise_has_no_size() -> None:
    assert apparent_diameter_px(np.zeros((20, 20), bool)) is None
    mask = np.zeros((20, 20), bool)
    mask[::3, ::3] = True
    assert apparent_diameter_px(mask) is None
