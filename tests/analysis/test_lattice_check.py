"""The check of the pixel size of a micrograph, and of errors that move the lattice out of the range."""

import numpy as np
import pandas as pd
import pytest

from hrtem_dask import fourier, tables
from hrtem_dask.analysis.lattice_check import check_lattice
from hrtem_dask.particles import particle_crops
from hrtem_dask.settings import Settings

GOLD = Settings().updated({"fourier": {"material": "Au"}})
TRUE_NM = 0.04


def field(kind: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Twelve boxes of gold of 4 nm: two {111} that make 70.5°, or one row of them, or noise."""
    rng = np.random.default_rng(4)
    image = rng.normal(0, 0.3, (360, 480))
    rows = []
    for i in range(12):
        y0, x0 = 10 + 120 * (i // 4), 10 + 120 * (i % 4)
        y, x = TRUE_NM * np.mgrid[:100, :100]
        turn = rng.uniform(0, np.pi)
        for angle in {"two": (0.0, np.radians(70.53)), "one": (0.0,), "none": ()}[kind]:
            along = x * np.cos(turn + angle) + y * np.sin(turn + angle)
            image[y0 : y0 + 100, x0 : x0 + 100] += np.cos(2 * np.pi * along / 0.23546)
        box = dict(zip(tables.BOX_COLUMNS, (y0, x0, y0 + 100, x0 + 100), strict=True))
        rows.append({"particle_id": i + 1, "counted": True, "area_px": 10_000, **box})
    return image, tables.conform(pd.DataFrame(rows), tables.PARTICLES)


def checked(kind: str, factor: float) -> dict[str, object]:
    """The row of a micrograph whose stated pixel size is wrong by a factor."""
    image, table = field(kind)
    size = (factor * TRUE_NM, factor * TRUE_NM)
    measured = [fourier.measure_lattice(crop, pixel_size_nm=size) for _, crop in particle_crops(image, table)]
    names = ["spacing_1_nm", "spacing_2_nm", "angle_12_deg"]
    table = table.assign(**pd.DataFrame(measured)[names])
    return check_lattice(tables.conform(table, tables.PARTICLES), GOLD, None, image=image, pixel_size_nm=size)


@pytest.mark.parametrize("factor", [0.1, 0.55, 0.866, 0.95, 1.0, 1.134, 1.5, 10.0])
def test_factors_are_found(factor: float) -> None:
    row = checked("two", factor)
    assert row["lattice_scale_ratio"] == pytest.approx(factor, rel=0.01)
    assert row["calibration_flags"] == (None if factor == 1 else "off_lattice")


@pytest.mark.parametrize("factor", [0.866, 1.0])
def test_one_family_confirms_nothing(factor: float) -> None:
    row = checked("one", factor)
    assert row["lattice_scale_ratio"] is None
    assert row["calibration_flags"] == "lattice_not_confirmed"


@pytest.mark.parametrize("factor", [0.1, 1.0, 10.0])
def test_noise_has_no_scale(factor: float) -> None:
    assert checked("none", factor)["lattice_scale_ratio"] is None


def test_a_scale_is_said_in_words() -> None:
    rows = pd.DataFrame({"micrograph_id": "a", "spacing_1_nm": [0.2039] * 8, "spacing_2_nm": [0.2039] * 8})
    micrographs = tables.conform(
        pd.DataFrame(
            {
                "micrograph_id": ["a", "b", "c"],
                "instrument": ["T", "T", "U"],
                "magnification": [4e5, 4e5, 4e5],
                "pixel_size_y_nm": [0.04, 0.04, 0.04],
            }
        ),
        tables.MICROGRAPHS,
    )
    table = pd.concat([rows.assign(angle_12_deg=70.5), rows.iloc[:2].assign(micrograph_id="c", angle_12_deg=None)])
    first, second = fourier.setting_scales(table, micrographs, "Au", tolerance=0.02)
    assert (first["instrument"], first["verdict"], first["n_pairs"]) == ("T", "off", 8)
    assert first["ratio"] == pytest.approx(0.866, abs=0.002)
    assert "0.866 times" in first["words"]
    assert (second["instrument"], second["verdict"], second["ratio"]) == ("U", "no lattice", None)
    one = fourier.judge_scale(rows.assign(spacing_2_nm=None, angle_12_deg=None), "Au", tolerance=0.02)
    assert one["verdict"] == "not confirmed"
    assert one["words"].startswith("one family only: not confirmed")
    none = fourier.judge_scale(
        rows.assign(angle_12_deg=45.0, spacing_1_nm=np.geomspace(0.11, 0.4, 8)), "Au", tolerance=0.02
    )
    assert none["ratio"] is None
