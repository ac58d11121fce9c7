"""Odd names, extensions and shapes: each file is read as what it is, and none ends the batch."""

from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile

import hrtem_dask
from hrtem_dask.loading import MicrographRecord, find_sources, list_micrographs, read_image

IMAGE = np.random.default_rng(0).integers(0, 60000, (48, 64)).astype(np.uint16)


def only(path: Path) -> MicrographRecord:
    (source,) = find_sources(path)
    (record,) = list_micrographs(source)
    return record


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_every_frame_of_an_ome_tiff_stack(tmp_path: Path, compression: str | None) -> None:
    stack = np.stack([IMAGE + k for k in range(5)])
    size = {"PhysicalSizeX": 0.05, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.05, "PhysicalSizeYUnit": "nm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "TYX", **size}, compression=compression)
    (source,) = find_sources(tmp_path)
    found = list_micrographs(source)
    assert [record.frame for record in found] == [0, 1, 2, 3, 4]
    for record, frame in zip(found, stack, strict=True):
        assert (record.status, record.pixel_size_nm) == ("ok", pytest.approx((0.05, 0.05)))
        np.testing.assert_array_equal(read_image(record), frame)


@pytest.mark.parametrize("name", ["a::b", "zip::a", "a%20b", "a#b", "file:a", "a?b", "[a]", "a*b", "~a", "{a}"])
def test_names_that_look_like_addresses(tmp_path: Path, name: str) -> None:
    for folder in (tmp_path, tmp_path / name):
        folder.mkdir(exist_ok=True)
        tifffile.imwrite(folder / f"{name}.tif", IMAGE)
    found = [record for source in find_sources(tmp_path) for record in list_micrographs(source)]
    assert len(found) == 2
    for record in [*found, only(tmp_path / name), only(tmp_path / name / f"{name}.tif")]:
        assert (record.status, record.source.name) == ("ok", f"{name}.tif")
        np.testing.assert_array_equal(read_image(record), IMAGE)


@pytest.mark.parametrize("extension", ["mrc", "map", "mrcs", "st", "rec", "ali", "MRC"])
def test_extensions_of_mrc_files(tmp_path: Path, extension: str) -> None:
    with mrcfile.new(tmp_path / "a.mrc", overwrite=True) as mrc:
        mrc.set_data(IMAGE)
        mrc.voxel_size = 0.5  # Å
    (tmp_path / "a.mrc").rename(tmp_path / f"a.{extension}")
    record = only(tmp_path)
    assert (record.status, record.reason) == ("ok", "")
    assert record.pixel_size_nm == pytest.approx((0.05, 0.05))
    np.testing.assert_array_equal(read_image(record), IMAGE)


@pytest.mark.parametrize("extension", ["tif", "TIF", "Tiff", "btf", "dm4", "mrc", "npy", "png", "dat", "h5"])
def test_extensions_of_tiff_files(tmp_path: Path, extension: str) -> None:
    tifffile.imwrite(tmp_path / f"a.{extension}", IMAGE, imagej=True, resolution=(20.0, 20.0), metadata={"unit": "nm"})
    record = only(tmp_path)
    assert record.status == "ok"
    assert record.pixel_size_nm == pytest.approx((0.05, 0.05))
    assert ("but it is a TIFF file" in record.reason) == (extension.lower() not in ("tif", "tiff", "btf"))
    np.testing.assert_array_equal(read_image(record), IMAGE)


def test_narrow_images_and_arrays_of_objects_beside_good_ones(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    y, x = np.mgrid[:256, :256]
    rng = np.random.default_rng(1)
    for k in range(2):
        disk = np.where((y - 128) ** 2 + (x - 128) ** 2 <= 30**2, 80.0, 200.0) + rng.normal(0, 8, (256, 256))
        np.save(folder / f"good_{k}.npy", disk.clip(0).astype(np.uint16))
    narrow = {(1, 600): "row", (600, 1): "column", (3, 5000): "strip"}
    for shape, name in narrow.items():
        np.save(folder / f"{name}.npy", rng.integers(0, 999, shape).astype(np.uint16))
    np.save(folder / "objects.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    summary = hrtem_dask.run(folder, tmp_path / "out", cluster="threads", method="otsu", pixel_size_nm=0.05)
    results = hrtem_dask.open_results(tmp_path / "out")
    rows = results.table("micrographs").assign(name=lambda t: t["micrograph_id"].str.slice(0, -11)).set_index("name")
    assert sorted(rows.index) == ["column", "good_0", "good_1", "objects", "row", "strip"]
    assert (rows.loc[["good_0", "good_1"], "status"] == "done").all()
    assert rows.loc["objects", "status"] == "failed"
    assert "Python objects" in rows.loc["objects", "reason"]
    for name in narrow.values():
        assert rows.loc[name, "status"] in ("done", "empty", "failed", "set_aside")
        assert rows.loc[name, "status"] in ("done", "empty") or rows.loc[name, "reason"]
    assert sum(summary.counts.values()) == 6
    particles = results.table("particles")
    sizes = particles.loc[particles["micrograph_id"].str.startswith("good"), "equivalent_diameter_nm"]
    assert sizes.to_numpy() == pytest.approx([3.0, 3.0], rel=0.05)
