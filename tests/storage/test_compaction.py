"""``run.toml`` states what the rows state, and is enough to run again."""

import tomllib
from pathlib import Path

import pytest

from hrtem_dask.errors import ResultsFolderError
from hrtem_dask.provenance import code_version
from hrtem_dask.settings import Settings
from hrtem_dask.storage.compaction import read_run_file, write_run_file
from hrtem_dask.storage.location import Location


def test_the_run_file_states_the_code_of_the_rows_and_the_settings(tmp_path: Path) -> None:
    settings = Settings().updated({"segmentation": {"method": "otsu"}, "loading": {"pixel_size_nm": 0.02}})
    models = {"segmentation": None, "defects": "0123"}
    write_run_file(Location.of(tmp_path), settings, models=models, inputs=["my folder", "s3://bucket/a.tif"])
    content = tomllib.loads((tmp_path / "run.toml").read_text())
    assert content["code_version"] == code_version()
    assert content["settings_hash"] == settings.science_hash()
    assert content["models"] == {"defects": "0123"}
    assert content["inputs"] == ["my folder", "s3://bucket/a.tif"]
    assert "command" not in content
    assert Settings.from_file(tmp_path / "run.toml") == settings
    assert read_run_file(Location.of(tmp_path)) == content


def test_the_run_file_states_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/somewhere/bin/hrtem-dask", "run", "my folder", "--out", "r"])
    write_run_file(Location.of(tmp_path), Settings(), models={})
    assert read_run_file(Location.of(tmp_path))["command"] == "hrtem-dask run 'my folder' --out r"


@pytest.mark.parametrize(
    "damaged", [None, b"", b"\xff\x00", b"settings = 1", b"[settings", b"models = 1\n[settings]\n"]
)
def test_a_damaged_run_file_is_said_to_be(tmp_path: Path, damaged: bytes | None) -> None:
    if damaged is not None:
        (tmp_path / "run.toml").write_bytes(damaged)
    with pytest.raises(ResultsFolderError, match=r"run.toml is missing or damaged .*: run again"):
        read_run_file(Location.of(tmp_path))
