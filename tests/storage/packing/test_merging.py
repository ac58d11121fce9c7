"""Merging parts loses nothing, whenever it is cut off."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.errors import ResultsFolderError
from hrtem_dask.storage import ledger
from hrtem_dask.storage.checksums import find_damage
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.packing import label_packs
from hrtem_dask.storage.packing.label_bytes import encode_labels
from hrtem_dask.storage.packing.merging import merge_parts, merged_name
from hrtem_dask.storage.zarr_store import files_hash

PARTS = {"p1": ("a", "b"), "p2": ("c",), "p3": ("d", "e")}
LABELS = {name: np.full((8, 8), i, np.int32) for i, name in enumerate("abcde")}


class PowerCutError(Exception):
    """The power goes."""


def write(place: Location, part: str, ids: tuple[str, ...]) -> None:
    rows = pd.DataFrame({"micrograph_id": list(ids), "status": "done", "pixel_size_y_nm": 0.02})
    found = pd.DataFrame({"micrograph_id": [i for i in ids for _ in range(2)], "particle_id": [1, 2] * len(ids)})
    windows = tables.conform(rows[["micrograph_id"]], tables.WINDOWS) if part == "p2" else tables.empty(tables.WINDOWS)
    files = {name: encode_labels(name, LABELS[name], pixel_size_nm=None) for name in ids}
    entries = [
        ledger.Entry(name, "key", 10, 20, "hash", "done", 1, part, files_hash(files[name]), packed=True) for name in ids
    ]
    ledger.write_intent(place, part, dict.fromkeys(ids, 1))
    ledger.write_part(
        place,
        part,
        ledger.Part(
            micrographs=tables.conform(rows, tables.MICROGRAPHS),
            regions=tables.empty(tables.REGIONS),
            particles=tables.conform(found, tables.PARTICLES),
            execution=tables.conform(rows[["micrograph_id"]], tables.EXECUTION),
            windows=windows,
        ),
        entries,
        label_packs.pack_labels(files),
    )


@pytest.fixture(params=["disk", "object store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    place = Location.of(tmp_path if request.param == "disk" else f"memory://{request.node.name}")
    for part, ids in PARTS.items():
        write(place, part, ids)
    return place


def is_whole(place: Location) -> dict[str, ledger.Entry]:
    """Compare the ledger with everything that was written."""
    entries = ledger.read_entries(place)
    assert {name: (e.status, e.attempts) for name, e in entries.items()} == dict.fromkeys("abcde", ("done", 1))
    for entry in entries.values():
        assert find_damage(place, entry.part, [entry]) == {}
        np.testing.assert_array_equal(
            label_packs.read_labels(place, entry.micrograph_id, part=entry.part), LABELS[entry.micrograph_id]
        )
    return entries


def names(place: Location) -> list[str]:
    return [*place.names("parts", ""), *place.names("labels", "")]


def test_one_part_has_all_rows_and_labels_in_few_files(place: Location) -> None:
    entries = ledger.read_entries(place)
    before = {table: ledger.read_parts(place, entries, table) for table in tables.SCHEMAS}
    name = merge_parts(place, PARTS)
    entries = is_whole(place)
    for table, rows in before.items():
        assert rows.equals(ledger.read_parts(place, entries, table)), table
    assert {e.part for e in entries.values()} == {name}
    assert len(names(place)) == 7, "four tables, one rare table, the commit and the pack"


def test_micrographs_that_are_not_named_are_left_out(place: Location) -> None:
    merge_parts(place, {"p1": ("b",), "p2": ("c",)})
    assert set(ledger.read_entries(place)) == {"b", "c", "d", "e"}


def interruptions(place: Location, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Let the power go after one, two, … writes and deletions, until there are no more."""
    honest = {name: getattr(Location, name) for name in ("write_bytes", "remove")}
    for limit in range(100):
        n = 0

        def counted(self: Location, *arguments: object, method: str = "", last: int = limit) -> object:
            nonlocal n
            if n == last:
                raise PowerCutError
            n += 1
            return honest[method](self, *arguments)

        with monkeypatch.context() as patch:
            for name in honest:
                patch.setattr(Location, name, lambda self, *a, name=name: counted(self, *a, method=name))
            try:
                merge_parts(place, PARTS)
            except PowerCutError:
                yield limit
                continue
        return


def test_a_merge_that_is_cut_off_at_any_moment_loses_nothing(place: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    n_cuts = sum(1 for _ in interruptions(place, monkeypatch) if is_whole(place))
    assert n_cuts > 20
    entries = is_whole(place)
    assert {e.part for e in entries.values()} == {merged_name(PARTS)}, "the next attempt comes to the end"


def test_the_next_run_removes_what_a_merge_has_left(place: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = next(
        limit for limit in interruptions(place, monkeypatch) if place.exists(f"parts/{merged_name(PARTS)}.commit.json")
    )
    assert cut > 5
    entries = is_whole(place)
    ledger.remove_replaced_parts(place, entries, entries)
    assert is_whole(place) == entries
    used = {e.part for e in entries.values()}
    assert {ledger.part_of(name) for name in names(place)} == used


@pytest.mark.parametrize("file", ["parts/p2.particles.parquet", "parts/p2.commit.json", "labels/p2.zarr.zip"])
def test_damaged_parts_are_not_merged(place: Location, file: str) -> None:
    place.write_bytes(file, b"damaged")
    kept = names(place)
    with pytest.raises((ResultsFolderError, OSError)):
        merge_parts(place, PARTS)
    assert set(kept) <= set(names(place))
    entries = ledger.read_entries(place)
    damaged = {n for e in entries.values() for n in find_damage(place, e.part, [e])}
    assert damaged == {"c"}, "the next run does it again, and nothing else"


def test_a_run_that_has_lost_its_lock_changes_nothing(place: Location) -> None:
    def refuse() -> None:
        raise ResultsFolderError("another run has taken over")

    before = is_whole(place)
    with pytest.raises(ResultsFolderError, match="taken over"):
        merge_parts(place, PARTS, refuse)
    assert is_whole(place) == before
