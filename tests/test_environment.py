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


def test_the_lock_holds_every_dependency() -> None:
    locked = dict(re.findall(r"^([A-Za-z0-9_.-]+)==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    for line in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]:
        name = re.split(r"[\[<>=~ ]", line)[0].lower()
        assert name in locked, f"{name} is not in requirements.lock: run `make lock`"
    for pin in (ROOT / "constraints.txt").read_text().splitlines():
        if not pin.startswith("#"):
            assert pin.split("==")[1] == locked[pin.split("==")[0]]


def test_torch_is_a_range_in_the_project() -> None:
    assert "torch>=2.11" in PROJECT["dependencies"]
