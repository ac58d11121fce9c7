"""Statistics of sparse pieces are those of OpenCV; specks alone are no reason to look closer."""

import cv2
import numpy as np
import pytest

from hrtem_dask.filtering.ink import _labelled, gray_levels, ink_levels, ink_pieces


@pytest.mark.parametrize("share", [0.001, 0.02, 0.049, 0.2])
def test_statistics_are_those_of_opencv(share: float) -> None:
    mask = np.random.default_rng(3).random((90, 140)) < share
    labels, stats = _labelled(mask)
    _, expected, expected_stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_array_equal(stats[1:], expected_stats[1:])


def test_specks_alone_are_left_out_only_where_nothing_is_as_high_as_a_character() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(120, 5, (300, 300))
    image[50:53, 60:63] = image[200:203, 90:93] = 255  # two specks
    grays = gray_levels(image)
    assert grays is not None
    (is_white, level), *_ = ink_levels(grays)
    assert [p.kind for p in ink_pieces(grays, is_white=is_white, level=level)] == ["speck", "speck"]
    assert ink_pieces(grays, is_white=is_white, level=level, specks_alone=False) == []
    image[100:112, 100:104] = 255
    grays = gray_levels(image)
    assert grays is not None
    found = ink_pieces(grays, is_white=True, level=level, specks_alone=False)
    assert [p.height for p in found if not p.kind] == [12]
    assert len(found) == 3
