"""Many runs on one shared scheduler leave nothing behind in it, in its workers or in the client."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client, LocalCluster

from hrtem_dask import run
from hrtem_dask.settings import Settings


def kept(dask_scheduler: Any) -> dict[str, int]:
    """Count what a scheduler holds, apart from its logs, which have a fixed length."""
    held = ("tasks", "task_prefixes", "task_groups", "plugins", "unrunnable", "extensions")
    counts = {name: len(getattr(dask_scheduler, name)) for name in held}
    counts["wanted by clients"] = sum(len(client.wants_what) for client in dask_scheduler.clients.values())
    counts["topics"] = len(getattr(dask_scheduler, "event_subscriber", ()))
    return counts


@pytest.fixture
def own_client() -> Iterator[Client]:
    """A cluster of this test alone: that of the session may still hold what other tests have left."""
    with (
        LocalCluster(processes=False, n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster, set_as_default=False) as connected,
    ):
        yield connected


def settled(client: Client) -> dict[str, int]:
    """Count when the scheduler has heard that the last results were released, which it does a moment after the run."""
    for _ in range(100):
        counts = client.run_on_scheduler(kept)
        if not counts["tasks"]:
            break
        time.sleep(0.1)
    return counts | {"futures": len(client.futures)}


def test_a_shared_scheduler_holds_no_more_after_many_runs_than_after_one(
    tmp_path: Path, settings: Settings, own_client: Client, make_disks: Callable[..., np.ndarray],
    make_tiff: Callable[..., Path],
) -> None:  # fmt: skip
    for i in range(3):
        make_tiff(tmp_path / "in" / f"m{i}.tif", make_disks(np.random.default_rng(i), 1, (64, 64)))
    counts = []
    for i in range(4):
        run(tmp_path / "in", tmp_path / f"out{i}", settings=settings, cluster=own_client)
        counts.append(settled(own_client))
    assert counts[0]["tasks"] == counts[0]["futures"] == 0
    assert counts[1:] == counts[:1] * 3
