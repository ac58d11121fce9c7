"""A scheduler or workers that are gone for good end a run with one line, in a stated time."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from distributed import Client, LocalCluster

from hrtem_dask.batch.cluster import patience as module
from hrtem_dask.batch.cluster.patience import Patience
from hrtem_dask.errors import ClusterError


@pytest.fixture
def without_workers() -> Iterator[Client]:
    with (
        LocalCluster(n_workers=0, processes=False, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        yield client


def test_the_wait_has_no_limit_while_jobs_are_queued_and_ends_where_none_will_come(
    without_workers: Client, monkeypatch: pytest.MonkeyPatch, messages: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(module, "TELL_S", 0.0)
    queued, problems = [2], [None]
    patience = Patience(0.05, 0.05, n_queued=lambda: queued[0], problem=lambda: problems[0])
    for _ in range(4):
        assert patience.check(without_workers) == 0
        time.sleep(0.05)
    assert "waiting for workers: 2 jobs wait in the queue" in messages()
    problems[0] = "all jobs fail"  # type: ignore[call-overload]
    with pytest.raises(ClusterError, match="all jobs fail"):
        patience.check(without_workers)
    queued[0], problems[0] = 0, None
    time.sleep(0.1)
    with pytest.raises(ClusterError, match=r"no worker at inproc://.* after 0\.05 s: start workers there"):
        patience.check(without_workers)
    patience.had_workers = True
    with pytest.raises(ClusterError, match=r"all workers at .* are gone, and none came back in 0\.05 s"):
        patience.check(without_workers)


def test_a_closed_client_has_lost_its_scheduler(without_workers: Client) -> None:
    without_workers.close()
    with pytest.raises(ClusterError, match=r"the scheduler .* does not answer any more.*the same command goes on"):
        Patience().check(without_workers)


@pytest.fixture
def many(tmp_path: Path, make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path]) -> Path:
    for i in range(60):
        make_tiff(tmp_path / "in" / f"m{i:02d}.tif", make_disks(np.random.default_rng(i), 1 + i % 6, (800, 900)))
    return tmp_path / "in"


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """A scheduler and a worker, as processes."""
    scheduler_file = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "start_new_session": True}
    where = ["--scheduler-file", str(scheduler_file)]
    listen = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
    scheduler = subprocess.Popen([*dask, "scheduler", *where, *listen], **options)  # type: ignore[call-overload]
    while not scheduler_file.exists():
        assert scheduler.poll() is None
        time.sleep(0.1)
    worker = subprocess.Popen([*dask, "worker", *where, "--nthreads", "1"], **options)  # type: ignore[call-overload]
    started = {"scheduler": scheduler, "worker": worker}
    yield started
    for process in started.values():
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "expected"),
    [
        ("scheduler", r"Error: the scheduler tcp://\S+ does not answer any more.*the same command goes on"),
        ("worker", r"Error: all workers at tcp://\S+ are gone, and none came back in 5 s: start workers there"),
    ],
)
def test_one_line_says_that_the_cluster_is_gone(
    victim: str, expected: str, many: Path, processes: dict[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    site = tmp_path / "site.toml"
    site.write_text(f'[cluster]\nscheduler = "{tmp_path / "scheduler.json"}"\nworker_timeout_s = 5\n')
    out = tmp_path / "out"
    command = [sys.executable, "-m", "hrtem_dask", "run", str(many), "-o", str(out), "--method", "otsu"]
    small = tmp_path / "small.toml"
    small.write_text("[execution]\ngroup_megapixels = 0.01\n")
    # the settings of the run know nothing of the cluster
    program = subprocess.Popen(
        [*command, "--settings", str(small), "--cluster", str(site)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while len(list((out / "parts").glob("*.commit.json"))) < 3:
        assert program.poll() is None, program.communicate()
        assert time.monotonic() < deadline, "no part was committed"
        time.sleep(0.05)
    os.killpg(processes[victim].pid, signal.SIGKILL)
    killed_at = time.monotonic()
    printed, errors = program.communicate(timeout=200)
    assert program.returncode == 1
    assert printed == ""
    assert "Traceback" not in errors, errors
    (line,) = [line for line in errors.splitlines() if line.startswith("Error: ")]
    assert re.search(expected, line), errors
    assert time.monotonic() - killed_at < 150
    assert not (out / "run.lock").exists()
