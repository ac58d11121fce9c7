"""Files into one store: nothing of what is known is lost on the way, and nothing half written stays."""

from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster

from hrtem_dask import open_results, run
from hrtem_dask.batch.ingest import ingest
from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location

MakeTiff = Callable[..., Path]


def test_a_run_on_the_store_knows_sample_covariates_and_pixel_size(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "s.csv").write_text("path,sample,age_h,support\nb.tif,old,2.5,carbon\ngealtert*,new,,SiN\n")
    store = tmp_path / "store.zarr"
    written = ingest(folder, store, cluster=client, metadata=tmp_path / "s.csv")
    assert list(written["status"]) == ["ok"] * 3
    assert not [record for record in caplog.records if record.name.startswith("hrtem_dask")]
    run(store, tmp_path / "out", settings=settings, cluster=client)
    run(folder, tmp_path / "direct", settings=settings, cluster=client, metadata=tmp_path / "s.csv")
    columns = ["sample", "age_h", "support", "pixel_size_y_nm", "pixel_size_source", "n_particles"]
    from_store, direct = (open_results(tmp_path / name).micrographs for name in ("out", "direct"))
    as_rows = [sorted(map(str, t[columns].itertuples(index=False))) for t in (from_store, direct)]
    assert as_rows[0] == as_rows[1]
    assert set(from_store["support"].dropna()) == {"carbon", "SiN"}


def test_an_implausible_pixel_size_stays_and_is_judged_by_the_run(
    tmp_path: Path, client: Client, make_tiff: MakeTiff, settings: Settings
) -> None:
    image = np.zeros((40, 40), np.uint16)
    make_tiff(tmp_path / "in" / "wide.tif", image, 50.0)
    make_tiff(tmp_path / "in" / "without.tif", image, None)
    store = tmp_path / "store.zarr"
    table = ingest(tmp_path / "in", store, cluster=client).set_index("status")
    assert list(table.index) == ["ok", "ok"]
    sizes = {
        name[:4]: zarr_store.read_micrograph(Location.of(store), name).attrs["pixel_size_nm"]
        for name in table["micrograph_id"]
    }
    assert sizes["with"] is None
    assert sizes["wide"] == pytest.approx((50.0, 50.0))
    run(store, tmp_path / "out", settings=settings, cluster=client)
    rows = open_results(tmp_path / "out").micrographs
    assert list(rows["status"]) == ["set_aside", "set_aside"]
    assert any("implausible pixel size 50 nm" in reason for reason in rows["reason"])
    assert any("no pixel size" in reason for reason in rows["reason"])


def test_what_fails_while_it_is_written_is_not_in_the_store(
    folder: Path, tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = zarr_store._write_coordinates

    def full_disk(group: object, shape: tuple[int, ...], pixel_size_nm: object) -> None:
        if shape[0] == 260:
            raise OSError(28, "No space left on device")
        honest(group, shape, pixel_size_nm)

    monkeypatch.setattr(zarr_store, "_write_coordinates", full_disk)
    store = tmp_path / "store.zarr"
    table = ingest(folder, store, cluster=client)
    assert list(table["status"]) == ["ok", "ok", "failed"]
    assert "No space left" in table["reason"].iloc[2]
    root = zarr_store.open_store(Location.of(store))
    assert set(root) == {zarr_store.COLLECTION, *table["micrograph_id"][:2]}
    assert root[zarr_store.COLLECTION].attrs["ome"]["series"] == table["micrograph_id"][:2].tolist()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Client]:
    """One worker process with two threads, in which reading a file called killer.tif ends the process."""
    preload = tmp_path / "murder.py"
    preload.write_text(
        "import os\n"
        "import hrtem_dask.loading.signals as signals\n"
        "honest = signals.read_image\n"
        "def read_image(record, **more):\n"
        "    if record.source.name == 'killer.tif': os._exit(1)\n"
        "    return honest(record, **more)\n"
        "def dask_setup(worker):\n"
        "    signals.read_image = read_image\n"
    )
    with (
        dask.config.set(
            {
                "distributed.scheduler.allowed-failures": 1,
                "distributed.deploy.lost-worker-timeout": "1h",  # as `connect` sets it: restarts can be slow
                "distributed.worker.preload": [str(preload)],
            }
        ),
        LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


@pytest.mark.slow
def test_a_file_that_kills_its_worker_fails_alone(
    folder: Path, tmp_path: Path, processes: Client, make_tiff: MakeTiff
) -> None:
    image = np.zeros((40, 40), np.uint16)
    make_tiff(folder / "killer.tif", image)
    for n in range(6):
        make_tiff(folder / f"z{n}.tif", image)
    table = ingest(folder, tmp_path / "store.zarr", cluster=processes)
    assert [Path(source).name for source in table["source"][table["status"] != "ok"]] == ["killer.tif"]
    assert "worker died" in table["reason"][table["status"] == "failed"].iloc[0]
    written = set(zarr_store.open_store(Location.of(tmp_path / "store.zarr"))) - {zarr_store.COLLECTION}
    assert len(written) == 9


def test_a_file_is_no_store_and_no_cluster_starts_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hrtem_dask.batch.ingest.connect", None)
    (tmp_path / "a.csv").write_text("a")
    with pytest.raises(SettingsError, match="is a file: name a Zarr store"):
        ingest(tmp_path, tmp_path / "a.csv")
