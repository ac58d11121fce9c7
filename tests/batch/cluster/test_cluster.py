"""Connecting: to a given client, to this machine, and what is refused."""

import dataclasses

import pytest
from distributed import Client, LocalCluster

from hrtem_dask import Cluster
from hrtem_dask.batch.cluster import closing
from hrtem_dask.batch.cluster import cluster as starting
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.errors import SettingsError


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


def test_workers_that_do_not_start_are_tried_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    honest, tries = starting._start_local, []

    def start(*arguments: object, **options: object) -> LocalCluster:
        tries.append(1)
        if len(tries) < 3:
            raise (RuntimeError("Nanny failed to start."), TimeoutError())[len(tries) - 1]
        return honest(*arguments, **options)

    monkeypatch.setattr(starting, "_start_local", start)
    with connect("threads") as started:
        assert started.submit(abs, -1).result() == 1
    said = [r.getMessage().partition(": ")[2] for r in caplog.records if r.name.startswith("hrtem_dask")]
    assert [line.partition(":")[0] for line in said] == ["RuntimeError", "TimeoutError"]
    tries.clear()
    monkeypatch.setattr(starting, "STARTS", 2)
    with (
        pytest.raises(SettingsError, match="no workers could be started on this machine in 2 tries"),
        connect("threads"),
    ):
        pass


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
            starting.close_quietly(started, local)
            assert local.scheduler.status.name == "closed"
            assert not local.shutdown_on_close
        assert started.status == "closed"
    assert "Traceback" not in "".join(capfd.readouterr())
