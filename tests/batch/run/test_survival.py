"""What a run survives: its own death, a worker's, a model too many times asked for."""

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas.testing as pdt
import psutil
import pytest
from distributed import Client, LocalCluster

from hrtem_dask import Cluster, open_results, run
from hrtem_dask.batch.run import task_results
from hrtem_dask.errors import ResultsFolderError
from hrtem_dask.settings import Settings
from hrtem_dask.storage.run_lock import LOCK

pytestmark = pytest.mark.slow


@pytest.fixture
def many(tmp_path: Path, make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path]) -> Path:
    root = tmp_path / "many"
    for i in range(40):
        make_tiff(root / f"m{i:02d}.tif", make_disks(np.random.default_rng(i), 1 + i % 6, (400, 480)))
    return root


def test_killed_in_the_middle_and_run_again_gives_the_same_table(
    many: Path, tmp_path: Path, settings: Settings, client: Client
) -> None:
    recipe = tmp_path / "settings.toml"
    recipe.write_text(settings.to_toml())
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "hrtem_dask", "run", str(many), "-o", str(out), "--settings", str(recipe)]
    process = subprocess.Popen([*command, "--workers", "1", "-q"], start_new_session=True, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(list((out / "parts").glob("*.commit.json"))) < 5:
        assert time.monotonic() < deadline, "no part was committed in two minutes"
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "micrographs.parquet").exists()

    summary = run(many, out, settings=settings, cluster=client)
    assert 5 <= summary.n_skipped < 40
    run(many, tmp_path / "whole", settings=settings, cluster=client)
    killed, whole = open_results(out), open_results(tmp_path / "whole")
    for name in ("micrographs", "regions", "particles"):
        pdt.assert_frame_equal(killed.table(name), whole.table(name))
    again = killed.table("execution")["attempts"] > 1
    assert again.sum() <= 40 - summary.n_skipped, "what was committed was not done twice"
    assert again.sum() <= 2, "only what was being done when it was killed"


def test_a_micrograph_that_kills_its_worker_fails_alone(
    many: Path, tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # workers are processes of their own: they find the murderous reader by an environment variable
    plugin = tmp_path / "sitecustomize.py"
    plugin.write_text(
        "import os, sys\n"
        "if 'dask' in ' '.join(sys.argv) or 'multiprocessing' in ' '.join(sys.orig_argv):\n"
        "    import hrtem_dask.loading.signals as signals\n"
        "    honest = signals.read_image\n"
        "    def read_image(record):\n"
        "        if 'm07' in record.micrograph_id: os._exit(1)\n"
        "        return honest(record)\n"
        "    signals.read_image = read_image\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    in_groups = settings.updated({"execution": {"group_megapixels": 1.0}})
    summary = run(many, tmp_path / "out", settings=in_groups, cluster=Cluster(workers=1))
    assert summary.counts == {"done": 39, "empty": 0, "set_aside": 0, "failed": 1}
    rows = open_results(tmp_path / "out").micrographs
    (failed,) = rows[rows["status"] == "failed"].itertuples()
    assert "m07" in failed.source
    assert "worker died" in failed.reason


def test_each_worker_loads_the_model_once_and_no_graph_carries_it(
    many: Path, tmp_path: Path, settings: Settings
) -> None:
    from hrtem_dask.segmentation import segmenter_loads
    from hrtem_dask.segmentation.networks.config import groschner2021_config
    from hrtem_dask.segmentation.unet import UNet
    from hrtem_dask.segmentation.weights import save_model

    path = tmp_path / "random.safetensors"
    save_model(UNet(groschner2021_config()), path)
    with_network = settings.updated({"segmentation": {"method": "unet", "model": str(path)}})
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0") as cluster,
        Client(cluster) as client,
    ):
        few = sorted(many.iterdir())[:6]
        run(few, tmp_path / "out", settings=with_network, cluster=client)
        assert set(client.run(segmenter_loads).values()) <= {0, 1}
        assert 1 in client.run(segmenter_loads).values()


def start(inputs: Path, out: Path, recipe: Path, settings: Settings) -> subprocess.Popen[str]:
    recipe.write_text(settings.to_toml())
    command = [sys.executable, "-m", "hrtem_dask", "run", str(inputs), "-o", str(out), "--settings", str(recipe)]
    return subprocess.Popen([*command, "--workers", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_commits(out: Path, n: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 900
    while len(list((out / "parts").glob("*.commit.json"))) < n:
        assert time.monotonic() < deadline, f"{n} parts were not committed in a quarter of an hour"
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_a_second_run_into_one_folder_is_refused_until_the_first_is_dead(
    many: Path, tmp_path: Path, settings: Settings
) -> None:
    out = tmp_path / "out"
    other = settings.updated({"particles": {"min_area_px": 10}})
    first = start(many, out, tmp_path / "first.toml", settings)
    wait_for_commits(out, 1, first)
    first.send_signal(signal.SIGSTOP)  # else it may have ended before the second one looks
    second = start(many, out, tmp_path / "second.toml", other)
    printed, errors = second.communicate()
    assert (second.returncode, printed) == (1, "")
    (line,) = (line for line in errors.splitlines() if line.startswith("Error: "))
    owner = json.loads((out / LOCK).read_text())
    assert owner["pid"] == first.pid
    assert f"another run is writing to {out} (process {first.pid} on {owner['host']}, since {owner['since']})" in line
    assert "Traceback" not in errors
    assert first.poll() is None, "the first is still there"
    first.kill()
    first.communicate()

    third = start(many, out, tmp_path / "third.toml", other)
    printed, errors = third.communicate()
    assert third.returncode == 0, errors
    assert "the lock of a run that has ended is taken over" in errors
    assert not (out / LOCK).exists()
    results = open_results(out)
    assert len(results.micrographs) == 40
    assert set(results.micrographs["settings_hash"]) == {other.science_hash()}
    for name, rows in results.particles.groupby("micrograph_id"):
        found = np.bincount(results.labels(str(name)).ravel())[1:]
        assert np.array_equal(found, rows["area_px"].to_numpy()), f"labels of {name} contradict its rows"


def test_a_run_that_is_replaced_stops(
    many: Path, tmp_path: Path, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    honest = task_results.stream_with_retry

    def replace_the_lock(*arguments: object, **options: object) -> object:
        owner = json.loads((out / LOCK).read_text())
        if options["key"] == "analyse":
            (out / LOCK).write_text(json.dumps(owner | {"token": "of another run"}))
        return honest(*arguments, **options)

    monkeypatch.setattr(task_results, "stream_with_retry", replace_the_lock)
    with pytest.raises(ResultsFolderError, match="another run has taken over"):
        run(many, out, settings=settings, cluster=client)
    assert not list((out / "parts").glob("*"))
    assert not list((out / "labels.zarr").glob("m*"))


def test_a_worker_that_does_not_end_does_not_spoil_a_finished_run(
    many: Path, tmp_path: Path, settings: Settings
) -> None:
    few = tmp_path / "few"
    few.mkdir()
    for path in sorted(many.iterdir())[:2]:
        path.rename(few / path.name)
    out = tmp_path / "out"
    together = settings.updated({"execution": {"group_megapixels": 10.0}})
    process = start(few, out, tmp_path / "s.toml", together)
    wait_for_commits(out, 1, process)
    children = psutil.Process(process.pid).children(recursive=True)
    stopped = [child for child in children if "forkserver" in " ".join(child.parent().cmdline())]
    assert stopped
    # the outcome is on its way: the worker may need a moment to send it
    while not (out / "micrographs.parquet").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.001)
    for worker in stopped:
        worker.suspend()
    printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "micrographs: 2 done" in printed
    assert "results:" in printed
    assert "Traceback" not in errors
    assert "Error" not in errors
    assert all(not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE for worker in stopped)


def test_ctrl_c_ends_a_run_in_seconds_and_says_how_to_go_on(
    tmp_path: Path, make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path]
) -> None:
    """A terminal sends the signal to the workers too; they must not die with tracebacks."""
    for i in range(30):
        make_tiff(tmp_path / "in" / f"m{i}.tif", make_disks(np.random.default_rng(i), 2))
    command = [sys.executable, "-m", "hrtem_dask", "run", str(tmp_path / "in"), "--out", str(tmp_path / "out")]
    options = ["--method", "otsu", "--workers", "1", "--overlays", "all"]
    process = subprocess.Popen(
        [*command, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # a shell that starts the tests in the background ignores Ctrl-C, and so would this program
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    commits = tmp_path / "out" / "parts"
    deadline = time.monotonic() + 120
    while not list(commits.glob("*.commit.json")):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, "no micrograph is done"
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "of 30 done; the same command goes on" in output
    assert "Traceback" not in output
    assert "Error" not in output
    assert not (tmp_path / "out" / "run.lock").exists()
