"""The demonstration, twice into one folder, and with a micrograph that fails."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from hrtem_dask.batch.demo import demo
from hrtem_dask.evaluation import dice
from hrtem_dask.storage.results import open_results
from hrtem_dask.storage.simulated import open_simulated, truth_ids

Make = Callable[..., Any]


def test_it_says_what_was_found_and_what_is_true(tmp_path: Path, make_toy: Make, toy_ranges: Any) -> None:
    lines: list[str] = []

    def fails_first(ranges: Any, seed: int, index: int) -> Any:
        if index == 0:
            raise ValueError("no place")
        return make_toy(ranges, seed, index)

    def show(n: int, make: Make) -> list[str]:
        lines.clear()
        ranges = toy_ranges(shape=(256, 256), diameter_nm=(2.0, 3.0))
        demo(tmp_path, n_micrographs=n, scheduler="threads", ranges=ranges, make=make, say=lines.append)
        return [line for line in lines if line.startswith("sim-")]

    failure, one, empty = show(3, fails_first)
    assert failure == "sim-2026-000000 could not be simulated: ValueError: no place"
    results, store = open_results(tmp_path / "results"), open_simulated(tmp_path / "simulated")
    rows = results.micrographs
    (name,) = rows["micrograph_id"][truth_ids(rows, store) == "sim-2026-000001"]
    score = dice(results.labels(name) > 0, store.labels("sim-2026-000001") > 0)
    assert score > 0.5
    assert one.split()[:3] == ["sim-2026-000001", "0.050", "Au"]
    assert one.split()[4:] == ["(3)", f"{score:.3f}", "done"]
    assert empty.split()[2] == "empty"
    assert empty.split()[4:6] == ["(0)", "nan"]

    assert [row.split()[0] for row in show(1, make_toy)] == [f"sim-2026-00000{i}" for i in range(3)]
