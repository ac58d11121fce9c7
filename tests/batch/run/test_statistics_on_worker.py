"""The statistics of a run are the same, wherever they are computed."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from hrtem_dask import tables
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.run import statistics_on_worker as module
from hrtem_dask.batch.run.statistics_on_worker import statistics_on_worker
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.population import PopulationOptions
from hrtem_dask.population.reduction import NEEDED, SIZES
from hrtem_dask.population.whole_run import Begin, begin_here, describe_run, joined, reduced


def particles(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    size = rng.lognormal(1.5, 0.2, n)
    table = pd.DataFrame({"micrograph_id": [f"m{i % 6}" for i in range(n)], "particle_id": range(1, n + 1)})
    table = table.assign(sample="Au", counted=rng.random(n) < 0.9, equivalent_diameter_nm=size, feret_min_nm=size * 0.9)
    table = table.assign(area_nm2=np.pi / 4 * size**2, area_px=(np.pi / 4 * size**2 / 0.0009).round().astype(int))
    schema = tuple(column for column in tables.PARTICLES if column.name in NEEDED)
    return tables.conform(table, schema)[list(NEEDED)]


MICROGRAPHS = tables.conform(
    pd.DataFrame({"micrograph_id": [f"m{i}" for i in range(6)], "sample": "Au", "status": "done"}), tables.MICROGRAPHS
)


@pytest.fixture(scope="module")
def processes() -> Iterator[Client]:
    with connect(Cluster("local", workers=1, device="cpu")) as client:
        yield client


@pytest.fixture
def on_worker(processes: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[Begin]:
    """Computes on a worker; a test fails where they were computed here in the end."""
    monkeypatch.setattr(module, "RESULT_S", 120.0)
    caplog.set_level("DEBUG", logger=module.__name__)
    yield statistics_on_worker(processes)
    assert not [record.message for record in caplog.records if record.name == module.__name__]


def test_pieces_and_places_change_nothing(on_worker: Begin) -> None:
    table, options = particles(400), PopulationOptions(n_resamples=100, n_fit_simulations=20)
    expected = describe_run([table], MICROGRAPHS, options)
    assert expected.statistics["all"]["n_counted"] > 300
    assert expected.verdicts["n_analyzed"] == 6
    pieces = [reduced(table[:150]), table[150:]]
    assert begin_here(pieces, MICROGRAPHS, options)() == expected
    assert on_worker([table], MICROGRAPHS, options)() == expected


def test_sizes_are_joined_and_pixels_stay(on_worker: Begin) -> None:
    options = PopulationOptions(n_resamples=100, n_fit_simulations=0)
    in_pixels = particles(60).assign(equivalent_diameter_nm=np.nan, feret_min_nm=np.nan, area_nm2=np.nan)
    two_samples = particles(60).assign(sample=["Au", "Pt"] * 30)
    few = particles(60).assign(feret_min_nm=np.nan)
    for table in (in_pixels, two_samples, few, particles(0)):
        expected = describe_run([table], MICROGRAPHS, options)
        assert joined([describe_run([table], MICROGRAPHS, options, (size,)) for size in SIZES]) == expected
        assert on_worker([table], MICROGRAPHS, options)() == expected


class Lost:
    """A client whose workers have gone, at once or when the result is wanted."""

    def __init__(self, *, at_once: bool) -> None:
        self.at_once = at_once

    def scheduler_info(self, **_: Any) -> dict[str, Any]:
        return {"workers": {} if self.at_once else {"tcp://one": {"nanny": "tcp://nanny"}}}

    def submit(self, *_: Any, **__: Any) -> Any:
        class Never:
            def result(self, timeout: float) -> None:
                raise TimeoutError(f"{timeout:g} s")

        return Never()


@pytest.mark.parametrize("at_once", [False, True])
def test_statistics_come_without_workers(at_once: bool) -> None:
    table, options = particles(100), PopulationOptions(n_resamples=100, n_fit_simulations=0)
    expected = describe_run([table], MICROGRAPHS, options)
    begin = statistics_on_worker(Lost(at_once=at_once))  # type: ignore[arg-type]
    assert begin([table], MICROGRAPHS, options)() == expected


def test_many_particles_are_not_sent_around(processes: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_PARTICLES", 50)
    monkeypatch.setattr(processes, "submit", None)  # would raise an error
    table, options = particles(60), PopulationOptions(n_resamples=100, n_fit_simulations=0)
    found = statistics_on_worker(processes)([table], MICROGRAPHS, options)()
    assert found == describe_run([table], MICROGRAPHS, options)
