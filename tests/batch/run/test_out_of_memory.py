"""Memory that runs out, on a GPU or on a worker: what is tried next is in the row, and the result is the same."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from distributed import Client

from hrtem_dask import filtering, loading, open_results, run
from hrtem_dask.batch.run.record_analysis import analyse_record
from hrtem_dask.loading import signals
from hrtem_dask.settings import Settings

ERRORS: dict[str, Callable[[], Exception]] = {
    "CuPy": lambda: type("OutOfMemoryError", (MemoryError,), {})("Out of memory allocating 8,388,608 bytes"),
    "RMM": lambda: MemoryError("std::bad_alloc: out_of_memory: CUDA error at: /rmm/cuda_memory_resource.hpp"),
    "torch": lambda: type("OutOfMemoryError", (RuntimeError,), {})("CUDA out of memory. Tried to allocate 2.00 GiB"),
    "cuFFT": lambda: type("CuFFTError", (RuntimeError,), {})("CUFFT_ALLOC_FAILED"),
}


@pytest.mark.gpu_arrays
@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("method", ["otsu", "fourier"])
def test_a_gpu_without_memory_leaves_the_micrograph_to_the_cpu(
    gpu_library: str, folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, kind: str, method: str
) -> None:
    settings = settings.updated({"segmentation": {"method": method}})
    (record, *_) = loading.list_micrographs(loading.find_sources(folder)[0])
    here = analyse_record(record, settings)
    honest, calls = filtering.prepare, []

    def prepare(image: Any, **options: Any) -> Any:
        calls.append(type(image).__module__)
        if not isinstance(image, np.ndarray):
            raise ERRORS[kind]()
        return honest(image, **options)

    monkeypatch.setattr(filtering, "prepare", prepare)
    there = analyse_record(record, settings.updated({"execution": {"device": "cuda"}}))
    assert len(calls) == 2, "once on each device"
    assert there.row["status"] == "done"
    assert there.execution["out_of_memory_steps"] == "micrograph on cpu"
    assert there.execution["device"] == "cpu"
    np.testing.assert_array_equal(there.found.labels, here.found.labels)
    pd.testing.assert_frame_equal(there.particles, here.particles)


@pytest.mark.gpu_arrays
def test_other_errors_on_a_gpu_are_not_tried_again(
    gpu_library: str, folder: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    (record, *_) = loading.list_micrographs(loading.find_sources(folder)[0])

    def prepare(image: Any, **_: Any) -> Any:
        raise RuntimeError(f"illegal instruction on {type(image).__module__.partition('.')[0]}")

    monkeypatch.setattr(filtering, "prepare", prepare)
    there = analyse_record(record, settings.updated({"execution": {"device": "cuda"}}))
    assert there.row["status"] == "failed"
    assert "illegal instruction" in there.row["reason"]
    assert "numpy" not in there.row["reason"]


def run_with_errors(
    folder: Path, out: Path, settings: Settings, client: Client, n_errors: int, patch: pytest.MonkeyPatch
) -> pd.DataFrame:
    """Run while reading b.tif raises a real MemoryError so many times; return the rows with what was tried."""
    raised: list[str] = []
    honest = signals.read_image

    def read_image(record: loading.MicrographRecord) -> np.ndarray:
        if record.source.name == "b.tif" and len(raised) < n_errors:
            raised.append(record.micrograph_id)
            return np.ones((2**50,), np.uint8)  # what NumPy raises, and not what a test thinks that it raises
        return honest(record)

    with patch.context() as during:
        during.setattr(loading, "read_image", read_image)
        run(folder, out, settings=settings, cluster=client)
    found = open_results(out)
    execution = found.table("execution").set_index("micrograph_id")["out_of_memory_steps"]
    return found.micrographs.set_index("micrograph_id").join(execution)


def test_memory_that_runs_out_once_is_tried_again_alone(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = settings.updated({"execution": {"group_megapixels": 1.0}})  # all in one group
    rows = run_with_errors(folder, tmp_path / "out", whole, client, 1, monkeypatch)
    assert (rows["status"] == "done").all()
    assert rows["out_of_memory_steps"].str.contains("alone").any()
    run(folder, tmp_path / "calm", settings=whole, cluster=client)
    for path in (tmp_path / "calm").glob("*.parquet"):
        if path.name != "execution.parquet":
            assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes(), path.name


def test_what_never_has_enough_memory_fails_and_the_others_are_done(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = settings.updated({"execution": {"group_megapixels": 1.0}})
    rows = run_with_errors(folder, tmp_path / "out", whole, client, 99, monkeypatch)
    (failed,) = rows[rows["status"] == "failed"].itertuples()
    assert "MemoryError" in failed.reason
    assert "Unable to allocate" in failed.reason
    assert (rows["status"] == "done").sum() == 2


EATS_ONCE = """
import sys
if 'forkserver' in ' '.join(sys.orig_argv):
    import pathlib, time
    import hrtem_dask.loading as loading
    honest, mark = loading.read_image, pathlib.Path(__file__).with_name('eaten')
    def read_image(record):
        if record.source.name == 'b.tif' and not mark.exists():
            mark.touch()
            eaten = [bytearray(b'x' * 100_000_000) for _ in range(40)]
            time.sleep(60)
        return honest(record)
    loading.read_image = read_image
"""


@pytest.mark.slow
def test_a_worker_that_is_killed_for_its_memory_is_replaced_and_the_row_says_so(folder: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(EATS_ONCE)
    (tmp_path / "run.toml").write_text(
        '[segmentation]\nmethod = "otsu"\n[cluster]\nscheduler = "local"\nworkers = 1\n[cluster.options]\n'
        'memory_limit = "1500MB"\n'
    )
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", "hrtem_dask", "run", str(folder), "--settings", str(tmp_path / "run.toml"), "-q"]
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "out")],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (site / "eaten").exists()
    found = open_results(tmp_path / "out")
    assert found.micrographs["status"].tolist() == ["done"] * 3
    assert found.table("execution")["out_of_memory_steps"].str.contains("fresh worker").any()
