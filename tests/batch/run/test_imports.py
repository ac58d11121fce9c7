"""What a worker imports: a run is worth nothing until it has imported the task, which on a CPU needs no PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pandas as pd

SLOW = ("torch", "scipy.signal", "scipy.stats", "scipy.optimize", "xarray", "sklearn", "matplotlib")


def test_a_task_is_imported_without_what_it_does_not_need() -> None:
    code = f"import sys, hrtem_dask.batch.run.task; print(*[m for m in {SLOW!r} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert found == []


WITHOUT_TORCH = """
import sys
class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "torchvision"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, NotInstalled())
"""


def python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python as where PyTorch is not installed."""
    command = [sys.executable, "-c", WITHOUT_TORCH + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_network_runs_on_a_cpu_without_torch_and_finds_the_same(tmp_path: Path) -> None:
    import hrtem_dask as hd
    from hrtem_dask.batch.example import write_example

    folder = write_example(tmp_path, n_particles=3)
    hd.run(folder / "images", tmp_path / "with_torch", cluster="threads", settings={"execution": {"engine": "torch"}})
    code = """
import hrtem_dask as hd
summary = hd.run(sys.argv[1], sys.argv[2], cluster="threads")
hd.write_report(sys.argv[2])
print(summary.counts["done"], "torch" in sys.modules)
"""
    done = python(code, folder / "images", tmp_path / "without")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 False"
    one, other = (hd.open_results(tmp_path / name) for name in ("with_torch", "without"))
    assert set(one.table("execution")["engine"]) == {"torch"}
    assert set(other.table("execution")["engine"]) == {"openvino"}
    sizes = [results.particles["equivalent_diameter_nm"] for results in (one, other)]
    assert len(sizes[0]) >= 3
    pd.testing.assert_series_equal(*sizes, rtol=0.005)


def test_what_needs_torch_says_how_to_get_it(tmp_path: Path) -> None:
    code = "from hrtem_dask.cli import main; main(sys.argv[1:])"
    done = python(code, "train", "segmentation", tmp_path, "--out", tmp_path / "m.safetensors")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: this needs PyTorch, which is not installed: pip install '.[train]'")


def test_an_engine_that_is_not_installed_is_named() -> None:
    code = """
import hrtem_dask as hd
from hrtem_dask.segmentation.engines import make_engine
from hrtem_dask.segmentation.weights import load_weights
make_engine(load_weights(hd.Settings().segmentation.model_file), engine="torch")
"""
    done = python(code)
    assert done.stderr.splitlines()[-1].startswith("hrtem_dask.errors.SettingsError: ")
    assert "network needs PyTorch" in done.stderr.splitlines()[-1]
