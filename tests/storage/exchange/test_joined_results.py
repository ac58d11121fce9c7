from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.errors import ResultsFolderError
from hrtem_dask.storage.exchange.joined_results import join_results
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import write_table


def results_of(folder: Path, names: Sequence[str], hashes: Sequence[str]) -> Path:
    place = Location.of(folder)
    rows = pd.DataFrame(
        {
            "micrograph_id": names,
            "source": [f"{folder}/{n}.tif" for n in names],
            "status": "done",
            "image_hash": hashes,
            "duplicate_of": [None, *names[:-1]],
        }
    )
    particles = pd.DataFrame(
        {"micrograph_id": [n for n in names for _ in range(2)], "particle_id": [1, 2] * len(names)}
    )
    write_table(place, "micrographs.parquet", rows, tables.MICROGRAPHS)
    write_table(place, "particles.parquet", particles, tables.PARTICLES)
    return folder


def test_micrographs_of_one_name_stay_apart_in_every_table(tmp_path: Path) -> None:
    folders = [
        results_of(tmp_path / "one", ["img-1", "a-2"], ["h1", "h2"]),
        results_of(tmp_path / "two", ["img-1", "img-3"], ["h3", "h4"]),
    ]
    micrographs = join_results(folders, "micrographs")
    assert micrographs["micrograph_id"].nunique() == 4
    assert list(micrographs["micrograph_id"][[1, 3]]) == ["a-2", "img-3"], "names of one run alone stay"
    particles = join_results(folders)
    assert set(particles["micrograph_id"]) == set(micrographs["micrograph_id"])
    assert particles.groupby(["micrograph_id", "results"]).size().tolist() == [2] * 4
    assert list(micrographs["duplicate_of"].dropna()) == list(micrographs["micrograph_id"][[0, 2]])
    alone = join_results(folders[:1])
    assert set(alone["micrograph_id"]) == {"img-1", "a-2"}


def test_an_image_of_two_runs_is_refused(tmp_path: Path) -> None:
    folders = [results_of(tmp_path / name, ["img-1", f"{name}-2"], ["same", name]) for name in ("one", "two")]
    with pytest.raises(ResultsFolderError, match=r"img-1\.tif was analyzed by the runs in .*one and .*two"):
        join_results(folders)
