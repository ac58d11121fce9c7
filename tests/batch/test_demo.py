"""The demonstration, twice into one folder, and with a file that fails."""

from pathlib import Path

import pytest

from hrtem_dask.batch import demo as demonstration


def test_a_smaller_one_into_the_same_folder_and_one_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    demonstration.demo(tmp_path, n_micrographs=2, scheduler="threads", say=lines.append)
    rows = [line for line in lines if line.startswith("au_")]
    assert [row.split()[0] for row in rows] == ["au_00.tif", "au_01.tif"]
    assert all(row.endswith("done") for row in rows)

    honest = demonstration.write_demo_micrographs

    def cut_off(folder: Path, n: int) -> object:
        truth = honest(folder, n)
        (folder / "au_00.tif").write_bytes((folder / "au_00.tif").read_bytes()[:1000])
        return truth

    monkeypatch.setattr(demonstration, "write_demo_micrographs", cut_off)
    lines.clear()
    demonstration.demo(tmp_path, n_micrographs=1, scheduler="threads", say=lines.append)
    (row,) = [line for line in lines if line.startswith("au_")]
    assert "failed: the TIFF file is cut off" in row
