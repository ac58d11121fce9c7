"""Many runs on one shared scheduler leave nothing behind in it, in its workers or in the client."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client

from hrtem_dask import run
from hrtem_dask.settings import Settings


def kept(dask_scheduler: Any) -> dict[str, int]:
    """Count what a scheduler holds, apart from its logs, which have a fixed length."""
    held = ("tasks", "task_prefixes", "task_groups", "plugins", "unrunnable", "extensions")
    counts = {name: len(getattr(dask_scheduler, name)) for name in held}
    counts["wanted by clients"] = sum(len(client.wants_what) for client in dask_scheduler.clients.values())
    counts["topics"] = len(getattr(dask_scheduler, "event_subscriber", ()))
    return counts


def settled(client: Client) -> dict[str, int]:
    """Count when the scheduler has heard that the last results were released, which it does a moment after the run."""
    for _ in range(100):
        counts = client.run_on_scheduler(kept)
        if not counts["tasks"]:
            break
        time.sleep(0.1)
    return counts | {"futures": len(client.futures)}


def test_a_shared_scheduler_holds_no_more_after_many_runs_than_after_one(
    tmp_path: Path, settings: Settings, client: Client, make_disks: Callable[..., np.ndarray],
    make_tiff: Callable[..., Path],
) -> None:  # fmt: skip
    for i in range(3):
        make_tiff(tmp_path / "in" / f"m{i}.tif", make_disks(np.random.default_rng(i), 1, (64, 64)))
    counts = []
    for i in range(4):
        run(tmp_path / "in", tmp_path / f"out{i}", settings=settings, cluster=client)
        counts.append(settled(client))
    assert counts[0]["tasks"] == counts[0]["futures"] == 0
    assert counts[1:] == counts[:1] * 3
