from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from ome_zarr_models.v05 import Image

from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location


@pytest.fixture
def store(tmp_path: Path) -> Location:
    place = Location.of(tmp_path / "store.zarr")
    zarr_store.create_store(place)
    return place


def test_a_micrograph_comes_back_as_it_went(store: Location, rng: np.random.Generator) -> None:
    image = rng.integers(0, 60_000, (33, 70)).astype(np.uint16)
    zarr_store.write_micrograph(
        store, "au-1", image, pixel_size_nm=(0.02, 0.03), metadata={"voltage_kv": 300.0, "pixel_size_source": "file: X"}
    )
    back = zarr_store.read_micrograph(store, "au-1")
    np.testing.assert_array_equal(back, image)
    assert back.dtype == image.dtype
    assert back.attrs == {"voltage_kv": 300.0, "pixel_size_nm": (0.02, 0.03), "pixel_size_source": "file: X"}


def test_no_pixel_size_stays_none(store: Location) -> None:
    zarr_store.write_micrograph(store, "raw", np.zeros((4, 5), np.float32), pixel_size_nm=None)
    back = zarr_store.read_micrograph(store, "raw")
    assert back.attrs["pixel_size_nm"] is None
    assert back.y.attrs["units"] == "px"


def test_xarray_opens_it_lazily_with_nm(store: Location) -> None:
    zarr_store.write_micrograph(store, "au-1", np.ones((33, 70), np.uint16), pixel_size_nm=(0.02, 0.03))
    with xr.open_zarr(store.path("au-1"), consolidated=False) as dataset:
        assert dataset.intensity.chunks is not None
        assert dataset.intensity.dims == ("y", "x")
        assert dataset.x.attrs["units"] == "nm"
        assert float(dataset.x[1]) == pytest.approx(0.03)


def test_other_ome_zarr_tools_read_it(store: Location) -> None:
    import zarr

    zarr_store.write_micrograph(store, "au-1", np.ones((33, 70), np.uint16), pixel_size_nm=(0.02, 0.03))
    image = Image.from_zarr(zarr.open_group(store.path("au-1"), mode="r"))
    (dataset,) = image.ome_attributes.multiscales[0].datasets
    assert list(dataset.coordinateTransformations[0].scale) == [0.02, 0.03]
    assert [axis.unit for axis in image.ome_attributes.multiscales[0].axes] == ["nanometer", "nanometer"]


def test_large_labels_are_one_shard_of_small_chunks(store: Location) -> None:
    labels = np.zeros((2100, 300), np.int32)
    labels[2090:2098, 10:20] = 7
    zarr_store.write_labels(store, "m", labels, pixel_size_nm=(0.1, 0.1))
    files = [p for p in Path(store.path("m", "0", "c")).rglob("*") if p.is_file()]
    assert len(files) == 1
    np.testing.assert_array_equal(zarr_store.read_labels(store, "m"), labels)
    corner = zarr_store.read_labels(store, "m", (slice(2085, 2100), slice(0, 30)))
    np.testing.assert_array_equal(corner, labels[2085:2100, :30])


def test_writing_again_replaces(store: Location) -> None:
    zarr_store.write_labels(store, "m", np.ones((50, 50), np.int32), pixel_size_nm=None)
    zarr_store.write_labels(store, "m", np.full((20, 30), 2, np.int32), pixel_size_nm=None)
    assert zarr_store.read_labels(store, "m").shape == (20, 30)
