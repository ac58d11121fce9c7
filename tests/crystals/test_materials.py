"""Known materials and materials of your own."""

import pytest

from hrtem_dask.crystals import cubic_material, find_material, hexagonal_material


def test_unknown_material() -> None:
    with pytest.raises(ValueError, match="known are Au"):
        find_material("unobtainium")


def test_impossible_materials_are_refused() -> None:
    with pytest.raises(ValueError, match="zinc_blende has 2 kinds of site"):
        cubic_material("half", "zinc_blende", ["Cd"], 0.6)
    with pytest.raises(ValueError, match="unknown element 'Xx'"):
        cubic_material("x", "fcc", ["Xx"], 0.4)


def test_nearest_neighbors_in_the_cell() -> None:
    """Bond lengths: √3/4 a in zinc blende, 3/8 c along the c axis in wurtzite."""
    zinc_blende = cubic_material("ZnS", "zinc_blende", ["Zn", "S"], 0.5409)
    (_, *first), (_, *second) = zinc_blende.basis[0], zinc_blende.basis[4]
    assert sum((b - a) ** 2 for a, b in zip(first, second, strict=True)) == pytest.approx(3 / 16)
    wurtzite = hexagonal_material("ZnS", "wurtzite", ["Zn", "S"], 0.3823, 0.6261)
    assert [number for number, *_ in wurtzite.basis] == [30, 30, 16, 16]
    assert wurtzite.basis[2][3] - wurtzite.basis[0][3] == pytest.approx(3 / 8)
