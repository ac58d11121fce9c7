"""Reflections of known crystals against published spacings and the extinction rules of textbooks."""

import pytest

from hrtem_dask.crystals import MATERIALS, Material, known_reflections

# powder diffraction files: Au 4-784, CdSe 8-459, CdTe 15-770, Si 27-1402, Fe 6-696 (nm)
PUBLISHED = {
    "Au": {(1, 1, 1): 0.2355, (2, 0, 0): 0.2039, (2, 2, 0): 0.1442, (3, 1, 1): 0.1230},
    "CdSe": {(1, 0, 0): 0.372, (0, 0, 2): 0.351, (1, 0, 1): 0.329, (1, 0, 2): 0.2554, (1, 1, 0): 0.2151},
    "CdTe": {(1, 1, 1): 0.3742, (2, 2, 0): 0.2290, (3, 1, 1): 0.1954},
    "Si": {(1, 1, 1): 0.3136, (2, 2, 0): 0.1920, (3, 1, 1): 0.1638},
    "Fe": {(1, 1, 0): 0.2027, (2, 0, 0): 0.1433, (2, 1, 1): 0.1170},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_spacings(name: str) -> None:
    known = {reflection.hkl: reflection for reflection in known_reflections(name)}
    for hkl, spacing in PUBLISHED[name].items():
        assert known[hkl].spacing_nm == pytest.approx(spacing, rel=0.002)


@pytest.mark.parametrize("name", MATERIALS)
def test_extinction_rules(name: str) -> None:
    for reflection in known_reflections(name, spacing_range_nm=(0.08, 0.7)):
        h, k, m = reflection.hkl
        match MATERIALS[name].structure:
            case "fcc" | "halite" | "zinc_blende":
                assert len({h % 2, k % 2, m % 2}) == 1
            case "diamond":
                assert len({h % 2, k % 2, m % 2}) == 1
                assert h % 2 or (h + k + m) % 4 == 0
            case "bcc":
                assert (h + k + m) % 2 == 0
            case "wurtzite":
                assert (h - k) % 3 or m % 2 == 0
            case other:
                pytest.fail(f"no rule for {other}")


def test_multiplicities() -> None:
    assert {r.hkl: r.multiplicity for r in known_reflections("Au")} == {
        (1, 1, 1): 8, (2, 0, 0): 6, (2, 2, 0): 12, (3, 1, 1): 24, (2, 2, 2): 8, (4, 0, 0): 6,
    }  # fmt: skip


def test_a_crystal_of_your_own() -> None:
    polonium = Material("Po", "simple cubic", 0.3359, None, ((84, 0.0, 0.0, 0.0),))
    assert [r.hkl for r in known_reflections(polonium, spacing_range_nm=(0.18, 0.42))] == [
        (1, 0, 0),
        (1, 1, 0),
        (1, 1, 1),
    ]
