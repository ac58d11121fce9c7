"""What a worker imports: a run is worth nothing until every worker has imported the task."""

from __future__ import annotations

import subprocess
import sys

SLOW = ("torch", "scipy.signal", "scipy.stats", "scipy.optimize", "xarray", "sklearn", "matplotlib")


def test_a_task_is_imported_without_what_it_does_not_need() -> None:
    code = f"import sys, hrtem_dask.batch.run.task; print(*[m for m in {SLOW!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert found == []
