"""From the command line: out for correction and back."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from click.testing import CliRunner

from hrtem_dask.cli import main

THREADS = ("--cluster", "threads")


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    return result.exit_code, result.output


@pytest.fixture
def results(tmp_path: Path) -> Path:
    path = tmp_path / "in" / "a.tif"
    path.parent.mkdir()
    image = np.full((100, 100), 1000, np.uint16)
    image[30:70, 30:70] = 100
    tifffile.imwrite(path, image, imagej=True, resolution=(20, 20), metadata={"unit": "nm"})
    code, output = call("run", path.parent, "-o", tmp_path / "out", "--method", "otsu", "-q", *THREADS)
    assert code == 0, output
    return tmp_path / "out"


def test_tables_alone_are_named_with_their_rows(results: Path, tmp_path: Path) -> None:
    code, output = call("export", results, "--format", "csv", "-o", tmp_path / "tables")
    assert code == 0, output
    assert "7 tables exported: micrographs (1 rows), regions (1 rows), particles (1 rows)" in output
    assert "micrographs exported" not in output


def test_out_and_back(results: Path, tmp_path: Path) -> None:
    code, output = call("export", results, "--format", "tiff", "--format", "csv", "-o", tmp_path / "ex", *THREADS)
    assert (code, "1 micrographs exported, 0 failed" in output) == (0, True), output
    manifest = json.loads((tmp_path / "ex" / "export.json").read_bytes())
    (one,) = manifest["micrographs"]
    assert one["files"]["tiff"] == f"labels/{one['micrograph_id']}.tif"
    assert one["settings_hash"] == pd.read_parquet(results / "micrographs.parquet")["settings_hash"][0]
    assert len(pd.read_csv(tmp_path / "ex" / "particles.csv")) == 1
    path = tmp_path / "ex" / one["files"]["tiff"]
    labels = tifffile.imread(path)
    labels[50:][labels[50:] > 0] = 2
    tifffile.imwrite(path, labels)
    code, output = call("correct", results, tmp_path / "ex", *THREADS)
    assert (code, "labels:  1 corrected" in output) == (0, True), output
    assert len(pd.read_parquet(results / "particles.parquet")) == 2
    tifffile.imwrite(path, labels.astype(np.float32))
    code, output = call("correct", results, tmp_path / "ex", *THREADS)
    assert code == 1
    assert "float32" in output
    code, output = call("correct", results, "--undo", "*", *THREADS)
    assert (code, "1 undone" in output) == (0, True), output
    assert len(pd.read_parquet(results / "particles.parquet")) == 1


def test_tables_alone_need_no_cluster(results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrtem_dask.batch.correction.export.connect", None)
    code, output = call("export", results, "--format", "xlsx", "-o", tmp_path / "ex")
    assert code == 0, output
    assert pd.read_excel(tmp_path / "ex" / "tables.xlsx", sheet_name="micrographs")["status"].tolist() == ["done"]


def test_missing_input_is_an_error(results: Path, tmp_path: Path) -> None:
    code, output = call("correct", results)
    assert (code, "give either CORRECTED or --undo" in output) == (2, True)
    code, output = call("correct", results, tmp_path / "nowhere")
    assert (code, "is not there" in output) == (1, True)
    (tmp_path / "empty").mkdir()
    code, output = call("correct", results, tmp_path / "empty")
    assert (code, "no labels in" in output) == (1, True)
