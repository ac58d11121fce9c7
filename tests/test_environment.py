"""environment.yml and pyproject.toml say the same, and conda could read every line."""

import re
import tomllib
from pathlib import Path

import rattler
import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"opencv-python-headless": "opencv", "torch": "pytorch", "cucim-cu13": "cucim", "cupy-cuda13x": "cupy"}
ENVIRONMENT = yaml.safe_load((ROOT / "environment.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def conda_ranges() -> dict[str, str]:
    lines = [line for line in ENVIRONMENT["dependencies"] if isinstance(line, str)]
    split = [re.fullmatch(r"([A-Za-z0-9_-]+)(.*)", line) for line in lines]
    return {m.group(1): m.group(2).strip() for m in split if m}


def pip_ranges(requirements: list[str]) -> dict[str, str]:
    split = [re.fullmatch(r"([A-Za-z0-9_-]+)(?:\[[^\]]*\])?(.*)", line.replace(" ", "")) for line in requirements]
    return {CONDA_NAMES.get(m.group(1), m.group(1)): m.group(2) for m in split if m}


def test_conda_reads_every_line() -> None:
    for line in ENVIRONMENT["dependencies"]:
        if isinstance(line, str):
            assert rattler.MatchSpec(line).name is not None


def test_channels_have_the_gpu_packages() -> None:
    assert ENVIRONMENT["channels"] == ["rapidsai", "conda-forge"]
    design_card = {
        "dask",
        "distributed",
        "dask-cuda",
        "cupy",
        "cucim",
        "pytorch",
        "scikit-learn",
        "xarray",
        "zarr",
        "pandas",
    }
    assert design_card <= set(conda_ranges())


def test_every_dependency_stands_in_both_with_the_same_range() -> None:
    conda = conda_ranges()
    wanted = pip_ranges(PROJECT["dependencies"]) | pip_ranges(PROJECT["optional-dependencies"]["gpu"])
    for name, needed in wanted.items():
        assert name in conda, f"environment.yml lacks {name}"
        if name in {"dask", "distributed"}:
            assert conda[name] == "=2026.7.1", "RAPIDS 26.10 pins this Dask"
        else:
            assert conda[name] == needed, f"{name}: environment.yml says {conda[name]!r}, pyproject.toml {needed!r}"


def test_conda_brings_what_notebooks_and_clusters_need() -> None:
    conda = conda_ranges()
    for extra in ("cluster", "notebooks", "s3", "xlsx"):
        for name, needed in pip_ranges(PROJECT["optional-dependencies"][extra]).items():
            assert conda[name] == needed, f"{name}: environment.yml says {conda.get(name)!r}, pyproject.toml {needed!r}"


def test_nothing_is_installed_by_its_name_before_it_is_published() -> None:
    own = re.compile(r"pip install[^\n]*hrtem-dask(?![\w./])")
    for path in [
        ROOT / "README.md",
        ROOT / "environment.yml",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "hrtem_dask").rglob("*.py"),
    ]:
        assert not own.findall(path.read_text(encoding="utf-8")), f"{path}: install from the checkout or a wheel"
    assert all(isinstance(line, str) for line in ENVIRONMENT["dependencies"])


def locked(name: str) -> dict[str, list[str]]:
    """Name of each package of a lock file → its lines."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / name).read_text().splitlines():
        found.setdefault(line.split("==")[0], []).append(line)
    return found


def test_locks_are_for_every_platform() -> None:
    for name in ("requirements.lock", "requirements-run.lock"):
        lines = locked(name)
        for package in lines:
            if package.startswith(("nvidia-", "triton")):  # in the lock of developers alone
                assert all("sys_platform == 'linux'" in line for line in lines[package]), lines[package]
        assert any("sys_platform == 'win32'" in line for of_one in lines.values() for line in of_one)


def test_the_lock_of_an_analysis_is_a_part_of_the_other() -> None:
    run, whole = locked("requirements-run.lock"), locked("requirements.lock")
    assert {package: [line.split(" ;")[0] for line in lines] for package, lines in run.items()} == {
        package: [line.split(" ;")[0] for line in whole[package]] for package in run
    }
    assert not {"pytest", "jupytext", "abtem"} & set(run)
    assert "torch" in whole
    large = [name for name in run if name.startswith(("torch", "nvidia-", "cuda-", "triton"))]
    assert not large, "an analysis on a CPU needs no PyTorch and no CUDA"


def test_the_lock_holds_every_dependency() -> None:
    locked = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]:
        name = re.split(r"[\[<>=~ ]", line)[0].lower()
        assert name in locked, f"{name} is not in requirements.lock: run `make lock`"
    for pin in (ROOT / "constraints.txt").read_text().splitlines():
        if not pin.startswith("#"):
            assert pin.split("==")[1] == locked[pin.split("==")[0]]


def test_torch_is_a_range_and_only_in_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    assert not [line for line in PROJECT["dependencies"] if line.startswith("torch")]
    for extra in ("train", "detect", "gpu"):
        assert "torch>=2.11" in extras[extra], extra
