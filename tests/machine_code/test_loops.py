"""Loops as machine code."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from hrtem_dask.machine_code import compiled, loops_of


def test_a_loop_is_loaded_for_its_types_and_callable_with_others() -> None:
    @compiled()
    def half(value: float) -> float:
        return value / 2

    @compiled("float64[::1], Array(int32, 1, 'C', readonly=True)")
    def halves(values: np.ndarray, places: np.ndarray) -> float:
        total = 0.0
        for place in places:
            total += half(values[place])
        return total

    (loop,) = (one for one in loops_of([__name__]) if one.code is halves)
    assert not loop.load()
    assert loop.load()
    places = np.array([0, 2], np.int32)
    places.flags.writeable = False
    assert halves(np.array([1.0, 9.0, 4.0]), places) == 2.5
    assert len(loop.code.signatures) == 1
    assert halves(np.array([1, 9, 4]), places.astype(int)) == 2.5


def test_a_division_by_zero_is_infinite() -> None:
    @compiled()
    def ratio(a: float, b: float) -> float:
        return a / b

    assert ratio(1.0, 0.0) == np.inf


def test_modules_without_loops_have_none() -> None:
    assert loops_of(["hrtem_dask.errors", "no.such.module"]) == []


TOTAL = """
from hrtem_dask.machine_code.loops import compiled
@compiled("float64[::1]")
def total(values):
    result = 0.0
    for value in values:
        result += value
    return result
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no locks of this kind")
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("content", [b"", b"\0" * 4096, None])
def test_damaged_files_are_made_again(tmp_path: Path, suffix: str, content: bytes | None) -> None:
    """A full disk leaves files that are empty, of zeros, or cut off."""
    (tmp_path / "small_loop.py").write_text(TOTAL)
    code = "import numpy, small_loop; print(small_loop.total(numpy.ones(3)), small_loop.total.stats.cache_misses)"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": os.pathsep.join(sys.path)}

    def printed() -> str:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
        return done.stdout

    assert printed().startswith("3.0")
    files = list((tmp_path / "cache").rglob(f"*{suffix}"))
    assert files
    for file in files:
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if content is None else content)
    assert printed().startswith("3.0")
    assert printed() == "3.0 Counter()\n"  # read from the file that was written again
