"""Built crystals against crystallography: spacings, neighbours, and what faults do to them."""

import numpy as np
import pytest
from scipy.spatial import cKDTree

from hrtem_dask.crystals import MATERIALS, Material, cubic_material, hexagonal_material
from hrtem_dask.simulation.atoms import build_crystal, layer_index
from hrtem_dask.simulation.crystals import CRYSTALS, layered_crystal
from hrtem_dask.simulation.stacking import Fault, stacking

FCC = CRYSTALS["Au"]
WURTZITE = CRYSTALS["CdSe"]


def letters(positions: np.ndarray) -> str:
    return "".join("ABC"[p] for p in positions)


def test_perfect_stacking() -> None:
    assert letters(stacking(FCC, 7)) == "ABCABCA"
    assert letters(stacking(WURTZITE, 6)) == "ABABAB"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("intrinsic", "ABCACABCA"), ("extrinsic", "ABCACBCAB"), ("twin", "ABCACBACB"), ("layer", "ABCACACAC")],
)
def test_faults_of_abc_stacking(kind: str, expected: str) -> None:
    # Hirth & Lothe: intrinsic = one layer taken out (B), extrinsic = one put in, twin = mirrored from there on
    assert letters(stacking(FCC, 9, [Fault(kind, 4)])) == expected
    steps = np.diff(stacking(FCC, 30, [Fault(kind, 10)])) % 3
    wrong = np.count_nonzero(steps == 2)
    assert wrong == {"intrinsic": 1, "extrinsic": 2, "twin": 20, "layer": 3}[kind]


def test_an_intrinsic_fault_is_a_missing_layer() -> None:
    assert letters(stacking(FCC, 8, [Fault("intrinsic", 4)])) == "ABCA" + "CABC"


def test_a_twin_is_a_mirror() -> None:
    twin = letters(stacking(FCC, 9, [Fault("twin", 5)]))
    assert twin == "ABCABACBA"
    assert twin == twin[::-1]


@pytest.mark.parametrize(("kind", "n_cubic"), [("twin", 1), ("intrinsic", 2), ("extrinsic", 3), ("layer", 5)])
def test_faults_of_ab_stacking_are_cubic_layers(kind: str, n_cubic: int) -> None:
    # I1, I2 and E have 1, 2 and 3 layers with neighbours of different letters (Hirth & Lothe, chapter 11)
    positions = stacking(WURTZITE, 40, [Fault(kind, 15)])
    assert np.count_nonzero(positions[2:] != positions[:-2]) == n_cubic
    assert (np.diff(positions) % 3 != 0).all()


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
def test_nearest_neighbours(name: str, bond: float) -> None:
    positions, kinds = build_crystal(CRYSTALS[name], 1.5)
    inner = np.linalg.norm(positions, axis=1) < 0.8
    distances, index = cKDTree(positions).query(positions[inner], k=2)
    np.testing.assert_allclose(distances[:, 1], bond, rtol=0.01)
    if len(CRYSTALS[name].basis) > 1:
        assert (kinds[inner] != kinds[index[:, 1]]).all(), "the nearest neighbour of a cation is an anion"


@pytest.mark.parametrize("kind", ["intrinsic", "extrinsic", "twin", "layer"])
@pytest.mark.parametrize("name", ["Au", "CdSe", "CdSe-zb", "PbS"])
def test_faults_keep_every_bond(name: str, kind: str) -> None:
    """A stacking fault changes second neighbours, never the first ones."""
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


def test_other_materials_by_lattice_parameters() -> None:
    gold = layered_crystal(cubic_material("my gold", "fcc", ["Au"], 0.40782), displacement_nm=0.009)
    assert gold.layer_nm == pytest.approx(0.23546, abs=1e-5)  # d of {111}
    zinc = layered_crystal(hexagonal_material("Zn", "hcp", ["Zn"], 0.2665, 0.4947), displacement_nm=0.009)
    assert not zinc.is_cubic
    assert (zinc.row_nm, zinc.layer_nm) == pytest.approx((0.2665, 0.24735))


def test_materials_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match="zinc_blende has 2 kinds of site"):
        cubic_material("half", "zinc_blende", ["Cd"], 0.6)
    with pytest.raises(ValueError, match="unknown element 'Xx'"):
        cubic_material("x", "fcc", ["Xx"], 0.4)
    with pytest.raises(ValueError, match="'bcc' of Fe is not close-packed"):
        layered_crystal(MATERIALS["Fe"], displacement_nm=0.009)
    with pytest.raises(ValueError, match="atomic number 84"):
        layered_crystal(Material("Po", "fcc", 0.3359, None, ((84, 0.0, 0.0, 0.0),)), displacement_nm=0.009)
