"""The demonstration, twice into one folder, and with a micrograph that fails."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.batch.demo import demo
from hrtem_dask.evaluation import dice
from hrtem_dask.storage.results import open_results
from hrtem_dask.storage.simulated import open_simulated, truth_ids

Make = Callable[..., Any]


def test_it_compares_results_with_the_truth(
    tmp_path: Path, make_toy: Make, toy_ranges: Any, messages: Callable[[], list[str]]
) -> None:
    def fails_first(ranges: Any, seed: int, index: int) -> Any:
        if index == 0:
            raise ValueError("no place")
        return make_toy(ranges, seed, index)

    def show(n: int, make: Make) -> pd.DataFrame:
        ranges = toy_ranges(shape=(256, 256), diameter_nm=(2.0, 3.0))
        return demo(tmp_path, n_micrographs=n, cluster="threads", ranges=ranges, make=make).comparison

    one, empty = show(3, fails_first).to_dict("records")
    assert "sim-2026-000000 could not be simulated: ValueError: no place" in messages()
    results, store = open_results(tmp_path / "results"), open_simulated(tmp_path / "simulated")
    rows = results.micrographs
    (name,) = rows["micrograph_id"][truth_ids(rows, store) == "sim-2026-000001"]
    score = dice(results.labels(name) > 0, store.labels("sim-2026-000001") > 0)
    assert score > 0.5
    assert (one["truth_id"], one["pixel_size_nm"], one["material"]) == ("sim-2026-000001", 0.05, "Au")
    assert (one["true_n_particles"], one["dice"], one["status"]) == (3, score, "done")
    assert one["n_particles"] == rows.set_index("micrograph_id").loc[name, "n_particles"]
    assert empty["material"] == "empty"
    assert empty["true_n_particles"] == 0
    assert np.isnan(empty["dice"])

    assert list(show(1, make_toy)["truth_id"]) == [f"sim-2026-00000{i}" for i in range(3)]
