"""Crystals derived from materials."""

import pytest

from hrtem_dask.crystals import MATERIALS, Material, cubic_material, hexagonal_material
from hrtem_dask.simulation.crystals import layered_crystal


def test_other_materials_by_lattice_parameters() -> None:
    gold = layered_crystal(cubic_material("my gold", "fcc", ["Au"], 0.40782), displacement_nm=0.009)
    assert gold.layer_nm == pytest.approx(0.23546, abs=1e-5)  # d of {111}
    zinc = layered_crystal(hexagonal_material("Zn", "hcp", ["Zn"], 0.2665, 0.4947), displacement_nm=0.009)
    assert not zinc.is_cubic
    assert (zinc.row_nm, zinc.layer_nm) == pytest.approx((0.2665, 0.24735))


def test_materials_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match="'bcc' of Fe is not close-packed"):
        layered_crystal(MATERIALS["Fe"], displacement_nm=0.009)
    with pytest.raises(ValueError, match="atomic number 84"):
        layered_crystal(Material("Po", "fcc", 0.3359, None, ((84, 0.0, 0.0, 0.0),)), displacement_nm=0.009)
