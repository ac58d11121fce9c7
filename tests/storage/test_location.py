"""A folder of results: files whole or not at all, and what is in their way is kept."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hrtem_dask.storage.location import Location


@pytest.fixture(params=["disk", "object store"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    return Location.of(tmp_path if request.param == "disk" else f"memory://{request.node.name}")


def test_a_file_is_created_once(place: Location) -> None:
    assert place.create_bytes("a/b.json", b"first")
    assert not place.create_bytes("a/b.json", b"second")
    assert place.read_bytes("a/b.json") == b"first"
    assert list(place.names("a", "")) == ["a/b.json"]


def test_a_file_system_without_hard_links_creates_a_file_once_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise OSError("not supported")

    monkeypatch.setattr(os, "link", no_links)
    place = Location.of(tmp_path)
    assert [place.create_bytes("a", content) for content in (b"1", b"2")] == [True, False]
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_the_end_of_a_file_is_found(place: Location) -> None:
    place.write_bytes("a", b"12345")
    place.write_bytes("b", b"")
    assert [place.ends_with(n, b"45") for n in ("a", "b", "absent")] == [True, False, False]


def test_what_is_in_the_way_is_renamed_and_kept(tmp_path: Path) -> None:
    place = Location.of(tmp_path)
    (tmp_path / "a" / "inside").mkdir(parents=True)
    place.write_bytes("a", b"x")
    place.write_bytes("a/b", b"y")
    place.write_bytes("a", b"z")
    assert (tmp_path / "a").read_bytes() == b"z"
    assert (tmp_path / "a.set-aside-1" / "inside").is_dir()
    assert (tmp_path / "a.set-aside-2").read_bytes() == b"x"
    assert (tmp_path / "a.set-aside-3" / "b").read_bytes() == b"y"


def test_folders_that_other_threads_make_are_not_in_the_way(tmp_path: Path) -> None:
    def write(folder: int, file: int) -> None:
        barrier.wait()
        place.write_bytes(f"{folder}/{file}", b"x")

    place, writers = Location.of(tmp_path), 8
    for folder in range(100):
        barrier = threading.Barrier(writers)
        with ThreadPoolExecutor(writers) as pool:
            list(pool.map(write, [folder] * writers, range(writers)))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(map(str, range(100)))
    assert len(list(tmp_path.glob("*/*"))) == 100 * writers


def test_pipes_and_folders_are_no_files(tmp_path: Path) -> None:
    place = Location.of(tmp_path)
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    assert list(place.names("", ".json")) == []
    assert list(place.names("folder.json", "")) == list(place.names("pipe.json", "")) == []
    for name in ("pipe.json", "folder.json"):
        with pytest.raises(IsADirectoryError, match="is no file"):
            place.read_bytes(name)
        place.remove(name)
        assert place.exists(name)
