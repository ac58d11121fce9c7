"""Machine code that several processes make at once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux only")

MODULES = ("hrtem_dask.defects.descent", "hrtem_dask.fourier.compiled.nodes", "hrtem_dask.particles.flooding")
SHARE = f"""
import importlib
from hrtem_dask.machine_code import load_or_share, loops_of
for name in {MODULES}:
    importlib.import_module(name)
loops = loops_of({MODULES})
print(load_or_share(loops), len(loops), sum(loop.load() for loop in loops), flush=True)
"""


def share(cache: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", SHARE], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def printed(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert not err
    return out.split()


def test_what_others_make_is_waited_for_and_read(tmp_path: Path) -> None:
    assert printed(share(tmp_path)) == ["False", "4", "4"]
    assert len(list(tmp_path.rglob("*.nbc"))) == 5  # one of them is called by another
    assert printed(share(tmp_path)) == ["True", "4", "4"]


def test_two_runs_at_once_do_each_other_no_harm(tmp_path: Path) -> None:
    first, second = share(tmp_path), share(tmp_path)
    for process in (first, second):
        assert printed(process)[1:] == ["4", "4"]
    assert printed(share(tmp_path)) == ["True", "4", "4"]


def test_where_nothing_can_be_kept_one_process_makes_all() -> None:
    code = "import numba.core.caching as c; c.CacheImpl._locator_classes = []\n" + SHARE
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split() == ["True", "4", "4"]
