"""A wheel works alone: it holds every file that the package reads, and analyzes without the checkout."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ANALYZE = """
import pathlib, sys
import hrtem_dask as hd
from hrtem_dask.batch.example import write_example
assert pathlib.Path(hd.__file__).is_relative_to(sys.argv[1]), hd.__file__
folder = write_example(sys.argv[2], n_particles=3)
summary = hd.run(folder / "images", folder / "results", cluster="threads")
print(summary.counts["done"], pathlib.Path(hd.write_report(folder / "results")).stat().st_size > 100_000)
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", build, str(folder)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return folder / done.stdout.splitlines()[-1]


def test_it_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = ROOT / "hrtem_dask"
    kept = {".py", ".j2", ".safetensors", ".md", ".typed", ".gz", ".css", ".json"}
    files = {
        str(path.relative_to(ROOT)) for path in package.rglob("*") if path.suffix in kept or path.name == "py.typed"
    }
    assert names == files


@pytest.mark.slow
def test_it_analyzes_and_reports_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    alone = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(alone)
    done = subprocess.run(
        [sys.executable, "-c", ANALYZE, str(alone), str(tmp_path / "work")],
        cwd=tmp_path, env={"PYTHONPATH": str(alone), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "1 True"
