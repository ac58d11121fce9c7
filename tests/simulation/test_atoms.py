"""Built crystals against crystallography: spacings, neighbors, and the effect of faults on them."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from hrtem_dask.crystals import MATERIALS
from hrtem_dask.simulation.atoms import build_crystal, layer_index
from hrtem_dask.simulation.crystals import CRYSTALS
from hrtem_dask.simulation.stacking import Fault

FCC = CRYSTALS["Au"]


@pytest.mark.parametrize("name", CRYSTALS)
def test_density_and_spacings_are_those_of_the_unit_cell(name: str) -> None:
    crystal, known = CRYSTALS[name], MATERIALS[name]
    volume = known.a_nm**3 if known.c_nm is None else np.sqrt(3) / 2 * known.a_nm**2 * known.c_nm
    positions, _ = build_crystal(crystal, 3.0, origin_nm=(0.03, 0.05, 0.07))
    density = len(positions) / (4 / 3 * np.pi * 3.0**3)
    assert density == pytest.approx(len(known.basis) / volume, rel=0.02)


@pytest.mark.parametrize(
    ("name", "bond"),
    [("Au", 0.40782 / np.sqrt(2)), ("CdSe-zb", 0.6052 * np.sqrt(3) / 4), ("CdSe", 0.2629), ("PbS", 0.5936 / 2)],
)
def test_nearest_neighbors(name: str, bond: float) -> None:
    positions, kinds = build_crystal(CRYSTALS[name], 1.5)
    inner = np.linalg.norm(positions, axis=1) < 0.8
    distances, index = cKDTree(positions).query(positions[inner], k=2)
    np.testing.assert_allclose(distances[:, 1], bond, rtol=0.01)
    if len(CRYSTALS[name].basis) > 1:
        assert (kinds[inner] != kinds[index[:, 1]]).all(), "the nearest neighbor of a cation is an anion"


@pytest.mark.parametrize("kind", ["intrinsic", "extrinsic", "twin", "layer"])
@pytest.mark.parametrize("name", ["Au", "CdSe", "CdSe-zb", "PbS"])
def test_faults_keep_every_bond(name: str, kind: str) -> None:
    """A stacking fault changes second neighbors, never the first ones."""
    crystal = CRYSTALS[name]
    perfect, _ = build_crystal(crystal, 2.0)
    fault = Fault(kind, layer_index(crystal, 2.0, 0.3))
    faulted, _ = build_crystal(crystal, 2.0, faults=[fault])
    bond = cKDTree(perfect).query(perfect, k=2)[0][:, 1].min()
    nearest = cKDTree(faulted).query(faulted[np.linalg.norm(faulted, axis=1) < 1.4], k=2)[0][:, 1]
    np.testing.assert_allclose(nearest, bond, rtol=0.02)
    assert not np.array_equal(perfect, faulted)


def test_the_layer_index_finds_the_layer() -> None:
    origin = 0.11
    index = layer_index(FCC, 2.0, 0.6, origin)
    n_layers = 2 * int(np.ceil((2.0 + 2 * FCC.row_nm) / FCC.layer_nm)) + 1
    height = (index - n_layers // 2) * FCC.layer_nm + origin
    assert abs(height - 0.6) <= FCC.layer_nm / 2
