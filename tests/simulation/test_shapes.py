"""Shapes have the size that was asked for."""

import numpy as np

from hrtem_dask.simulation.crystals import CRYSTALS
from hrtem_dask.simulation.shapes import SHAPES, draw_shape


def test_every_shape_has_about_the_volume_it_is_named_by() -> None:
    rng = np.random.default_rng(0)
    for name in SHAPES:
        for crystal in (CRYSTALS["Au"], CRYSTALS["CdSe"]):
            ratios = []
            for _ in range(20):
                shape = draw_shape(rng, crystal, name, 4.0)
                points = rng.uniform(-shape.radius_nm, shape.radius_nm, (20000, 3))
                volume = shape.contains(points).mean() * (2 * shape.radius_nm) ** 3
                ratios.append(volume / (4 / 3 * np.pi * 2.0**3))
            assert 0.6 < np.mean(ratios) < 1.4, name
