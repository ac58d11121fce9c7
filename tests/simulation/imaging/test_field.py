"""The wave of a particle lies where its outline is drawn."""

import numpy as np
import pytest
from scipy import ndimage

from hrtem_dask.simulation import SimulationRanges
from hrtem_dask.simulation.imaging.field import Grid, field_wave
from hrtem_dask.simulation.particles import draw_particle, inside_hull
from hrtem_dask.simulation.placement import Placed


@pytest.mark.parametrize("pixel_size", [0.02, 0.03, 0.045, 0.06, 0.09])
def test_a_particle_is_where_its_outline_is(pixel_size: float) -> None:
    """The center of its absorption is that of its hull, to a tenth of a pixel on average over positions."""
    rng = np.random.default_rng(5)
    ranges = SimulationRanges(shapes={"sphere": 1}, misoriented_fraction=1, between_fraction=0, fault_fraction=0)
    grid = Grid.for_image((160, 160), pixel_size)
    off = []
    for _ in range(12):
        particle = draw_particle(rng, ranges, "Au", 2.0)
        center = (80 * pixel_size + rng.uniform(-0.1, 0.1), 80 * pixel_size + rng.uniform(-0.1, 0.1))
        wave = field_wave([Placed(particle, center)], grid, voltage_kv=300, absorption=0.1)
        # averaged over each pixel, about the sample that the camera takes for it
        lost = ndimage.uniform_filter(1 - np.abs(wave) ** 2, 3 if grid.subpixels > 1 else 1)
        first = grid.subpixels // 2
        window, inside = inside_hull(particle, center, (160, 160), pixel_size)
        hull = np.zeros((160, 160), bool)
        hull[window] = inside
        seen = np.clip(grid.image(lost[first :: grid.subpixels, first :: grid.subpixels]), 0, None)
        off.append(np.subtract(ndimage.center_of_mass(seen), ndimage.center_of_mass(hull)) * pixel_size)
    assert np.abs(np.mean(off, 0)).max() < max(0.1 * pixel_size, 0.004)
