"""What there is: results are no input, and one odd file does not end a batch."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import fsspec
import numpy as np
import pytest
from distributed import Client

from hrtem_dask import loading
from hrtem_dask.batch.listing import find_inputs, list_on_workers, list_sources
from hrtem_dask.errors import NothingToAnalyseError, SettingsError
from hrtem_dask.loading import signals
from hrtem_dask.settings import Settings
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location


def save(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.ones((40, 50)))


@pytest.mark.parametrize("named", ["link", "real"])
@pytest.mark.parametrize("end", ["", "/"])
def test_results_inside_an_input_that_is_reached_by_a_link_are_no_input(tmp_path: Path, named: str, end: str) -> None:
    save(tmp_path / "real" / "a.npy", tmp_path / "real" / "results" / "x.npy", tmp_path / "real" / "results2" / "b.npy")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    for out in (Location.of(tmp_path / "real" / "results"), Location(f"file://{tmp_path}/{named}/results{end}")):
        found = find_inputs(tmp_path / named, leave_out=out)
        assert [s.relative for s in found] == ["a.npy", "results2/b.npy"]


@pytest.mark.parametrize("out", ["memory://left_out/results", "memory:///left_out/results/"])
def test_results_at_a_url_are_no_input_however_it_is_spelt(out: str) -> None:
    fs = fsspec.filesystem("memory")
    for name in ("a.npy", "results/x.npy", "results2/b.npy"):
        fs.pipe(f"/left_out/{name}", b"content")
    found = find_inputs("memory://left_out/", leave_out=Location.of(out))
    assert [s.relative for s in found] == ["a.npy", "results2/b.npy"]
    fs.rm("/left_out", recursive=True)


def test_a_file_on_which_the_listing_fails_is_one_failed_record(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(*(tmp_path / f"{name}.npy" for name in "abc"))
    honest = signals.list_micrographs

    def list_micrographs(source: loading.Source, **options: object) -> list[loading.MicrographRecord]:
        if source.name == "b.npy":
            raise RuntimeError("nobody thought of this")
        return honest(source, **options)

    monkeypatch.setattr(signals, "list_micrographs", list_micrographs)
    records = list_on_workers(client, find_inputs(tmp_path), Settings().updated({"loading": {"pixels": True}}))
    assert [(r.source.name, r.status) for r in records] == [("a.npy", "ok"), ("b.npy", "failed"), ("c.npy", "ok")]
    assert "nobody thought of this" in records[1].reason


def test_a_setting_that_cannot_be_used_ends_the_listing(tmp_path: Path, client: Client) -> None:
    save(tmp_path / "a.npy")
    (tmp_path / "s.csv").write_text("path,sample\na*,x\n*.npy,y\n")
    samples = loading.read_metadata(tmp_path / "s.csv")
    with pytest.raises(SettingsError, match="contradict each other"):
        list_on_workers(client, find_inputs(tmp_path / "a.npy"), Settings(), samples)


def test_documents_beside_micrographs_are_counted_in_one_message(
    tmp_path: Path, messages: Callable[[], list[str]]
) -> None:
    save(tmp_path / "a.npy")
    for name in ("LICENSE.txt", "notes.txt", "samples.csv", "truth.parquet", "README"):
        (tmp_path / name).write_text("words")
    assert [s.relative for s in find_inputs(tmp_path)] == ["a.npy"]
    (line,) = messages()
    assert (
        line
        == "5 files beside the micrographs are of other kinds and get no row (2 .txt, 1 README, 1 .csv, 1 .parquet)"
    )
    named = find_inputs([tmp_path / "a.npy", tmp_path / "notes.txt"])
    assert [(s.relative, s.status) for s in named] == [("a.npy", "ok"), ("notes.txt", "set_aside")]
    (tmp_path / "a.npy").unlink()
    with pytest.raises(NothingToAnalyseError, match="only files of other kinds"):
        find_inputs(tmp_path)


def test_stores_of_label_images_alone_are_counted_in_that_message(
    tmp_path: Path, messages: Callable[[], list[str]]
) -> None:
    labels = np.zeros((40, 40), np.int32)
    zarr_store.create_store(Location.of(tmp_path / "labels.zarr"))
    zarr_store.write_labels(Location.of(tmp_path / "labels.zarr"), "m", labels, pixel_size_nm=None)
    zarr_store.create_store(Location.of(tmp_path / "nothing.zarr"))
    save(tmp_path / "a.npy")
    found = find_inputs(tmp_path)
    assert [(s.relative, s.status) for s in found] == [("a.npy", "ok"), ("nothing.zarr", "set_aside")]
    (line,) = messages()
    assert line == "1 file beside the micrographs is of another kind and gets no row (1 Zarr store of label images)"
    (named,) = find_inputs(tmp_path / "labels.zarr")
    assert (named.status, named.reason) == ("set_aside", "label images, and no image, in the Zarr store")


def test_ids_differ_where_names_differ_by_their_unicode_form_alone(tmp_path: Path, client: Client) -> None:
    composed, decomposed = tmp_path / "n\u00e9.npy", tmp_path / "ne\u0301.npy"
    settings = Settings().updated({"loading": {"pixels": True}})
    save(decomposed)
    (alone,) = list_on_workers(client, find_inputs(tmp_path), settings)
    save(composed)
    for records in (
        list_on_workers(client, find_inputs(tmp_path), settings),
        list_sources(find_inputs(tmp_path), settings),
    ):
        ids = {r.source.name: r.micrograph_id for r in records}
        assert ids["n\u00e9.npy"] == alone.micrograph_id != ids["ne\u0301.npy"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("foo://x", r"foo:// is no known kind of address. Known are paths of this machine, .*s3://"),
        ("zip://*.tif::a.zip", r"give the archive \(a.zip\)"),
        ("tar://a.tif::https://host/b.tar", r"give the archive \(https://host/b.tar\)"),
        ("gs://bucket/x", r"gs:// needs a package"),
    ],
)
def test_an_address_of_an_unknown_kind_is_said_in_one_line(address: str, words: str) -> None:
    if address.startswith("gs") and importlib.util.find_spec("gcsfs"):
        pytest.skip("gcsfs is installed")
    for attempt in (lambda: find_inputs(address), lambda: Location.of(address), lambda: loading.read_metadata(address)):
        with pytest.raises(SettingsError, match=words) as caught:
            attempt()
        assert "\n" not in str(caught.value)
