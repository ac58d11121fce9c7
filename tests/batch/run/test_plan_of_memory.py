"""What a run plans for a worker is enough for what a worker takes, measured from outside."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "memory.py"


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak is read from /proc")
@pytest.mark.parametrize("method", ["otsu", "fourier", "unet"])
def test_a_worker_takes_no_more_memory_than_is_planned(method: str) -> None:
    command = [sys.executable, str(BENCHMARK), "--methods", method, "--sizes", "512", "2048"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 1 + 2 * 3
