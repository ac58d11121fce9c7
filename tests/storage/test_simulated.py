"""A simulated store gives back exactly what went in, and only what is whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from hrtem_dask.errors import SettingsError
from hrtem_dask.simulation.contrast import (
    CONTRAST_MICROGRAPHS,
    CONTRAST_PARTICLES,
    ContrastRanges,
    simulate_contrast_micrograph,
)
from hrtem_dask.simulation.truth import TRUTH_PARTICLES, TRUTH_REGIONS
from hrtem_dask.storage import simulated, simulated_writing, zarr_store
from hrtem_dask.storage.ground_truth import open_truth
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.regimes import CONTRAST, LATTICE
from hrtem_dask.tables import conform

Make = Callable[..., Any]


@pytest.fixture
def place(tmp_path: Path) -> Location:
    where = Location.of(tmp_path / "sim")
    assert simulated_writing.create_simulated(where, ranges={"a": 1}, seed=4, code_version="1") is None
    return where


def test_everything_comes_back_exactly(place: Location, make_toy: Make, toy_ranges: Any) -> None:
    made = [make_toy(toy_ranges(), 4, index) for index in (1, 0, 2)]
    for one in made:
        simulated_writing.write_simulated(place, one)
    simulated_writing.gather_truth(place)
    store = simulated.open_simulated(place.url)
    assert list(store.micrographs["micrograph_id"]) == ["sim-4-000000", "sim-4-000001", "sim-4-000002"]
    by_index = sorted(made, key=lambda one: one.micrograph_id)
    for table in ("micrographs", "particles", "regions"):
        name = "micrograph" if table == "micrographs" else table
        truth = pd.concat([getattr(one, name) for one in by_index], ignore_index=True)
        pd.testing.assert_frame_equal(getattr(store, table), truth, check_exact=True)
    for one in made:
        np.testing.assert_array_equal(store.image(one.micrograph_id), one.image)
        np.testing.assert_array_equal(store.labels(one.micrograph_id), one.labels)
        np.testing.assert_array_equal(store.region_labels(one.micrograph_id), one.region_labels)
        assert store.image(one.micrograph_id).dtype == np.uint16
        assert store.labels(one.micrograph_id).dtype == np.int32
    with xr.open_zarr(place.path("micrographs.zarr", "sim-4-000000"), consolidated=False) as dataset:
        assert float(dataset.y[1]) == 0.05


def test_a_store_of_empty_fields_has_empty_tables(place: Location, make_toy: Make, toy_ranges: Any) -> None:
    simulated_writing.write_simulated(place, make_toy(toy_ranges(), 4, 2))
    simulated_writing.gather_truth(place)
    store = simulated.open_simulated(place.url)
    assert (len(store.micrographs), len(store.particles), len(store.regions)) == (1, 0, 0)
    assert list(store.particles) == [c.name for c in TRUTH_PARTICLES]
    assert store.regions["is_clear"].dtype == pd.BooleanDtype()
    assert list(store.regions) == [c.name for c in TRUTH_REGIONS]


def test_gathering_again_keeps_the_old_and_new_ones_win(place: Location, make_toy: Make, toy_ranges: Any) -> None:
    for index in (0, 3):
        simulated_writing.write_simulated(place, make_toy(toy_ranges(), 4, index))
    simulated_writing.gather_truth(place)
    simulated_writing.gather_truth(place)  # with nothing new
    for index, n in ((1, 3), (0, 1)):
        simulated_writing.write_simulated(place, make_toy(toy_ranges(n_particles=n), 4, index))
    assert simulated_writing.finished_ids(place) == {f"sim-4-00000{i}" for i in (0, 1, 3)}
    simulated_writing.gather_truth(place)
    store = simulated.open_simulated(place)
    assert list(store.micrographs["index"]) == [0, 1, 3]
    counts = store.particles.groupby("micrograph_id").size()
    assert counts["sim-4-000000"] == 1
    assert list(store.micrographs["n_particles"]) == list(counts)


def test_what_was_cut_off_is_not_there(
    place: Location, make_toy: Make, toy_ranges: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def power_cut(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(simulated.zarr_store, "write_labels", power_cut)
        with pytest.raises(KeyboardInterrupt):
            simulated_writing.write_simulated(place, make_toy(toy_ranges(), 4, 0))
    assert simulated_writing.finished_ids(place) == set()
    with pytest.raises(FileNotFoundError, match="cut off: run the same"):
        simulated.open_simulated(place.url)
    simulated_writing.remove_simulated(place, "sim-4-000000")
    simulated_writing.remove_simulated(place, "sim-4-000000")  # what is absent is no error
    assert not list(Path(place.path("micrographs.zarr")).glob("sim*"))


def test_another_series_is_refused_and_named(place: Location) -> None:
    with pytest.raises(SettingsError, match="seed 4, not 5"):
        simulated_writing.create_simulated(place, ranges={"a": 1}, seed=5, code_version="1")
    with pytest.raises(SettingsError, match=r"a is 1 there, not \[2, 3\].*differing: a, b"):
        simulated_writing.create_simulated(place, ranges={"a": (2, 3), "b": 1}, seed=4, code_version="1")
    assert simulated_writing.create_simulated(place, ranges={"a": 1}, seed=4, code_version="1") is None
    note = simulated_writing.create_simulated(place, ranges={"a": 1}, seed=4, code_version="2")
    assert note is not None
    assert "begun by code 1" in note


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no simulated store in .*name the folder"):
        simulated.open_simulated(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rows_of_two_stores_are_not_confused(place: Location, make_toy: Make, toy_ranges: Any) -> None:
    simulated_writing.write_simulated(place, make_toy(toy_ranges(), 4, 0))
    simulated_writing.gather_truth(place)
    store = simulated.open_simulated(place)
    rows = pd.DataFrame({"title": ["sim-4-000000", "other", None], "source": ["a", "b", "c"]})
    assert simulated.truth_ids(rows, store).tolist()[0] == "sim-4-000000"
    assert simulated.truth_ids(rows, store).isna().tolist() == [False, True, True]
    with pytest.raises(SettingsError, match=r"twice, from \['a', 'b'\]"):
        simulated.truth_ids(rows.assign(title=["sim-4-000000"] * 2 + [None]), store)


SMALL = ContrastRanges(size_px=96, empty_fraction=0, annotated_fraction=1, max_particles=10)


@pytest.fixture(scope="module")
def contrast_folder(tmp_path_factory: pytest.TempPathFactory) -> Location:
    folder = Location.of(tmp_path_factory.mktemp("con"))
    simulated_writing.create_simulated(folder, ranges={}, seed=2, code_version="1", regime=CONTRAST)
    for index in (1, 0):
        made = simulate_contrast_micrograph(SMALL, seed=2, index=index)
        simulated_writing.write_simulated(folder, made, CONTRAST)
    simulated_writing.gather_truth(folder, CONTRAST)
    return folder


def test_contrast_micrographs_come_back_exactly(contrast_folder: Location) -> None:
    store = simulated.open_simulated(contrast_folder)
    assert store.regime == CONTRAST
    made = [simulate_contrast_micrograph(SMALL, seed=2, index=index) for index in (0, 1)]
    for one in made:
        image, annotation = store.image(one.micrograph_id), store.annotation(one.micrograph_id)
        assert (image.dtype, annotation.dtype) == (np.uint16, np.bool_)
        np.testing.assert_array_equal(image, one.intensity)
        np.testing.assert_array_equal(store.labels(one.micrograph_id), one.labels)
        np.testing.assert_array_equal(annotation, one.annotation)
        assert annotation.any()
        size = zarr_store.read_micrograph(contrast_folder.inside("micrographs.zarr"), one.micrograph_id)
        assert float(size.y[1]) == one.pixel_size_nm
    for table, schema in (("micrograph", CONTRAST_MICROGRAPHS), ("particles", CONTRAST_PARTICLES)):
        truth = pd.concat([conform(getattr(one, table), schema) for one in made], ignore_index=True)
        found = store.micrographs if table == "micrograph" else store.particles
        # a table in memory may hold NaN, a stored one holds null
        pd.testing.assert_frame_equal(found.fillna(np.nan), truth.fillna(np.nan), check_exact=True)


def test_what_a_regime_does_not_have_is_refused(
    contrast_folder: Location, place: Location, make_toy: Make, toy_ranges: Any
) -> None:
    store = simulated.open_simulated(contrast_folder)
    with pytest.raises(SettingsError, match="regime contrast, which has no regions"):
        _ = store.regions
    with pytest.raises(SettingsError, match="regime contrast, which has no region labels"):
        store.region_labels("con-2-000000")
    simulated_writing.write_simulated(place, make_toy(toy_ranges(), 4, 0))
    simulated_writing.gather_truth(place)
    with pytest.raises(SettingsError, match="regime lattice, which has no annotation"):
        simulated.open_simulated(place).annotation("sim-4-000000")


def test_regimes_are_not_mixed(contrast_folder: Location, place: Location) -> None:
    arguments: dict[str, Any] = {"ranges": {}, "seed": 2, "code_version": "1"}
    assert simulated_writing.create_simulated(contrast_folder, regime=CONTRAST, **arguments) is None
    with pytest.raises(SettingsError, match="regime contrast, not lattice: give --regime contrast"):
        simulated_writing.create_simulated(contrast_folder, **arguments)
    with pytest.raises(SettingsError, match="regime lattice, not contrast"):
        simulated_writing.create_simulated(place, regime=CONTRAST, **arguments)


def test_a_store_that_names_no_regime_is_one_of_lattices(place: Location, make_toy: Make, toy_ranges: Any) -> None:
    made = make_toy(toy_ranges(), 4, 0)
    simulated_writing.write_simulated(place, made)
    simulated_writing.gather_truth(place)
    recipe = Path(place.path("simulation.toml"))
    text = recipe.read_text()
    assert 'regime = "lattice"\n' in text
    recipe.write_text(text.replace('regime = "lattice"\n', ""))
    store = simulated.open_simulated(place)
    assert store.regime == LATTICE
    np.testing.assert_array_equal(store.region_labels("sim-4-000000"), made.region_labels)
    assert len(store.regions) == 3
    assert list(open_truth(place.url).micrographs) == ["sim-4-000000"]
    assert simulated_writing.create_simulated(place, ranges={"a": 1}, seed=4, code_version="1") is None
    recipe.write_text(text.replace("lattice", "diffraction"))
    with pytest.raises(SettingsError, match=r"unknown regime 'diffraction'.*known are lattice, contrast"):
        simulated.open_simulated(place)
