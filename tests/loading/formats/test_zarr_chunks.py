"""Missing chunks of Zarr arrays are missing pixels, in both versions, with shards, and below OME-Zarr."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading import find_sources, list_micrographs, read_image

IMAGE = np.random.default_rng(0).integers(0, 200, (64, 64)).astype(np.uint16)
LAYOUTS: list[tuple[int, dict[str, Any]]] = [
    (2, {"chunks": (16, 16)}),
    (3, {"chunks": (16, 16)}),
    (3, {"chunks": (8, 8), "shards": (16, 16)}),
]


def chunk_files(folder: Path) -> list[Path]:
    return sorted(f for f in folder.rglob("*") if f.is_file() and f.name not in ("zarr.json", ".zarray", ".zattrs"))


def read(folder: Path) -> np.ndarray:
    (source,) = find_sources(folder)
    (record,) = list_micrographs(source)
    return read_image(record)


@pytest.mark.parametrize(("version", "layout"), LAYOUTS)
@pytest.mark.parametrize("fill", [0, 7])
def test_a_deleted_chunk_is_missing(tmp_path: Path, version: int, layout: dict[str, Any], fill: int) -> None:
    folder = tmp_path / "a.zarr"
    array = zarr.create_array(folder, shape=(64, 64), dtype="uint16", zarr_format=version, fill_value=fill, **layout)
    array[...] = IMAGE
    np.testing.assert_array_equal(read(folder), IMAGE)
    assert read(folder).dtype == np.uint16
    chunk_files(folder)[0].unlink()
    image = read(folder)
    assert np.isnan(image[:16, :16]).all()
    known = ~np.isnan(image)
    assert known.sum() == 64 * 64 - 256
    np.testing.assert_array_equal(image[known], IMAGE[known])


def test_an_inner_chunk_that_a_shard_lacks(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    array = zarr.create_array(folder, shape=(64, 64), dtype="float32", chunks=(8, 8), shards=(32, 32), fill_value=0)
    array[...] = np.where(np.arange(64) < 8, 0, IMAGE + 1.0)
    image = read(folder)
    assert np.isnan(image[:, :8]).all()
    np.testing.assert_array_equal(image[:, 8:], IMAGE[:, 8:] + 1.0)


def test_no_chunk_at_all_cannot_be_read(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    zarr.create_array(folder, shape=(64, 64), dtype="uint16", chunks=(16, 16), fill_value=0)
    with pytest.raises(UnreadableMicrographError, match="none of the chunks"):
        read(folder)


def test_one_frame_of_an_ome_zarr_stack(tmp_path: Path) -> None:
    folder = tmp_path / "a.zarr"
    group = zarr.create_group(folder)
    axes = [{"name": "t", "type": "time"}] + [{"name": n, "type": "space", "unit": "nanometer"} for n in "yx"]
    scale = {"type": "scale", "scale": [1.0, 0.05, 0.05]}
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    array = group.create_array("0", shape=(2, 64, 64), dtype="uint16", chunks=(1, 32, 32), fill_value=0)
    array[...] = np.stack([IMAGE, IMAGE])
    (folder / "0" / "c" / "1" / "0" / "1").unlink()
    (source,) = find_sources(folder)
    first, second = (read_image(record) for record in list_micrographs(source))
    np.testing.assert_array_equal(first, IMAGE)
    assert np.isnan(second[:32, 32:]).all()
    assert np.isnan(second).sum() == 32 * 32
