import pandas as pd
import pandas.testing as pdt
import pytest

from hrtem_dask import tables
from hrtem_dask.storage import ledger
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import read_table, table_bytes, to_frame, with_extra_columns, write_table


def a_part(*ids: str, particles: int = 2) -> ledger.Part:
    rows = pd.DataFrame({"micrograph_id": list(ids), "status": "done", "pixel_size_y_nm": 0.02})
    found = pd.DataFrame(
        {
            "micrograph_id": [i for i in ids for _ in range(particles)],
            "particle_id": list(range(1, particles + 1)) * len(ids),
        }
    )
    return ledger.Part(
        micrographs=tables.conform(rows, tables.MICROGRAPHS),
        regions=tables.empty(tables.REGIONS),
        particles=tables.conform(found, tables.PARTICLES),
        execution=tables.conform(rows[["micrograph_id"]], tables.EXECUTION),
    )


def entry(micrograph_id: str, part: str, attempts: int = 1) -> ledger.Entry:
    return ledger.Entry(micrograph_id, "key", 10, 20, "hash", "done", attempts, part)


@pytest.fixture(params=["disk", "object store"])
def place(request: pytest.FixtureRequest, tmp_path: object) -> Location:
    if request.param == "disk":
        return Location.of(str(tmp_path))
    return Location.of(f"memory://{request.node.name}")


def test_a_part_without_its_commit_counts_for_nothing(place: Location) -> None:
    ledger.write_part(place, "one", a_part("a", "b"), [entry("a", "one"), entry("b", "one")])
    place.remove("parts/one.commit.json")
    assert ledger.read_entries(place) == {}


def test_rows_do_not_depend_on_the_grouping(place: Location) -> None:
    ledger.write_part(place, "z", a_part("a", "b"), [entry("a", "z"), entry("b", "z")])
    ledger.write_part(place, "c", a_part("c"), [entry("c", "c")])
    other = Location.of(place.path("other"))
    for name in "abc":
        ledger.write_part(other, name, a_part(name), [entry(name, name)])
    order = ["b", "c", "a"]
    one, two = (
        ledger.read_parts(p, {i: ledger.read_entries(p)[i] for i in order}, "particles") for p in (place, other)
    )
    assert one.equals(two)
    assert one["micrograph_id"].to_pylist() == ["b", "b", "c", "c", "a", "a"]


def test_a_later_attempt_replaces_an_earlier_one(place: Location) -> None:
    ledger.write_part(place, "old", a_part("a", particles=5), [entry("a", "old")])
    ledger.write_part(place, "new", a_part("a", particles=1), [entry("a", "new", attempts=2)])
    entries = ledger.read_entries(place)
    assert entries["a"].part == "new"
    assert len(ledger.read_parts(place, entries, "particles")) == 1
    before = {"a": entry("a", "old")}
    ledger.remove_replaced_parts(place, before, entries)
    assert {n.split("/")[-1].split(".")[0] for n in place.names("parts", "")} == {"new"}


def test_parts_without_particles_keep_their_dtypes(place: Location) -> None:
    ledger.write_part(place, "none", a_part("a", particles=0), [entry("a", "none")])
    rows = to_frame(ledger.read_parts(place, ledger.read_entries(place), "particles"), tables.PARTICLES)
    pdt.assert_series_equal(rows.dtypes, tables.empty(tables.PARTICLES).dtypes)


def test_tables_carry_units_and_covariates(tmp_path: object) -> None:
    place = Location.of(str(tmp_path))
    table = tables.conform(pd.DataFrame({"micrograph_id": ["a"], "anneal_c": [300.0]}), tables.MICROGRAPHS)
    write_table(place, "m.parquet", table, tables.MICROGRAPHS)
    back = read_table(place, "m.parquet", tables.MICROGRAPHS)
    assert back["anneal_c"].tolist() == [300.0]
    assert back["pixel_size_y_nm"].isna().all()
    import pyarrow.parquet as pq

    field = pq.read_schema(place.path("m.parquet")).field("pixel_size_y_nm")
    assert field.metadata[b"unit"] == b"nm"


@pytest.mark.parametrize("covariate", [[300.0, None], ["RT", None], [1, 2], [True, False]])
def test_an_arrow_table_is_written_as_a_frame_is(place: Location, covariate: list[object]) -> None:
    ledger.write_part(place, "p", a_part("a", "b"), [entry("a", "p"), entry("b", "p")])
    rows = ledger.read_parts(place, ledger.read_entries(place), "particles")
    columns = pd.DataFrame({"sample": ["Au", None], "anneal_c": covariate}, index=["a", "b"])
    frame = to_frame(rows, tables.PARTICLES)
    joined = columns.reindex(frame["micrograph_id"]).set_axis(frame.index)
    expected = table_bytes(frame.assign(**{name: joined[name] for name in joined}), tables.PARTICLES)
    assert table_bytes(with_extra_columns(rows, columns, tables.PARTICLES), tables.PARTICLES) == expected


def test_a_later_attempt_that_was_cut_off_voids_the_earlier_one(place: Location) -> None:
    ledger.write_part(place, "old", a_part("a", "b"), [entry("a", "old"), entry("b", "old")])
    ledger.write_intent(place, "new", {"a": 2})
    entries = ledger.read_entries(place)
    assert (entries["a"].status, entries["a"].attempts) == ("interrupted", 2)
    assert entries["b"].status == "done"
    ledger.write_part(place, "new", a_part("a"), [entry("a", "new", attempts=2)])
    assert ledger.read_entries(place)["a"].part == "new"


def test_parts_that_a_run_did_not_know_are_left_alone(place: Location) -> None:
    ledger.write_part(place, "mine", a_part("a"), [entry("a", "mine")])
    ledger.write_part(place, "theirs", a_part("b"), [entry("b", "theirs")])
    ledger.remove_replaced_parts(place, {"a": entry("a", "mine")}, {"a": entry("a", "mine")})
    assert set(ledger.read_entries(place)) == {"a", "b"}


def test_a_record_that_cannot_be_read_counts_as_not_there(place: Location) -> None:
    ledger.write_part(place, "one", a_part("a"), [entry("a", "one")])
    place.write_bytes("parts/two.commit.json", b'[{"micrograph_id": "b"}]')
    place.write_bytes("parts/three.commit.json", b"{")
    assert set(ledger.read_entries(place)) == {"a"}


def test_covariates_stay_out_of_parts(place: Location) -> None:
    part = a_part("a")
    given = ledger.Part(part.micrographs.assign(anneal_c="RT"), part.regions, part.particles, part.execution)
    ledger.write_part(place, "one", given, [entry("a", "one")])
    assert "anneal_c" not in ledger.read_parts(place, ledger.read_entries(place), "micrographs").column_names
