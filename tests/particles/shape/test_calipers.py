"""Feret diameters of shapes whose true ones are known: pixels must not change them with size, shape or direction."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from hrtem_dask.particles.shape.descriptors import measure_particles


def measured(kind: str, long: float, short: float, seed: int) -> pd.Series:
    """Descriptors of a shape with these axes or sides (px), at a random place and angle."""
    rng = np.random.default_rng([seed, int(long), int(short)])
    angle, n = rng.uniform(0, np.pi), int(np.hypot(long, short) + 8)
    y, x = np.mgrid[:n, :n] + 0.5 - n / 2 - rng.uniform(-0.5, 0.5, (2, 1, 1))
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if kind == "ellipse":
        inside = (2 * u / long) ** 2 + (2 * v / short) ** 2 <= 1
    else:
        inside = (2 * abs(u) <= long) & (2 * abs(v) <= short)
    return measure_particles(inside.astype(np.int32), np.zeros((n, n)), pixel_size_nm=None).iloc[0]


@pytest.mark.parametrize("aspect", [1.0, 1.5, 3.0])
@pytest.mark.parametrize("short", [20, 26, 60])
@pytest.mark.parametrize("kind", ["ellipse", "rectangle"])
def test_feret_diameters_are_unbiased(kind: str, short: float, aspect: float) -> None:
    long = aspect * short
    rows = pd.DataFrame([measured(kind, long, short, seed) for seed in range(24)])
    largest = long if kind == "ellipse" else np.hypot(long, short)
    assert rows["feret_max_px"].mean() == pytest.approx(largest, abs=0.3)
    assert rows["feret_min_px"].mean() == pytest.approx(short, abs=0.3)
    assert rows[["feret_max_px", "feret_min_px"]].std().max() < 0.6


def test_shape_of_perfect_disks_does_not_depend_on_size() -> None:
    diameters = np.random.default_rng(5).uniform(60, 200, 60)
    rows = pd.DataFrame([measured("ellipse", d, d, seed) for seed, d in enumerate(diameters)])
    for name in ("roundness", "compactness", "circularity", "solidity", "convexity", "extent"):
        assert rows[name].mean() == pytest.approx(np.pi / 4 if name == "extent" else 1, abs=0.004)
        if rows[name].std() > 1e-9:
            # 60 unrelated pairs are within ±0.33 in 99 % of cases; with pixel corners it was 0.99 for roundness
            assert abs(scipy.stats.spearmanr(diameters, rows[name]).statistic) < 0.4, name
    # the largest distance is never below the smallest: half a hundredth remains at 20 px, of which a correlation warns
    assert ((rows["aspect_ratio"] - 1) * diameters).mean() < 0.25


def test_a_mask_in_two_pieces_has_diameters() -> None:
    """Such as those of a detector: between the pieces there are directions in which a slab holds no pixel."""
    y, x = np.mgrid[:80, :130]
    for gap in range(1, 20):
        mask = ((y - 40) ** 2 + (x - 40) ** 2 <= 30**2).astype(np.int32)
        mask[10:12, 71 + gap : 73 + gap] = 1
        row = measure_particles(mask, np.zeros(mask.shape), pixel_size_nm=None).iloc[0]
        assert 59 < row["feret_min_px"] <= row["feret_max_px"]
        assert row["feret_max_px"] == pytest.approx(30.5 + np.hypot(32 + gap, 30), abs=3)
