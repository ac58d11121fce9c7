"""A report that describes other tables says so itself."""

from pathlib import Path

from hrtem_dask.storage.checksums import mark_old_report, tables_hash, write_checksums
from hrtem_dask.storage.location import Location


def test_a_report_of_other_tables_says_so_once(tmp_path: Path) -> None:
    folder, page = Location.of(tmp_path), tmp_path / "report.html"
    assert tables_hash(folder) is None
    write_checksums(folder, {"particles.parquet": "1", "execution.parquet": "2"})
    assert not mark_old_report(folder), "there is none"
    written = f'<meta name="hrtem-dask-tables" content="{tables_hash(folder)}"><main>\n<h1>Particles</h1></main>'
    page.write_text(written)
    write_checksums(folder, {"particles.parquet": "1", "execution.parquet": "3"})
    assert not mark_old_report(folder), "times alone have changed"
    assert page.read_text() == written
    write_checksums(folder, {"particles.parquet": "4", "execution.parquet": "3"})
    for _ in range(2):
        assert mark_old_report(folder)
        assert page.read_text().count("This page is older than the results") == 1
    assert page.read_text().index("older than the results") < page.read_text().index("<h1>")


def test_a_report_of_an_earlier_version_is_old_and_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("of an earlier run")
    write_checksums(Location.of(tmp_path), {"particles.parquet": "1"})
    assert mark_old_report(Location.of(tmp_path))
    assert (tmp_path / "report.html").read_text() == "of an earlier run"
