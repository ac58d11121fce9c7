"""The scale of a lattice against spacings that are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hrtem_dask.crystals import Material, known_reflections
from hrtem_dask.fourier import lattice_scale_ratio
from hrtem_dask.fourier.lattice_scale import lattice_pair_scale


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


def test_ambiguous_spacings_give_no_ratio() -> None:
    # (002) of CdSe alone lies between (100) and (101), 6 % away from both: one family does not determine the scale
    assert lattice_scale_ratio(measured("CdSe", [(0, 0, 2)], 30, 1.0), "CdSe").ratio is None
    three = measured("CdSe", [(1, 0, 0), (0, 0, 2), (1, 0, 1)], 30, 1.03)
    assert lattice_scale_ratio(three, "CdSe").ratio == pytest.approx(1.03, rel=0.003)


def test_a_material_of_your_own() -> None:
    polonium = Material("Po", "simple cubic", 0.3359, None, ((84, 0.0, 0.0, 0.0),))
    assert lattice_scale_ratio([0.3359 * 0.97, 0.2375 * 0.97, 0.3359 * 0.97], polonium).ratio == pytest.approx(
        0.97, rel=1e-3
    )


D111, D200 = 0.23546, 0.20391


@pytest.mark.parametrize("ratio", [0.5, 0.866, 0.9, 1.0, 1.134, 2.0])
@pytest.mark.parametrize("pair", [(D111, D111, 70.53), (D111, D200, 54.74)])
def test_angles_tell_the_scale_that_spacings_confuse(ratio: float, pair: tuple[float, float, float]) -> None:
    """{111} of gold at 0.866 of its spacing is {200} of gold, but two {200} are never 70.5° apart."""
    rng = np.random.default_rng(1)
    one, two = (ratio * d * (1 + 0.003 * rng.normal(size=12)) for d in pair[:2])
    scale = lattice_pair_scale(one, two, pair[2] + rng.normal(size=12), "Au")
    assert scale.ratio == pytest.approx(ratio, rel=0.004)


def test_pairs_that_fit_several_scales_or_none_give_no_scale() -> None:
    right_angles = lattice_pair_scale([D200] * 8, [D200] * 8, [90.0] * 8, "Au")  # also two {220} at another scale
    assert right_angles.ratio is None
    assert lattice_pair_scale([D111] * 8, [D111] * 8, [45.0] * 8, "Au").ratio is None
    assert lattice_pair_scale([D111, None], [D111, D111], [70.5, 70.5], "Au").ratio is None
