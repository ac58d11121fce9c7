"""Files are there with all their bytes or not at all, also where several get their names together."""

import threading
from pathlib import Path

import pytest

from hrtem_dask.storage.location import Location
from hrtem_dask.storage.whole_files import partial_files
from hrtem_dask.storage.whole_files.partial_files import together


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_get_their_names_together_and_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed, renamed = [], []
    flush, replace = partial_files._flush_closed, Path.replace
    monkeypatch.setattr(partial_files, "_flush_closed", lambda path: (flushed.append(path.name), flush(path)))
    monkeypatch.setattr(Path, "replace", lambda path, to: (renamed.append(Path(to).name), replace(path, to)))
    folder = Location.of(tmp_path)
    with together():
        for i in range(20):
            folder.write_bytes(f"{i:02}", bytes([i]))
        with folder.open_whole("piecewise") as file:
            file.write(b"one")
            file.write(b"two")
        with together():
            folder.write_bytes("00", b"again")
        folder.write_bytes("at once", b"!", on_disk=False)
        assert folder.exists("at once")
        assert not folder.exists("00")
        assert renamed == ["at once"]
    assert len(flushed) == 22
    assert renamed == ["at once", *(f"{i:02}" for i in range(20)), "piecewise", "00"]
    assert folder.read_bytes("00") == b"again"
    assert folder.read_bytes("piecewise") == b"onetwo"
    assert names(tmp_path) == [*(f"{i:02}" for i in range(20)), "at once", "piecewise"], "nothing else is left"


def test_an_error_leaves_everything_as_it_was(tmp_path: Path) -> None:
    folder = Location.of(tmp_path)
    folder.write_bytes("old", b"old")

    def write_and_fail() -> None:
        with together():
            folder.write_bytes("old", b"new")
            folder.write_bytes("new", b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_and_fail()
    assert names(tmp_path) == ["old"]
    assert folder.read_bytes("old") == b"old"
    folder.write_bytes("new", b"new")
    assert folder.exists("new"), "the block has ended"


def test_a_disk_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Path) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(partial_files, "_flush_closed", fail)
    folder = Location.of(tmp_path)
    with pytest.raises(OSError, match="full"), together():
        folder.write_bytes("one", b"1")
    assert names(tmp_path) == []


def test_other_threads_are_not_concerned(tmp_path: Path) -> None:
    folder = Location.of(tmp_path)
    with together():
        folder.write_bytes("mine", b"1")
        other = threading.Thread(target=folder.write_bytes, args=("theirs", b"2"))
        other.start()
        other.join()
        assert names(tmp_path)[-1] == "theirs"
        assert not folder.exists("mine")
    assert folder.exists("mine")
