"""Connecting: to a given client, to this machine, and what is refused."""

import dataclasses

import pytest
from distributed import Client

from hrtem_dask import Cluster
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
