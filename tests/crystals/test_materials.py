"""Known crystals against published spacings and the textbook's extinction rules; the calibration check."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask.crystals import MATERIALS, Material, find_material, known_reflections
from hrtem_dask.fourier import lattice_scale_ratio

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


def test_unknown_material() -> None:
    with pytest.raises(ValueError, match="known are Au"):
        find_material("unobtainium")


def measured(name: str, families: list[tuple[int, int, int]], n: int, ratio: float, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    known = {r.hkl: r.spacing_nm for r in known_reflections(name)}
    return ratio * rng.choice([known[f] for f in families], n) * (1 + 0.003 * rng.normal(size=n))


@given(ratio=st.floats(0.94, 1.06), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_scale_is_found(ratio: float, seed: int) -> None:
    scale = lattice_scale_ratio(measured("Au", [(1, 1, 1), (2, 0, 0)], 30, ratio, seed), "Au")
    assert scale.ratio == pytest.approx(ratio, rel=0.003)
    assert scale.n >= 29
    assert scale.spread < 0.008


def test_five_per_cent_is_flagged_and_right_is_not() -> None:
    from hrtem_dask.settings import FourierSettings

    tolerance = FourierSettings().calibration_tolerance
    families = [(1, 1, 1), (2, 0, 0)]
    right, wrong = (lattice_scale_ratio(measured("Au", families, 20, r), "Au").ratio for r in (1.0, 1.05))
    assert abs(right - 1) < tolerance < abs(wrong - 1)


def test_outliers_do_not_move_it() -> None:
    spacings = np.concatenate([measured("Au", [(1, 1, 1)], 30, 1.02), np.random.default_rng(1).uniform(0.1, 0.42, 12)])
    assert lattice_scale_ratio(spacings, "Au").ratio == pytest.approx(1.02, rel=0.003)


@pytest.mark.parametrize(
    "spacings",
    [
        [],
        [0.2355, 0.2355],
        [0.2355, None, float("nan"), 0.2355],
        np.random.default_rng(0).uniform(0.1, 0.42, 40),  # any crystal, no crystal
        [0.3, 0.3, 0.3, 0.3],  # far from every spacing of gold
    ],
)
def test_nothing_is_forced(spacings: list[float]) -> None:
    assert lattice_scale_ratio(spacings, "Au").ratio is None


def test_ambiguous_is_said_to_be() -> None:
    # (002) of CdSe alone lies between (100) and (101), 6 % either way: one family does not tell
    assert lattice_scale_ratio(measured("CdSe", [(0, 0, 2)], 30, 1.0), "CdSe").ratio is None
    three = measured("CdSe", [(1, 0, 0), (0, 0, 2), (1, 0, 1)], 30, 1.03)
    assert lattice_scale_ratio(three, "CdSe").ratio == pytest.approx(1.03, rel=0.003)


def test_a_crystal_of_your_own() -> None:
    polonium = Material("Po", "simple cubic", 0.3359, None, ((84, 0.0, 0.0, 0.0),))
    assert [r.hkl for r in known_reflections(polonium, spacing_range_nm=(0.18, 0.42))] == [
        (1, 0, 0),
        (1, 1, 0),
        (1, 1, 1),
    ]
    assert lattice_scale_ratio([0.3359 * 0.97, 0.2375 * 0.97, 0.3359 * 0.97], polonium).ratio == pytest.approx(
        0.97, rel=1e-3
    )
