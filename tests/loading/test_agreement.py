"""Pixel sizes of several entries: which is used, and when they contradict each other."""

import pytest

from hrtem_dask.loading.agreement import combine, contradiction
from hrtem_dask.loading.pixel_sizes import Calibration


def stated(nm: float, source: str = "file: a") -> Calibration:
    return Calibration((nm, nm), source)


@pytest.mark.parametrize(
    ("second", "contradicts"), [(0.1, False), (0.104, False), (0.106, True), (0.2, True), (1e-4, True)]
)
def test_more_than_five_per_cent_contradict(second: float, contradicts: bool) -> None:
    found = combine([Calibration(), stated(0.1), stated(second, "file: b")])
    assert found.pixel_size_nm == (0.1, 0.1)
    assert bool(contradiction(found)) == contradicts
    if contradicts:
        assert f"{second:.4g} nm (file: b)" in contradiction(found)


def test_a_default_of_one_is_no_contradiction() -> None:
    found = combine([stated(1000.0, "file: default of 1 µm"), stated(0.1)])
    assert found.pixel_size_nm == (0.1, 0.1)
    assert not contradiction(found)
    assert combine([stated(1.0)]).pixel_size_nm == (1.0, 1.0)


def test_height_and_width_in_different_units() -> None:
    assert not contradiction(Calibration((0.2, 0.5), "file: a"))
    assert "height and width" in contradiction(Calibration((0.05, 50.0), "file: a"))


def test_a_reciprocal_entry_decides() -> None:
    assert combine([stated(0.1), Calibration(reciprocal=True)]) == Calibration(reciprocal=True)
    assert combine([Calibration(note="x"), Calibration(note="x")]).note == "x"
