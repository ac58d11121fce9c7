"""Stacking sequences of perfect and faulted crystals against Hirth & Lothe."""

import numpy as np
import pytest

from hrtem_dask.simulation.crystals import CRYSTALS
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
    # I1, I2 and E have 1, 2 and 3 layers with neighbors of different letters (Hirth & Lothe, chapter 11)
    positions = stacking(WURTZITE, 40, [Fault(kind, 15)])
    assert np.count_nonzero(positions[2:] != positions[:-2]) == n_cubic
    assert (np.diff(positions) % 3 != 0).all()
