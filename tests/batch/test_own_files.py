"""Results and exports that lie among the micrographs."""

from pathlib import Path

import pytest
from distributed import Client

import hrtem_dask as hd
from hrtem_dask.batch.inspection import inspect_files
from hrtem_dask.settings import Settings


def test_results_and_exports_among_the_micrographs_are_not_counted(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    first = hd.run(folder, folder / "results", settings=settings, cluster=client)
    hd.export(folder / "results", folder / "to correct", formats=["tiff", "labels", "coco"], cluster=client)
    hd.export(folder / "results", folder / "for napari", formats=["zarr"], cluster=client)
    caplog.set_level("INFO")
    again = hd.run(folder, tmp_path / "out", settings=settings, cluster=client)
    assert (again.counts["done"], again.n_particles) == (first.counts["done"], first.n_particles) == (3, 11)
    assert any("are results of this package and get no row" in line for line in caplog.messages)
    rows = hd.open_results(tmp_path / "out").micrographs
    assert not rows["source"].str.contains("/results/").any()
    assert len(rows) == 3 + 3 * 4 + 3
    aside = rows[rows["status"] == "set_aside"]
    assert aside["reason"].str.contains("hrtem-dask export").all()
    listed = inspect_files(folder, settings=settings)
    assert list(listed["status"] == "set_aside") == list(rows["status"] == "set_aside")


def test_an_export_alone_is_analyzed_without_its_labels(
    folder: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    hd.run(folder, tmp_path / "out", settings=settings, cluster=client)
    hd.export(tmp_path / "out", tmp_path / "exported", formats=["tiff"], cluster=client)
    alone = hd.run(tmp_path / "exported", tmp_path / "again", settings=settings, cluster=client)
    assert (alone.counts["done"], alone.counts["set_aside"], alone.n_particles) == (3, 3, 11)
    (tmp_path / "moved").mkdir()
    for path in (tmp_path / "exported" / "labels").glob("*.tif"):
        path.rename(tmp_path / "moved" / path.name)
    moved = inspect_files(tmp_path / "moved", settings=settings)
    assert set(moved["status"]) == {"set_aside"}
    assert moved["reason"].str.contains("labels of particles").all()


def test_a_json_file_of_that_name_from_elsewhere_changes_nothing(
    folder: Path, settings: Settings, tmp_path: Path
) -> None:
    for content in ("[1, 2", "[]", '{"results": 1, "formats": [], "micrographs": [3, {"files": 4}]}'):
        (folder / "export.json").write_text(content)
        (folder / "run.toml").write_text("x = 1")  # a recipe of something else
        assert list(inspect_files(folder, settings=settings)["status"]) == ["ok"] * 3
