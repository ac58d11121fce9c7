"""A series is the same whoever makes it, goes on where it was cut off, and is what a run analyses."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudpickle
import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster

from hrtem_dask import Cluster, open_results, run
from hrtem_dask.batch.simulate import simulate
from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings
from hrtem_dask.simulation import SimulationRanges
from hrtem_dask.simulation.contrast import ContrastRanges, simulate_contrast_micrograph
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.simulated import SimulatedStore, truth_ids

Make = Callable[..., Any]


def contents(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_two_workers_equal_one_bit_for_bit(tmp_path: Path, client: Client, make_toy: Make, toy_ranges: Any) -> None:
    with (
        LocalCluster(processes=False, n_workers=1, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as alone,
    ):
        simulate(tmp_path / "one", ranges=toy_ranges(), n=7, seed=3, cluster=alone, make=make_toy)
    summary = simulate(tmp_path / "two", ranges=toy_ranges(), n=7, seed=3, cluster=client, make=make_toy)
    assert (summary.n_made, summary.n_kept, summary.failures) == (7, 0, {})
    one, two = contents(tmp_path / "one"), contents(tmp_path / "two")
    assert one.keys() == two.keys()
    assert {name for name in one if one[name] != two[name]} == set()
    assert not list((tmp_path / "one" / "truth" / "parts").iterdir())
    other = simulate(tmp_path / "other", ranges=toy_ranges(), n=1, seed=4, cluster=client, make=make_toy).store
    assert not np.array_equal(other.image("sim-4-000000"), summary.store.image("sim-3-000000"))


def test_a_series_goes_on_and_another_is_refused(
    tmp_path: Path, client: Client, make_toy: Make, toy_ranges: Any
) -> None:
    whole, grown = tmp_path / "whole", tmp_path / "grown"
    simulate(whole, ranges=toy_ranges(), n=6, cluster=client, make=make_toy)
    simulate(grown, ranges=toy_ranges(), n=2, cluster=client, make=make_toy)

    def only_new(ranges: Any, seed: int, index: int) -> Any:
        if index < 2:
            raise AssertionError("made again")
        return make_toy(ranges, seed, index)

    summary = simulate(grown, ranges=toy_ranges(), n=6, cluster=client, make=only_new)
    assert (summary.n_made, summary.n_kept, summary.failures) == (4, 2, {})
    assert contents(grown) == contents(whole)
    # all of it is there: no cluster is needed, and fewer take nothing away
    fewer = simulate(grown, ranges=toy_ranges(), n=3, cluster="tcp://127.0.0.1:1", make=only_new)
    assert (fewer.n_made, fewer.n_kept, len(fewer.store.micrographs)) == (0, 3, 6)
    with pytest.raises(SettingsError, match="n_particles is 3 there, not 2"):
        simulate(grown, ranges=toy_ranges(n_particles=2), n=6, cluster=client, make=make_toy)
    with pytest.raises(SettingsError, match="seed 0, not 1"):
        simulate(grown, ranges=toy_ranges(), n=6, seed=1, cluster=client, make=make_toy)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "run.toml").touch()
    with pytest.raises(SettingsError, match="is the results folder of a run"):
        simulate(tmp_path / "results", ranges=toy_ranges(), n=6, cluster=client, make=make_toy)
    with pytest.raises(SettingsError, match="n=0"):
        simulate(grown, ranges=toy_ranges(), n=0, cluster=client, make=make_toy)


def test_one_that_fails_is_named_and_tried_again(
    tmp_path: Path, client: Client, make_toy: Make, toy_ranges: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(ranges: Any, seed: int, index: int) -> Any:
        if index == 1:
            raise ValueError("no place for a particle")
        return make_toy(ranges, seed, 0 if index == 3 else index)

    honest = zarr_store.write_labels

    def full_disk(place: Any, micrograph_id: str, *arguments: Any, **more: Any) -> None:
        if micrograph_id.endswith("4") and "region" in place.url:
            raise OSError(28, "No space left on device")
        honest(place, micrograph_id, *arguments, **more)

    out = tmp_path / "sim"
    with monkeypatch.context() as patch:
        patch.setattr(zarr_store, "write_labels", full_disk)
        summary = simulate(out, ranges=toy_ranges(), n=5, cluster=client, make=impossible)
    assert list(summary.failures) == ["sim-0-000001", "sim-0-000003", "sim-0-000004"]
    reasons = list(summary.failures.values())
    assert reasons[0] == "ValueError: no place for a particle"
    assert "need 'sim-0-000003'" in reasons[1]
    assert "No space left" in reasons[2]
    assert sorted(p.name for p in (out / "micrographs.zarr").glob("sim*")) == ["sim-0-000000", "sim-0-000002"]
    assert list(summary.store.micrographs["index"]) == [0, 2]
    again = simulate(out, ranges=toy_ranges(), n=5, cluster=client, make=make_toy)
    assert (again.n_made, again.n_kept, again.failures) == (3, 2, {})
    simulate(tmp_path / "straight", ranges=toy_ranges(), n=5, cluster=client, make=make_toy)
    assert contents(out) == contents(tmp_path / "straight")


def test_contrast_micrographs_resume_to_the_same_bytes(tmp_path: Path, client: Client) -> None:
    ranges = ContrastRanges(size_px=96, max_particles=10)
    whole = simulate(tmp_path / "whole", ranges=ranges, n=4, seed=9, cluster=client)
    assert (whole.n_made, whole.failures, whole.store.regime.name) == (4, {}, "contrast")
    simulate(tmp_path / "grown", ranges=ranges, n=1, seed=9, cluster="threads")
    grown = simulate(tmp_path / "grown", ranges=ranges, n=4, seed=9, cluster="threads")
    assert (grown.n_made, grown.n_kept) == (3, 1)
    assert contents(tmp_path / "grown") == contents(tmp_path / "whole")
    for index, name in enumerate(whole.store.micrographs["micrograph_id"]):
        made = simulate_contrast_micrograph(ranges, seed=9, index=index)
        assert name == made.micrograph_id == f"con-9-{index:06d}"
        np.testing.assert_array_equal(whole.store.image(name), made.intensity)
        np.testing.assert_array_equal(whole.store.labels(name), made.labels)
        np.testing.assert_array_equal(whole.store.annotation(name), made.annotation)
    with pytest.raises(SettingsError, match="regime contrast, not lattice"):
        simulate(tmp_path / "grown", n=5, seed=9, cluster=client)


@pytest.fixture
def store(tmp_path: Path, client: Client, make_toy: Make, toy_ranges: Any) -> SimulatedStore:
    return simulate(tmp_path / "sim", ranges=toy_ranges(), n=4, cluster=client, make=make_toy).store


@pytest.mark.parametrize("what", ["", "micrographs.zarr"])
def test_a_run_analyses_the_micrographs_and_nothing_else(
    what: str, store: SimulatedStore, tmp_path: Path, client: Client, settings: Settings
) -> None:
    run(Path(store.folder.url) / what, tmp_path / "results", settings=settings, cluster=client)
    rows = open_results(tmp_path / "results").micrographs
    analysed = rows[rows["status"].isin(["done", "empty"])]
    others = rows.drop(index=analysed.index)
    assert set(others["status"]) <= {"set_aside"}
    assert set(truth_ids(analysed, store)) == set(store.micrographs["micrograph_id"])
    assert truth_ids(others, store).isna().all()
    joined = analysed.assign(truth_id=truth_ids(rows, store)).merge(
        store.micrographs, left_on="truth_id", right_on="micrograph_id", suffixes=("", "_true"), validate="1:1"
    )
    assert len(joined) == 4
    assert np.allclose(joined["pixel_size_y_nm"].astype(float), joined["pixel_size_nm"].astype(float))
    assert set(analysed["voltage_kv"]) == {300.0}
    # the ids of both ways of naming the input are the same, so that a run on either resumes the other
    assert (analysed["micrograph_id"].str.startswith("sim-0-00000")).all()
    second = run(store.folder.path("micrographs.zarr"), tmp_path / "results", settings=settings, cluster=client)
    assert second.n_skipped == 4


@pytest.fixture
def two_processes(tmp_path: Path, make_toy: Make) -> Iterator[Client]:
    """Two worker processes, which die when they write the fourth micrograph."""
    preload = tmp_path / "murder.py"
    preload.write_text(
        "import os\n"
        "from hrtem_dask.storage import simulated\n"
        "honest = simulated.zarr_store.write_labels\n"
        "def write_labels(place, name, *arguments, **more):\n"
        "    if name.endswith('3'): os._exit(1)\n"
        "    return honest(place, name, *arguments, **more)\n"
        "def dask_setup(worker):\n"
        "    simulated.zarr_store.write_labels = write_labels\n"
    )
    tests = sys.modules[make_toy.__module__]  # the workers cannot import it
    cloudpickle.register_pickle_by_value(tests)
    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 1,
                "distributed.deploy.lost-worker-timeout": "1h",  # as `connect` sets it: restarts can be slow
                "distributed.worker.preload": [str(preload)],
            }
        ),
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client
    cloudpickle.unregister_pickle_by_value(tests)


@pytest.mark.slow
def test_one_that_kills_its_worker_fails_alone(
    tmp_path: Path, two_processes: Client, client: Client, make_toy: Make, toy_ranges: Any
) -> None:
    out = tmp_path / "sim"
    summary = simulate(out, ranges=toy_ranges(), n=6, cluster=two_processes, make=make_toy)
    assert list(summary.failures) == ["sim-0-000003"]
    assert "worker died" in summary.failures["sim-0-000003"]
    assert not (out / "micrographs.zarr" / "sim-0-000003").exists()
    simulate(out, ranges=toy_ranges(), n=6, cluster=client, make=make_toy)
    simulate(tmp_path / "threads", ranges=toy_ranges(), n=6, cluster=client, make=make_toy)
    assert contents(out) == contents(tmp_path / "threads")


@pytest.mark.slow
def test_real_micrographs_do_not_depend_on_processes(tmp_path: Path, client: Client) -> None:
    ranges = SimulationRanges(size_px=128)
    simulate(tmp_path / "processes", ranges=ranges, n=6, seed=5, cluster=Cluster(workers=2))
    summary = simulate(tmp_path / "threads", ranges=ranges, n=6, seed=5, cluster=client)
    assert (summary.n_made, summary.failures) == (6, {})
    assert len(summary.store.particles) > 3
    one, two = contents(tmp_path / "processes"), contents(tmp_path / "threads")
    assert one.keys() == two.keys()
    assert {name for name in one if one[name] != two[name]} == set()
