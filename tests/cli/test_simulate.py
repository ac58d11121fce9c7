from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from hrtem_dask.batch import simulate as batch
from hrtem_dask.cli import main
from hrtem_dask.cli import simulate as command
from hrtem_dask.storage.simulated import open_simulated

Make = Callable[..., Any]


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["simulate", *map(str, arguments), "--cluster", "threads"])
    return result.exit_code, result.output


@pytest.fixture
def out(tmp_path: Path, make_toy: Make, toy_ranges: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(batch, "_make", make_toy)
    monkeypatch.setattr(command, "_ranges", lambda _regime, _file, size: toy_ranges(shape=(size, size)))
    return tmp_path / "sim"


def test_it_says_what_is_in_the_store(out: Path) -> None:
    code, output = call(out, "-n", 3, "--seed", 7, "--size", 100)
    assert code == 0, output
    assert "micrographs: 3, 1 of them empty  (0 made before)" in output
    assert "particles:   6  (6 Au)" in output
    assert "regions:     6, 6 no_stacking_fault" in output
    assert "s per micrograph and worker" in output
    code, output = call(out, "-n", 3, "--seed", 7, "--size", 100)
    assert "(3 made before)" in output
    assert "time:" not in output


def test_what_fails_is_named_and_mistakes_are_one_line(
    out: Path, make_toy: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def impossible(ranges: Any, seed: int, index: int) -> Any:
        if index == 1:
            raise ValueError("no place")
        return make_toy(ranges, seed, index)

    monkeypatch.setattr(batch, "_make", impossible)
    code, output = call(out, "-n", 3, "--size", 100)
    assert code == 1
    assert "sim-0-000001 failed: ValueError: no place" in output
    assert "micrographs: 2" in output
    code, output = call(out, "-n", 3, "--size", 200)
    assert code == 1
    assert "shape is [100, 100] there, not [200, 200]" in output
    assert "Traceback" not in output


def test_the_contrast_regime(tmp_path: Path) -> None:
    out, ranges = tmp_path / "con", tmp_path / "ranges.toml"
    ranges.write_text("size_px = 128\nempty_fraction = 0\nmax_particles = 5\n[shapes]\nsphere = 1\n")
    code, output = call(out, "--regime", "contrast", "--ranges", ranges, "-n", 2, "--seed", 5, "--size", 96)
    assert code == 0, output
    store = open_simulated(out)
    assert f"particles:   {len(store.particles)}  ({len(store.particles)} sphere)" in output
    assert "regions:" not in output
    assert list(store.micrographs["micrograph_id"]) == ["con-5-000000", "con-5-000001"]
    assert store.image("con-5-000001").shape == (96, 96)
    code, output = call(out, "-n", 3, "--seed", 5)
    assert code == 1
    assert "of the regime contrast, not lattice: give --regime contrast, or another folder" in output
