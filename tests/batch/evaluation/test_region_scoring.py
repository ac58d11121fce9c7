"""Labelled regions of simulated stores, and a run's classes against them, by simulated particles of known faults."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from hrtem_dask.batch.evaluation.evaluate import evaluate
from hrtem_dask.batch.simulate import simulate
from hrtem_dask.batch.training.region_tables import region_table
from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings
from hrtem_dask.simulation import SimulationRanges
from hrtem_dask.simulation.contrast import ContrastRanges
from hrtem_dask.storage.simulated import open_simulated
from hrtem_dask.tables import REGION_CLASSES, REGION_FEATURES


@pytest.fixture(scope="module")
def clear_store(tmp_path_factory: pytest.TempPathFactory, client: Client) -> Path:
    """Clear CdSe particles on thin carbon, on zone or misoriented, half of the former faulted."""
    ranges = SimulationRanges(
        size_px=320, pixel_size_nm=(0.045, 0.045), materials={"CdSe": 1.0}, shapes={"sphere": 1.0}, empty_fraction=0,
        coverage=(0.2, 0.25), median_diameter_nm=(4.0, 4.5), diameter_spread=0.05, touching_fraction=0.0,
        misoriented_fraction=0.3, between_fraction=0.0, carbon_thickness_nm=(1.0, 2.0), defocus_nm=(40, 60),
        overfocus_fraction=0.0, dose_per_nm2=(4e5, 6e5), drift_nm=(0, 0), n_spikes=(0, 0), edge_fraction=0,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("store") / "sim"
    simulate(place, ranges=ranges, n=6, seed=5, cluster=client)
    return place


def test_a_region_table(clear_store: Path, client: Client) -> None:
    table = region_table([clear_store], client)
    store = open_simulated(clear_store)
    truth = table[table["source"] == "truth"]
    # on true masks every true particle that is not cut is a region of its class
    inside = store.particles[~store.particles["touches_edge"].astype(bool)]
    assert len(truth[~truth["touches_edge"].astype(bool)]) >= 0.8 * len(inside)
    assert set(truth["region_class"].dropna()) <= set(REGION_CLASSES)
    assert (table.loc[table["source"] == "patch", "region_class"] == "no_particle").all()
    names = [column.name for column in REGION_FEATURES]
    assert table[names].notna().mean().min() > 0.3
    assert table["groschner2021_fft_mean"].notna().all()
    again = region_table([clear_store], client)
    pd.testing.assert_frame_equal(table, again)  # whatever the order in which workers end


def test_one_bad_micrograph_does_not_end_it(
    clear_store: Path, client: Client, tmp_path: Path, messages: Callable[[], list[str]]
) -> None:
    import shutil

    shutil.copytree(clear_store, tmp_path / "sim")
    first = str(open_simulated(tmp_path / "sim").micrographs["micrograph_id"].iloc[0])
    shutil.rmtree(tmp_path / "sim" / "truth" / "labels.zarr" / first)
    table = region_table([tmp_path / "sim"], client)
    assert any(line.startswith(f"{first} is left out") for line in messages())
    assert table["micrograph_id"].nunique() == 5


def test_classes_of_a_run_are_scored(clear_store: Path, client: Client, tmp_path: Path) -> None:
    """The bundled models on clear particles: faults are told from none, and the scores add up from the rows."""
    evaluation = evaluate(
        clear_store, out=tmp_path / "out", methods=["unet"], segment_again=False, cluster=client, settings=Settings()
    )
    regions, scores = evaluation.regions, evaluation.classes.set_index(["subset", "score"])["value"]
    scored = regions[regions["region_class"].notna() & ~regions["touches_edge"].astype(bool)]
    predicted = scored[[f"probability_{name}" for name in REGION_CLASSES]].to_numpy(float).argmax(axis=1)
    right = np.array(REGION_CLASSES)[predicted] == scored["region_class"].to_numpy(str)
    assert scores["all", "accuracy"] == pytest.approx(right.mean())
    assert len(scored) >= 8
    assert scores["all", "accuracy"] > 0.6  # five classes, one of which alone would give less than half
    assert (tmp_path / "out" / "regions.csv").exists()
    # the same rows as the run's own table
    assert set(regions["said_class"]) <= {*REGION_CLASSES, "unsure"}


def test_a_contrast_store_has_no_classes_of_regions(tmp_path: Path, client: Client) -> None:
    simulate(tmp_path / "con", ranges=ContrastRanges(size_px=96, empty_fraction=1), n=1, cluster=client)
    with pytest.raises(SettingsError, match="no regions with classes: give stores of the regime lattice"):
        region_table([tmp_path / "con"], client)
