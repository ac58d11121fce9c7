"""Results read back: each table once, and nobody's change reaches another reader."""

import pickle
from collections import Counter
from pathlib import Path

import pandas as pd
import pandas.testing as pdt
import pytest

from hrtem_dask import tables
from hrtem_dask.errors import ResultsFolderError
from hrtem_dask.storage import results as results_module
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import read_table, write_table
from hrtem_dask.storage.results import Results, crop, listed_record, open_results


@pytest.fixture
def results(tmp_path: Path) -> Results:
    folder = Location.of(tmp_path)
    rows = pd.DataFrame({"micrograph_id": ["a", "a", "b"], "particle_id": [1, 2, 1], "counted": [True, True, False]})
    write_table(folder, "particles.parquet", rows, tables.PARTICLES)
    write_table(folder, "micrographs.parquet", pd.DataFrame({"micrograph_id": ["a", "b"]}), tables.MICROGRAPHS)
    return open_results(tmp_path)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    counted: Counter[str] = Counter()

    def reading(folder: Location, name: str, schema: tables.Schema) -> pd.DataFrame:
        counted[name] += 1
        return read_table(folder, name, schema)

    monkeypatch.setattr(results_module, "read_table", reading)
    return counted


def test_each_table_is_read_once(results: Results, reads: Counter[str]) -> None:
    for _ in range(3):
        assert results.particles["particle_id"].tolist() == [1, 2, 1]
        assert len(results.table("micrographs")) == len(results.micrographs) == 2
    assert reads == {"particles.parquet": 1, "micrographs.parquet": 1}


def test_results_describe_themselves_in_a_few_lines(results: Results, tmp_path: Path) -> None:
    assert repr(results) == f"Results of {tmp_path}\n  micrographs: none\n  particles: 3"
    assert (
        results._repr_html_()
        == f"<p><b>Results of {tmp_path}</b></p><ul><li>micrographs: none</li><li>particles: 3</li></ul>"
    )
    with pytest.raises(KeyError, match="did you mean 'particles'"):
        results.table("particle")


def test_a_modified_table_is_read_as_it_was(results: Results) -> None:
    before = results.particles
    changed = results.particles
    changed.loc[:, "counted"] = False
    changed["particle_id"] = 7
    pdt.assert_frame_equal(results.particles, before)


def test_results_travel_without_their_tables(results: Results) -> None:
    results.particles  # noqa: B018 - reads it
    arrived = pickle.loads(pickle.dumps(results))
    assert arrived == results
    assert not arrived._tables
    assert len(arrived.particles) == 3


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"micrographs\.parquet is absent"):
        open_results(tmp_path)


def test_the_summary_is_that_of_the_run(results: Results) -> None:
    with pytest.raises(FileNotFoundError):
        results.summary  # noqa: B018 - reads it
    results.folder.write_json("summary.json", {"n_particles": 3})
    assert results.summary == {"n_particles": 3}
    results.folder.write_bytes("summary.json", b"{cut")
    with pytest.raises(ResultsFolderError, match="is damaged"):
        results.summary  # noqa: B018 - reads it


def test_a_listed_record_has_the_flags_of_the_listing_alone() -> None:
    """Else an analysis after a correction would add its own flags again."""
    flags = ",".join(["non_square", *tables.LATTICE_FLAGS])
    row = pd.DataFrame(
        {"micrograph_id": ["a"], "source": ["/data/a.tif"], "pixel_size_source": ["TIFF"], "signal": [0]}
    )
    row = tables.conform(row.assign(frame=0, calibration_flags=flags), tables.MICROGRAPHS).iloc[0]
    assert listed_record(row).calibration_flags == ("non_square",)


def test_results_say_what_they_hold(tmp_path: Path) -> None:
    folder = Location.of(tmp_path)
    micrographs = pd.DataFrame({"micrograph_id": ["a", "b", "c"], "status": ["done", "failed", "done"]})
    write_table(folder, "micrographs.parquet", micrographs, tables.MICROGRAPHS)
    write_table(folder, "particles.parquet", pd.DataFrame({"micrograph_id": ["a"]}), tables.PARTICLES)
    text = repr(open_results(tmp_path))
    assert tmp_path.name in text
    assert "2 done, 1 failed" in text
    assert "particles: 1" in text


def test_a_wrong_particle_is_answered_with_the_right_ones(results: Results) -> None:
    with pytest.raises(KeyError, match=r"no particle 9 in micrograph 'a' of .*it has the particles 1 to 2"):
        crop(results, "a", 9)
    with pytest.raises(KeyError, match=r"no micrograph 'c' in .*known are 'a', 'b'"):
        crop(results, "c", 1)
