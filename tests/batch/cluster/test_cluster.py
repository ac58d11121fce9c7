"""Connecting: to a given client, to this machine, and what is refused."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from hrtem_dask import Cluster
from hrtem_dask.batch.cluster import closing
from hrtem_dask.batch.cluster.cluster import choose_cluster, connect
from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings


def test_a_given_client_is_used_and_left_open(client: Client) -> None:
    with connect(client) as connected:
        assert connected is client
    assert client.status == "running"


def test_threads_are_started_and_stopped() -> None:
    with connect(Cluster(scheduler="threads", workers=3)) as started:
        (worker,) = started.scheduler_info()["workers"].values()
        assert worker["nthreads"] == 3
    assert started.status == "closed"
    with connect("threads") as started:
        assert started.submit(abs, -1).result() == 1


def test_an_address_is_connected_to_and_its_workers_are_left_alone(client: Client) -> None:
    with pytest.raises(SettingsError, match="has its own workers"), connect(Cluster("tcp://127.0.0.1:1", workers=2)):
        pass
    with connect(client.scheduler.address) as connected:
        assert connected is not client
        assert connected.submit(abs, -2).result() == 2
    assert client.submit(abs, -3).result() == 3


def test_a_cluster_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Cluster().workers = 2  # type: ignore[misc]


@pytest.mark.parametrize(
    "error",
    # each case waits for a scheduler that does not hear from its workers any more
    [
        TimeoutError(),
        *(pytest.param(e, marks=pytest.mark.slow) for e in (OSError(), RuntimeError("x"), AssertionError())),
    ],
)
def test_a_cluster_that_does_not_close_is_no_error(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(closing, "CLOSE_S", 2.0)  # the workers of this cluster cannot be reached any more
    with connect("threads") as started:
        local = started.cluster

        def close(**_: object) -> None:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(local, "close", close)
            closing.close_quietly(started, local)
            assert local.scheduler.status.name == "closed"
            assert not local.shutdown_on_close
        assert started.status == "closed"
    assert "Traceback" not in "".join(capfd.readouterr())


def test_the_settings_say_what_the_caller_leaves_open() -> None:
    text = """
[cluster]
scheduler = "slurm"
workers = 8
[cluster.options]
queue = "normal"
cores = 4
job_extra_directives = ["--exclusive", "--constraint=avx512"]
"""
    of_settings = Settings.from_toml(text).cluster
    assert choose_cluster(None, of_settings) == of_settings
    assert choose_cluster(Cluster(workers=2), of_settings) == dataclasses.replace(of_settings, workers=2)
    more = choose_cluster(Cluster("slurm", options={"queue": "urgent"}), of_settings)
    assert more == dataclasses.replace(of_settings, options={**of_settings.options, "queue": "urgent"})
    assert choose_cluster("local", of_settings) == Cluster("local"), "options of SLURM are not those of this machine"
    assert Settings.from_toml(Settings.from_toml(text).to_toml()).cluster == of_settings
    assert Settings.from_toml(text).science_hash() == Settings().science_hash()


def test_a_toml_file_is_a_cluster_too(tmp_path: Path) -> None:
    site = tmp_path / "site.toml"
    site.write_text('[cluster]\nscheduler = "threads"\nworkers = 3\n')
    with connect(str(site)) as started:
        (worker,) = started.scheduler_info()["workers"].values()
        assert worker["nthreads"] == 3
    assert choose_cluster(Cluster(str(site), workers=5)) == Cluster("threads", workers=5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"workers": 0}, r"cluster\.workers must be above 0, got 0"),
        ({"worker_timeout_s": -1.0}, r"cluster\.worker_timeout_s must be above 0, got -1"),
        ({"scheduler": "tcp://node:8786", "options": {"cores": 4}}, "options belong to local, cuda or slurm"),
        ({"scheduler": "threads", "options": {"cores": 4}}, "options belong to local, cuda or slurm, not to threads"),
        ({"scheduler": 3}, r"a cluster must be text such as .*, got 3: the number of workers is Cluster\(workers"),
    ],
)
def test_a_cluster_that_contradicts_itself_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Cluster(**arguments)


def test_a_misspelled_cluster_names_those_that_exist() -> None:
    with pytest.raises(SettingsError, match=r"'slrum' is no cluster.*did you mean 'slurm'"), connect("slrum"):
        pass
