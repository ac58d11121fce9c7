"""The printed list of what would be read."""

from pathlib import Path

import fsspec
import numpy as np
import pytest

from hrtem_dask.batch.inspection import inspect_files, print_inspection


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def test_names_are_printed_as_they_are(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("gold[batch].npy", "[red]x.npy", "back\\.npy"):
        np.save(tmp_path / name, np.ones((3, 4)))
    print_inspection(inspect_files(tmp_path))
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("gold[batch].npy", "[red]x.npy", "back\\.npy"))
    assert str(tmp_path) not in printed
    assert "3 set_aside" in printed


def test_local_files_and_urls_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    fs = fsspec.filesystem("memory")
    fs.pipe("/inspected/b.npy", (tmp_path / "a.npy").read_bytes())
    print_inspection(inspect_files([tmp_path / "a.npy", "memory://inspected/b.npy"]))
    printed = capsys.readouterr().out
    assert f"{tmp_path}/a.npy" in printed
    assert "memory:///inspected/b.npy" in printed
    fs.rm("/inspected", recursive=True)


def test_rows_of_the_metadata_file_that_match_nothing_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    np.save(tmp_path / "a.npy", np.ones((3, 4)))
    (tmp_path / "s.csv").write_text("path,sample\na.npy,x\naa.npy,y\n")
    table = inspect_files(tmp_path / "a.npy", metadata=tmp_path / "s.csv")
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "metadata row 3: 'aa.npy' matches no file"
    ]
    assert list(table["sample"]) == ["x"]
