"""What a run would do, compared with what it then does."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from hrtem_dask import Cluster, run
from hrtem_dask.batch.run.dry_run import dry_run
from hrtem_dask.settings import Settings


def content(folder: Path) -> tuple[int, int]:
    """Number of files and folders, and bytes."""
    paths = [Path(root, name) for root, folders, files in os.walk(folder) for name in (*folders, *files)]
    return len(paths), sum(path.stat().st_size for path in paths if path.is_file())


def test_files_and_bytes_are_about_those_of_the_run(
    tmp_path: Path, settings: Settings, make_disks: Callable[..., np.ndarray], make_tiff: Callable[..., Path]
) -> None:
    for i in range(12):
        make_tiff(tmp_path / "in" / f"m{i}.tif", make_disks(np.random.default_rng(i), 1 + i % 6))
    (tmp_path / "in" / "broken.tif").write_bytes(b"II*\0")
    out = tmp_path / "out"
    planned = dry_run(tmp_path / "in", out, settings=settings, cluster="threads")
    assert not out.exists()
    assert planned.listed == {"to analyze": 12, "done before": 0, "failed": 1}
    assert planned.n_probes == 3
    assert planned.seconds is not None
    assert planned.seconds > 0
    run(tmp_path / "in", out, settings=settings, cluster="threads")
    n_files, n_bytes = content(out)
    assert 0.8 < planned.n_files / n_files < 1.25
    assert 0.5 < planned.n_bytes / n_bytes < 2
    later = dry_run(tmp_path / "in", out, settings=settings, cluster="threads")
    assert (later.listed["to analyze"], later.listed["done before"], later.seconds) == (0, 12, None)
    assert content(out) == (n_files, n_bytes)


def test_the_workers_are_those_that_would_be_started(folder: Path, settings: Settings, tmp_path: Path) -> None:
    options = {"cores": 4, "memory": "8GB", "queue": "normal", "log_directory": str(tmp_path)}
    planned = dry_run(folder, tmp_path / "out", settings=settings, cluster=Cluster("slurm", 8, options=options))
    assert (planned.n_workers, planned.memory_per_worker) == (8, 2_000_000_000)
    assert planned.job_script is not None
    text = "\n".join(planned.lines())
    assert "#SBATCH -p normal" in text
    assert "3 to analyze, 0 done before" in text
    small = dry_run(
        folder, tmp_path / "out", settings=settings, cluster=Cluster("local", 2, options={"memory_limit": "2MB"})
    )
    assert "this run would be refused" in "\n".join(small.lines())
