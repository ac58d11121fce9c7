"""Tables that are written piece by piece: the same bytes however they come, and never in memory as a whole."""

import hashlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hrtem_dask import tables
from hrtem_dask.population.reduction import NEEDED, collect, summarize_partition, unite
from hrtem_dask.storage import ledger, parquet
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import schema_with_extra, with_extra_columns, write_table_in_order

FIELDS = tables.arrow_schema(tables.PARTICLES)


def particles(n: int) -> pa.Table:
    """Rows of 11 micrographs of two samples."""
    rng = np.random.default_rng(n)
    rows = pd.DataFrame(
        {
            "micrograph_id": [f"m{i:02d}" for i in np.arange(n) * 11 // max(n, 1)],
            "sample": np.where(np.arange(n) * 2 < n, "Au", "CdSe"),
            "particle_id": np.arange(n) + 1,
            "equivalent_diameter_nm": rng.lognormal(1.0, 0.3, n),
            "counted": rng.random(n) < 0.7,
            "exclusion_reason": "too_small",
        }
    )
    return tables.arrow_table([tables.conform(rows, tables.PARTICLES)], tables.PARTICLES)


@pytest.fixture(params=["disk", "object store"])
def place(request: pytest.FixtureRequest, tmp_path: object) -> Location:
    if request.param == "disk":
        return Location.of(str(tmp_path))
    return Location.of(f"memory://{request.node.name}")


@pytest.mark.parametrize("n", [0, 6, 7, 50])
def test_the_bytes_do_not_depend_on_the_pieces(place: Location, n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP", 7)
    whole = particles(n)
    found = set()
    for piece in (1, 3, 7, 20, 100):
        parts = [whole.slice(first, piece) for first in range(0, max(n, 1), piece)]
        content_hash, n_rows = write_table_in_order(place, "t.parquet", parts, FIELDS)
        content = place.read_bytes("t.parquet")
        assert content_hash == hashlib.blake2b(content, digest_size=8).hexdigest()
        assert n_rows == n
        found.add(content)
    (content,) = found
    file = pq.ParquetFile(pa.BufferReader(content))
    assert [file.metadata.row_group(i).num_rows for i in range(n // 7)] == [7] * (n // 7)
    assert file.read().equals(whole)


def test_a_table_that_breaks_off_leaves_the_earlier_one(place: Location) -> None:
    write_table_in_order(place, "t.parquet", [particles(3)], FIELDS)

    def breaking() -> object:
        yield particles(20)
        raise OSError("the store is gone")

    with pytest.raises(OSError, match="gone"):
        write_table_in_order(place, "t.parquet", breaking(), FIELDS)
    assert len(pq.read_table(pa.BufferReader(place.read_bytes("t.parquet")))) == 3
    assert list(place.names("", "")) == ["t.parquet"] or not place.is_local


def test_a_large_table_takes_no_more_memory_than_a_group_of_its_rows(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "ROW_GROUP", 500)
    taken = []

    def pieces() -> object:
        for _ in range(40):
            yield particles(250)
            taken.append(pa.total_allocated_bytes() - before)

    before = pa.total_allocated_bytes()
    write_table_in_order(Location.of(str(tmp_path)), "t.parquet", pieces(), FIELDS)
    assert max(taken) < 8 * particles(500).nbytes < 40 * particles(250).nbytes / 2


@pytest.mark.parametrize("at_once", [1, 2, 3, 100])
def test_rows_are_read_in_the_order_of_the_micrographs(place: Location, at_once: int) -> None:
    names = [f"m{i:02d}" for i in range(7)]
    whole = particles(55)
    for part in (names[0::3], names[1::3], names[2::3]):
        rows = whole.filter(pa.compute.is_in(whole["micrograph_id"], pa.array(part)))
        entries = [ledger.Entry(name, "key", 1, 2, "hash", "done", 1, part[0]) for name in part]
        empty = {name: tables.empty(tables.SCHEMAS[name]) for name in ("regions", "micrographs", "execution")}
        ledger.write_part(place, part[0], ledger.Part(particles=rows, **empty), entries)
    entries = ledger.read_entries(place)
    wanted = {name: entries[name] for name in reversed(names)}
    for table in ("particles", "windows"):
        pieces = list(ledger.read_in_order(place, wanted, table, at_once=at_once))
        assert len(pieces) == -(-7 // min(at_once, 7))
        assert pa.concat_tables(pieces).equals(ledger.read_parts(place, wanted, table).combine_chunks())
    assert [len(piece) for piece in ledger.read_in_order(place, {}, "particles")] == [0]


def test_covariates_have_one_type_in_every_piece() -> None:
    columns = pd.DataFrame({"sample": "Au", "anneal_c": [300, 400, None]}, index=["m00", "m01", "m02"])
    fields = schema_with_extra(columns, tables.PARTICLES)
    rows = particles(11)
    for name in columns.index:
        own = rows.filter(pa.compute.equal(rows["micrograph_id"], name))
        piece = with_extra_columns(own, columns.loc[[name]], tables.PARTICLES, fields)
        assert piece.schema.equals(fields, check_metadata=True)
        assert piece["anneal_c"].to_pylist() == [None if name == "m02" else columns["anneal_c"][name]]


@pytest.mark.parametrize("table", tables.SCHEMAS)
def test_the_schema_is_that_of_a_written_dataframe(place: Location, table: str) -> None:
    columns = {"sample": ["Au", None], "ph": [7.0, None], "batch": [1, 2], "note": ["ä", None], "dry": [True, False]}
    covariates = pd.DataFrame(columns, index=["a", "b"])
    rows = tables.conform(covariates.assign(micrograph_id=["a", "b"]), tables.SCHEMAS[table])
    parquet.write_table(place, "table.parquet", rows, tables.SCHEMAS[table])
    written = pq.read_schema(pa.BufferReader(place.read_bytes("table.parquet")))
    assert schema_with_extra(covariates, tables.SCHEMAS[table]).equals(written, check_metadata=True)


def test_statistics_of_the_pieces_are_those_of_the_whole() -> None:
    whole = particles(200).to_pandas()
    pieces = [summarize_partition(whole[list(NEEDED)][first : first + 30]) for first in range(0, 200, 30)]
    one, other = collect(whole), unite(pieces)
    pd.testing.assert_frame_equal(one.counted, other.counted)
    pd.testing.assert_frame_equal(one.excluded, other.excluded)
    assert len(other.rows()) == len(one.counted) + len(one.excluded)
    assert int(other.rows()["counted"].sum()) == len(one.counted)
    assert unite([summarize_partition(whole[:0])]).rows().empty
