"""The description of a results folder is read by another library, and says what was used and made."""

import json
from pathlib import Path

import pandas as pd
import pytest
from rocrate.rocrate import ROCrate

from hrtem_dask import tables
from hrtem_dask.settings import Settings
from hrtem_dask.storage.compaction import write_run_file
from hrtem_dask.storage.exchange.ro_crate import CRATE_FILE, write_crate
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import write_table
from hrtem_dask.storage.results import open_results


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = Location.of(tmp_path)
    rows = pd.DataFrame(
        {
            "micrograph_id": ["a", "b", "c", "d"],
            "status": ["done", "done", "done", "failed"],
            "sample": ["as made", "as made", "aged", None],
            "source": ["/data/a b.tif", "/data/a b.tif", "s3://bucket/x.zip::c.tif", "/data/d.tif"],
            "source_hash": ["00ff", "00ff", "11ff", None],
        }
    )
    write_table(folder, "micrographs.parquet", rows, tables.MICROGRAPHS)
    write_table(folder, "particles.parquet", tables.empty(tables.PARTICLES), tables.PARTICLES)
    (tmp_path / "labels.zarr").mkdir()
    write_run_file(folder, Settings(), models={"segmentation": "abcd", "defects": None})
    write_crate(open_results(folder), began="2026-01-02T03:04:05+00:00", ended="2026-01-02T03:05:05+00:00")
    return tmp_path


def test_another_library_reads_it(results: Path) -> None:
    crate = ROCrate(results)
    assert crate.description == "Particles of 4 micrographs (3 done, 1 failed). Samples: aged, as made."
    assert {part.id for part in crate.root_dataset["hasPart"]} == {
        "micrographs.parquet",
        "particles.parquet",
        "run.toml",
        "labels.zarr/",
    }
    (action,) = crate.get_by_type("CreateAction")
    assert action["instrument"]["name"] == "hrtem-dask"
    used = {entity.id: entity for entity in action["object"]}
    assert set(used) == {"file:///data/a%20b.tif", "s3://bucket/x.zip", "file:///data/d.tif", "#model-segmentation"}
    assert used["file:///data/a%20b.tif"]["identifier"] == "blake2b-128:00ff"
    assert used["#model-segmentation"]["identifier"] == "abcd"
    assert (action["startTime"], action["endTime"]) == ("2026-01-02T03:04:05+00:00", "2026-01-02T03:05:05+00:00")


def test_colons_are_part_of_a_name_where_the_file_has_them(tmp_path: Path) -> None:
    folder, odd = Location.of(tmp_path / "r"), tmp_path / "in" / "a::b.tif"
    odd.parent.mkdir()
    odd.write_bytes(b"")
    rows = pd.DataFrame(
        {"micrograph_id": ["a", "b"], "source": [str(odd), f"{odd}::c.tif"], "source_hash": ["00", "11"]}
    )
    write_table(folder, "micrographs.parquet", rows, tables.MICROGRAPHS)
    write_run_file(folder, Settings(), models={})
    write_crate(open_results(folder), began="2026-01-02T03:04:05+00:00", ended="2026-01-02T03:05:05+00:00")
    graph = json.loads((tmp_path / "r" / CRATE_FILE).read_text(encoding="utf-8"))["@graph"]
    (file,) = [entity for entity in graph if entity["@id"].startswith("file:")]
    assert (file["name"], file["identifier"]) == ("a::b.tif", "blake2b-128:00")


def test_every_reference_is_answered(results: Path) -> None:
    graph = json.loads((results / CRATE_FILE).read_text(encoding="utf-8"))["@graph"]
    known = {entity["@id"] for entity in graph}
    assert len(known) == len(graph)

    def references(value: object) -> set[str]:
        if isinstance(value, dict):
            return {value["@id"]} if set(value) == {"@id"} else set().union(*map(references, value.values()))
        return set().union(*map(references, value)) if isinstance(value, list) else set()

    outside = {name for name in references(graph) if name.startswith("https://")} - known
    assert outside == {"https://w3id.org/ro/crate/1.1"}, "the version of the standard alone, which every crate names"
    assert references(graph) - outside <= known


def test_the_folder_names_its_profile_and_a_license(results: Path) -> None:
    """The validator of the standard, which needs a network, asks for both."""
    root = ROCrate(results).root_dataset
    assert (root["conformsTo"]["name"], root["conformsTo"]["version"]) == ("Process Run Crate", "0.5")
    assert root["license"]["name"] == "no license stated"


def test_a_folder_without_results_has_no_description(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_crate(open_results(tmp_path), began="", ended="")
