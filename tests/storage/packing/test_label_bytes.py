from pathlib import Path

import numpy as np
import pytest

from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing.label_bytes import decode_labels, encode_labels


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
