"""Outlines are compared with the gray values, whatever the scale and window of the probability."""

import numpy as np
import pytest

from hrtem_dask.segmentation.rescale import resample
from hrtem_dask.segmentation.scales.outline_contrast import OutlineContrast
from hrtem_dask.segmentation.scales.windows import Box, liveliest


def disk(radius: float, side: int = 200) -> np.ndarray:
    """Return a smooth disk in the middle: 1 inside and 0 outside."""
    y, x = np.mgrid[:side, :side]
    distance = np.hypot(y - side / 2, x - side / 2)
    return np.clip(radius - distance + 0.5, 0, 1).astype(np.float32)


def test_outlines_on_the_edge_have_the_highest_ratio() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (200, 200)).astype(np.float32)
    field = Box(0, 0, 200, 200)
    edges = OutlineContrast(1 - disk(40) + noise, field)
    ratios = {radius: edges.log_ratio(disk(radius), field, 0.5) for radius in (30, 36, 40, 44, 50)}
    assert max(ratios, key=ratios.__getitem__) == 40
    assert ratios[40] > ratios[36] > ratios[30]


@pytest.mark.parametrize("scale", [0.35, 0.5, 1.0, 2.0])
def test_the_scale_of_the_probability_and_its_window_hardly_matter(scale: float) -> None:
    image, field = 1 - disk(40), Box(0, 0, 200, 200)
    edges = OutlineContrast(image[20:190, 10:180], Box(20, 10, 190, 180))
    whole = edges.log_ratio(disk(40), field, 0.5)
    side = round(200 * scale)
    assert edges.log_ratio(resample(disk(40), (side, side), method="bilinear"), field, 0.5) == pytest.approx(
        whole, abs=0.2
    )
    window = Box(31, 43, 171, 163)
    part = disk(40)[window.slices]
    seen = resample(part, (round(140 * scale), round(120 * scale)), method="bilinear")
    assert edges.log_ratio(seen, window, 0.5) == pytest.approx(edges.log_ratio(part, window, 0.5), abs=0.2)


def test_a_mask_without_an_outline_there_is_worst() -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, (200, 200)).astype(np.float32)
    edges = OutlineContrast(disk(40) + noise, Box(0, 0, 200, 200))
    nothing = edges.log_ratio(np.zeros((100, 100), np.float32), Box(0, 0, 200, 200), 0.5)
    assert nothing < edges.log_ratio(disk(80), Box(0, 0, 200, 200), 0.5)
    flat = OutlineContrast(np.ones((200, 200), np.float32), Box(0, 0, 200, 200))
    assert flat.log_ratio(disk(40), Box(0, 0, 200, 200), 0.5) == nothing


def test_squares_around_a_part_hold_it_and_stay_in_the_field() -> None:
    field, part = Box(0, 0, 300, 1000), Box(250, 900, 300, 1000)
    assert part.around(120, field) == Box(180, 880, 300, 1000)
    assert part.around(4000, field) == field
    assert liveliest(np.ones((300, 1000), np.float32), field, 4000) == field
