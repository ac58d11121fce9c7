from pathlib import Path

import numpy as np
import pytest

from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing.label_bytes import decode_labels, encode_labels, write_label_files


@pytest.mark.parametrize("size_nm", [(0.1, 0.2), None], ids=["nm", "px"])
@pytest.mark.parametrize("shape", [(64, 64), (300, 777), (2048, 33), (2100, 300), (1, 1)])
def test_the_bytes_are_those_that_zarr_writes(
    shape: tuple[int, int], size_nm: tuple[float, float] | None, tmp_path: Path, rng: np.random.Generator
) -> None:
    labels = rng.integers(0, 3, shape).astype(np.int32)
    store = Location.of(tmp_path / "store.zarr")
    zarr_store.create_store(store)
    zarr_store.write_labels(store, "m", labels, pixel_size_nm=size_nm)
    files = encode_labels("m", labels, pixel_size_nm=size_nm)
    written = [path for path in Path(store.path("m")).rglob("*") if path.is_file()]
    assert {str(path.relative_to(store.path("m"))): path.read_bytes() for path in written} == files
    assert zarr_store.files_hash(files) == zarr_store.content_hash(store, "m")
    np.testing.assert_array_equal(decode_labels(files), labels)


def test_files_that_are_made_already_replace_what_is_there(tmp_path: Path, rng: np.random.Generator) -> None:
    store = Location.of(tmp_path / "store.zarr")
    zarr_store.create_store(store)
    zarr_store.write_labels(store, "m", rng.integers(0, 3, (2100, 300)).astype(np.int32), pixel_size_nm=None)
    (Path(store.path("m")) / "left_over").write_text("of an earlier attempt")
    labels = rng.integers(0, 3, (40, 50)).astype(np.int32)
    files = encode_labels("m", labels, pixel_size_nm=(0.1, 0.1))
    write_label_files(store, "m", files)
    assert zarr_store.content_hash(store, "m") == zarr_store.files_hash(files)
    np.testing.assert_array_equal(zarr_store.read_labels(store, "m"), labels)


def test_files_are_written_into_an_object_store() -> None:
    store = Location.of("memory://written/store.zarr")
    zarr_store.create_store(store)
    store.write_bytes("m/0/c/0/1", b"of an earlier attempt")
    labels = np.arange(12, dtype=np.int32).reshape(3, 4)
    files = encode_labels("m", labels, pixel_size_nm=None)
    write_label_files(store, "m", files)
    np.testing.assert_array_equal(zarr_store.read_labels(store, "m"), labels)
    assert zarr_store.content_hash(store, "m") == zarr_store.files_hash(files)
