"""One way from a dataclass to TOML and back, with the type of each value checked."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask.errors import SettingsError
from hrtem_dask.provenance import bytes_hash
from hrtem_dask.settings import Settings
from hrtem_dask.simulation import SimulationRanges
from hrtem_dask.toml_records import check_types, parse_toml, read_record, record_to_dict, record_to_toml, update_record
from hrtem_dask.training.network.recipes import RECIPES


@dataclass(frozen=True, kw_only=True)
class Camera:
    gain: float = 1.5
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Microscope:
    camera: Camera = field(default_factory=Camera)
    voltage_kv: float = 300.0
    frames: int = 1
    mode: Literal["tem", "stem"] = "tem"
    corrected: bool = False
    defocus_nm: tuple[float, float] = (0.0, 80.0)
    binnings: tuple[int, ...] = (1, 2)
    weights: dict[str, float] = field(default_factory=lambda: {"Au": 0.5})


def read(text: str) -> Microscope:
    return update_record(Microscope(), parse_toml(text, "the microscope's settings"))


microscopes = st.builds(
    Microscope,
    camera=st.builds(Camera, gain=st.floats(-9, 9), name=st.none() | st.text("abc µ", max_size=4)),
    voltage_kv=st.floats(1, 300),
    frames=st.integers(0, 9),
    mode=st.sampled_from(["tem", "stem"]),
    corrected=st.booleans(),
    defocus_nm=st.tuples(st.floats(-9, 9), st.floats(-9, 9)),
    binnings=st.lists(st.integers(1, 8)).map(tuple),
    weights=st.dictionaries(st.text("abc", min_size=1), st.floats(0, 1)),
)


@given(microscopes)
def test_any_record_survives_toml(microscope: Microscope) -> None:
    assert read(record_to_toml(microscope)) == microscope
    check_types(microscope)


def test_values_come_before_tables_and_none_is_left_out() -> None:
    assert list(record_to_dict(Microscope()))[-1] == "camera"
    assert record_to_dict(Microscope())["camera"] == {"gain": 1.5}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("voltage = 1", r"unknown setting voltage: known are binnings, camera"),
        ("[camera]\ngian = 1", r"unknown setting camera\.gian: known are gain, name"),
        ("camera = 1", r"camera must be a table, got 1: write \[camera\]"),
        ("[camera]\nname = 3", r"camera\.name must be text, got 3"),
        ("voltage_kv = '300 kV'", "voltage_kv must be one number, got '300 kV'"),
        ("voltage_kv = true", "voltage_kv must be one number, got True"),
        ("frames = 1.5", "frames must be a whole number, got 1.5"),
        ("frames = true", "frames must be a whole number, got True"),
        ("corrected = 1", "corrected must be true or false, got 1"),
        ("mode = 'eels'", "mode must be one of tem, stem, got 'eels'"),
        ("defocus_nm = 4", r"defocus_nm must be a pair \(from, to\), got 4"),
        ("defocus_nm = [1, 2, 3]", r"defocus_nm must be a pair"),
        ("defocus_nm = [1, 'x']", "defocus_nm must be one number, got 'x'"),
        ("binnings = 2", "binnings must be a list, got 2"),
        ("binnings = [2.5]", "binnings must be a whole number, got 2.5"),
        ("weights = 1", r"weights must be a table, got 1"),
        ("[weights]\nAu = 'much'", r"weights\.Au must be one number, got 'much'"),
        ("frames =", "the microscope's settings are not valid TOML"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        read(text)


def test_whole_numbers_become_floats_unless_they_are_to_be_kept() -> None:
    values = {"voltage_kv": 200, "defocus_nm": [0, 40], "weights": {"Au": 1}, "camera": {"gain": 2}}
    changed = record_to_toml(update_record(Microscope(), values))
    assert "voltage_kv = 200.0" in changed
    assert "gain = 2.0" in changed
    assert "Au = 1.0" in changed
    assert update_record(Microscope(), values).defocus_nm.__repr__() == "(0.0, 40.0)"
    kept = record_to_toml(update_record(Microscope(), values, keep_whole=True))
    assert "voltage_kv = 200\n" in kept
    assert "gain = 2\n" in kept


def test_a_file_is_named_in_every_error(tmp_path: Path) -> None:
    path = tmp_path / "microscope.toml"
    with pytest.raises(SettingsError, match=r"cannot read the microscope from .*microscope\.toml"):
        read_record(path, read, "the microscope")
    path.write_text("frames = 'x'")
    with pytest.raises(SettingsError, match=r"microscope\.toml: frames must be"):
        read_record(path, read, "the microscope")
    path.write_text("frames = 3")
    assert read_record(path, read, "the microscope").frames == 3


def test_hashes_and_texts_are_those_of_earlier_versions() -> None:
    """A new hash would repeat every run, so these are written down: they change only with the settings themselves."""
    assert Settings().science_hash() == "a5570fcc0c148ab1"
    assert bytes_hash(Settings().to_toml().encode()) == "d1315e3a2c6f18ba"
    changed = Settings().updated(
        {
            "segmentation": {"method": "otsu", "annulus_per_px": [0.1, 0.2]},
            "quality": {"set_aside": ["blur", "duplicate"]},
            "loading": {"pixel_size_nm": 1},
        }
    )
    assert changed.science_hash() == "406819625aa5e1d4"
    assert bytes_hash(changed.to_toml().encode()) == "9697883593df6db2"
    assert SimulationRanges().hash() == "5742339cee8bf777"
    assert bytes_hash(SimulationRanges().to_toml().encode()) == "17efafe3ecd1cd01"
    assert {name: bytes_hash(recipe.to_toml().encode()) for name, recipe in RECIPES.items()} == {
        "default": "2ee22ca395436a08",
        "groschner2021": "71f496645882cfc3",
        "fine_tune": "68335a4afe6de0f9",
    }
