"""Orientations against crystallography."""

import numpy as np
import pytest

from hrtem_dask.simulation.crystals import CRYSTALS
from hrtem_dask.simulation.orientations import draw_orientation, edge_on_axis, nearest_zone_axis

FCC = CRYSTALS["Au"]
FRAME = np.array([[1, -1, 0], [1, 1, -2], [1, 1, 1]]) / np.sqrt([[2], [6], [3]])


@pytest.mark.parametrize(
    ("indices", "name"), [((1, 0, 0), "[100]"), ((1, -1, 0), "[110]"), ((-1, 1, 1), "[111]"), ((2, 1, 1), "[112]")]
)
def test_low_index_axes_are_found(indices: tuple[int, int, int], name: str) -> None:
    found, angle = nearest_zone_axis(FCC, FRAME @ np.array(indices))
    assert found == name
    assert angle == pytest.approx(0, abs=1e-5)


def test_the_angle_to_an_axis() -> None:
    # 10° from [001] towards [111], which is 54.7° away
    beam = np.cos(np.deg2rad(10)) * np.array([0, 0, 1]) + np.sin(np.deg2rad(10)) * np.array([1, 1, 0]) / np.sqrt(2)
    name, angle = nearest_zone_axis(FCC, FRAME @ beam)
    assert name == "[100]"
    assert angle == pytest.approx(10)


@pytest.mark.parametrize("name", ["Au", "CdSe"])
def test_drawn_orientations_are_what_was_asked_for(name: str) -> None:
    crystal = CRYSTALS[name]
    rng = np.random.default_rng(1)
    for _ in range(60):
        edge_on = draw_orientation(rng, crystal, misoriented=False, edge_on=True)
        assert edge_on.kind == "on_zone"
        assert edge_on.fault_visible
        assert edge_on.zone_axis == edge_on_axis(crystal)
        other = draw_orientation(rng, crystal, misoriented=True, edge_on=False)
        assert other.kind == "misoriented"
        assert other.tilt_deg > 5.5
        for one in (edge_on, other):
            np.testing.assert_allclose(one.matrix @ one.matrix.T, np.eye(3), atol=1e-12)
            assert np.linalg.det(one.matrix) == pytest.approx(1), "a rotation, no mirror"
            beam_in_crystal = one.matrix[2]
            assert nearest_zone_axis(crystal, beam_in_crystal)[1] == pytest.approx(one.tilt_deg)


def test_the_lattice_orientation_is_the_projected_normal_on_the_screen() -> None:
    orientation = draw_orientation(np.random.default_rng(3), FCC, misoriented=False, edge_on=True)
    x, y = orientation.matrix[:2, 2]
    assert np.tan(np.deg2rad(orientation.lattice_orientation_deg)) == pytest.approx(-y / x)  # y points down
