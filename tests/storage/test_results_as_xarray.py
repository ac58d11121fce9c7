"""Results as xarray: values, units and coordinates are those of the tables and the labels."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from hrtem_dask import open_results, tables
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import write_table
from hrtem_dask.storage.results import Results
from hrtem_dask.tables.datasets import to_dataset

LABELS = np.array([[0, 1, 1], [2, 0, 1]], np.int32)


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folder = Location.of(tmp_path)
    micrographs = pd.DataFrame(
        {"micrograph_id": ["a", "b", "c"], "status": ["done", "done", "failed"], "voltage_kv": [300.0, None, None],
         "pixel_size_y_nm": [0.5, None, None], "pixel_size_x_nm": [0.25, None, None], "dose": [1, 2, 3]}
    )  # fmt: skip
    particles = pd.DataFrame(
        {"micrograph_id": ["a", "a"], "particle_id": [1, 2], "counted": [True, False],
         "exclusion_reason": [None, "edge"], "area_nm2": [0.375, None]}
    )  # fmt: skip
    for name, schema in tables.SCHEMAS.items():
        table = {"micrographs": micrographs, "particles": particles}.get(name, tables.empty(schema))
        write_table(folder, f"{name}.parquet", table, schema)
    store = folder.inside("labels.zarr")
    zarr_store.create_store(store)
    for name, size in (("a", (0.5, 0.25)), ("b", None)):
        zarr_store.write_labels(store, name, LABELS, pixel_size_nm=size)
    return open_results(tmp_path)


def test_tables_have_units_and_nulls(results: Results) -> None:
    tree = results.to_xarray()
    assert set(tables.SCHEMAS) | {"labels"} == set(tree.children)
    particles = tree["particles"]
    assert particles.area_nm2.units == "nm²"
    assert particles.area_nm2.values.tolist()[0] == 0.375
    assert np.isnan(particles.area_nm2.values[1])
    assert particles.counted.dtype == bool
    assert particles.particle_id.dtype == np.int64
    assert particles.exclusion_reason.values.tolist() == ["", "edge"]
    assert tree["micrographs"].dose.values.tolist() == [1, 2, 3]
    assert particles.sizes == {"particle": 2}


def test_labels_have_coordinates_and_are_not_read_before_they_are_used(
    results: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = []
    get = zarr.Array.__getitem__
    monkeypatch.setattr(zarr.Array, "__getitem__", lambda self, key: read.append(self.name) or get(self, key))
    labels = results.to_xarray()["labels"]
    assert set(labels.children) == {"a", "b"}
    assert read == []
    xr.testing.assert_equal(
        labels["a"].labels.x, xr.DataArray([0.0, 0.25, 0.5], dims="x", coords={"x": [0, 0.25, 0.5]})
    )
    assert (labels["a"].labels.y.units, labels["b"].labels.y.units) == ("nm", "px")
    np.testing.assert_array_equal(labels["a"].labels.values, LABELS)
    assert labels["a"].labels.sel(y=0.5, x=0.5).item() == 1


def test_the_tree_can_be_written_and_read_back(results: Results, tmp_path: Path) -> None:
    tree = results.to_xarray(["a"])
    tree["particles"].to_dataset().to_zarr(tmp_path / "particles.zarr", zarr_format=2, consolidated=False)
    back = xr.open_zarr(tmp_path / "particles.zarr", consolidated=False)
    assert back.area_nm2.units == "nm²"
    assert set(tree["labels"].children) == {"a"}


def test_a_micrograph_without_labels_is_named(results: Results) -> None:
    with pytest.raises(KeyError, match="no labels of micrograph 'c': known are 'a', 'b'"):
        results.to_xarray(["c"])
    with pytest.raises(KeyError, match="no labels of micrograph 'zz'"):
        results.labels("zz")


def test_truth_values_with_nulls_are_numbers() -> None:
    table = tables.conform(pd.DataFrame({"micrograph_id": ["a", "b"], "corrected": [True, None]}), tables.MICROGRAPHS)
    assert to_dataset(table, tables.MICROGRAPHS, "micrograph").corrected.values.tolist()[0] == 1.0
