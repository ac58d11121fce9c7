"""Pixel sizes: every spelling of every unit, and the doubts."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask.loading.pixel_sizes import (
    Calibration,
    calibrate,
    calibration_flags,
    is_reciprocal,
    length_in_nm,
    unset_pixel,
)

SPELLINGS = {
    1e9: ["m", "meter", "meters", "metre", "metres", "METERS"],
    1e7: ["cm", "centimeter", "centimetre"],
    1e6: ["mm", "millimeters"],
    1e3: ["µm", "μm", "um", "micron", "microns", "Micron", "micrometer", "micrometre", "u_m", "[µ_m]", b"\xc2\xb5m"],
    1.0: ["nm", "n_m", "[n_m]", "nanometer", "nanometers", " nm ", "nm\0", "NM"],
    1e-3: ["pm", "p_m", "picometer"],
    0.1: ["Å", "Å", "A", "angstrom", "Angstrom", "ångström", "angstroms", "Ang"],
    2.54e7: ["inch", "inches", "in", '"'],
}
EVERY = [(spelling, nm) for nm, spellings in SPELLINGS.items() for spelling in spellings]


@pytest.mark.parametrize(("unit", "nm"), EVERY)
def test_every_spelling_of_a_length(unit: str, nm: float) -> None:
    assert length_in_nm(unit) == nm
    assert not is_reciprocal(unit)


@pytest.mark.parametrize("unit", ["", None, "px", "pixel", "pixels", "s", "eV", "[]", "units1", "MM", "counts"])
def test_what_is_no_length_is_none(unit: str | None) -> None:
    assert length_in_nm(unit) is None
    assert not is_reciprocal(unit)


@pytest.mark.parametrize(
    "unit",
    ["1/nm", "1 / nm", "nm^-1", "nm-1", "nm⁻¹", "Å⁻¹", "1/Å", "A^-1", "1/m", "1/µm", "nm**-1", "/nm", "1 / Tm", "mrad"],
)
def test_reciprocal_units_are_diffraction(unit: str) -> None:
    assert is_reciprocal(unit)
    assert length_in_nm(unit) is None
    assert calibrate((0.1, 0.1), (unit, unit), "file: x").reciprocal


@given(
    size_nm=st.floats(1e-4, 1e4),
    spellings=st.tuples(st.sampled_from(EVERY), st.sampled_from(EVERY)),
    sign=st.sampled_from([-1, 1]),
)
def test_any_length_is_the_same_in_any_unit(size_nm: float, spellings: tuple, sign: int) -> None:
    (unit_y, nm_y), (unit_x, nm_x) = spellings
    found = calibrate((sign * size_nm / nm_y, size_nm / nm_x), (unit_y, unit_x), "file: x", signed=True)
    assert found.pixel_size_nm == pytest.approx((size_nm, size_nm), rel=1e-12)
    assert found.source == "file: x"
    assert "non_square" not in calibration_flags(found.pixel_size_nm)


@pytest.mark.parametrize("scale", [0.0, math.nan, math.inf, None, "four"])
def test_an_impossible_scale_is_missing(scale: object) -> None:
    assert calibrate((scale, 1.0), ("nm", "nm"), "file: x").pixel_size_nm is None


def test_a_scale_without_unit_is_missing_never_one() -> None:
    found = calibrate((1.0, 1.0), ("", None), "file: x")
    assert found.pixel_size_nm is None
    assert found.source == "none"
    assert calibrate((1.0, 1.0), ("nm", ""), "file: x").pixel_size_nm is None


def test_flags() -> None:
    assert calibration_flags(None) == ("missing",)
    assert calibration_flags((0.02, 0.02)) == ()
    assert calibration_flags((0.02, 0.02001)) == ()
    assert calibration_flags((0.02, 0.021)) == ("non_square",)
    assert calibration_flags((168.7, 168.7)) == ("implausible",)
    assert calibration_flags((0.0005, 0.0005)) == ("implausible",)
    assert calibration_flags((168.7, 168.7), plausible_nm=(0.001, 1000)) == ()
    assert calibration_flags((0.02, 50.0)) == ("non_square", "implausible")


def test_what_programs_write_that_know_no_pixel_size_is_said() -> None:
    for size, source, said in (
        ((1.0, 1.0), "file: TIFF ImageJ", "1 nm"),
        ((0.1, 0.1), "file: MRC voxel size", "1 Å"),
        ((0.1, 0.1), "file: TIFF ImageJ", ""),
        ((1.0, 0.02), "file: TIFF ImageJ", ""),
        ((1.002, 1.002), "file: TIFF ImageJ", ""),
        (None, "none", ""),
    ):
        assert bool(said) == bool(found := unset_pixel(Calibration(size, source)))
        assert said in found
