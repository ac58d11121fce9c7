"""Finding files: nothing twice, nothing lost."""

import gzip
import io
import os
import pickle
import tarfile
import warnings
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
import zarr

from hrtem_dask.errors import NothingToAnalyseError, UnreadableMicrographError
from hrtem_dask.loading import (
    Source,
    find_sources,
    list_micrographs,
    local_copy,
    micrograph_id,
    read_image,
    source_hash,
    source_stat,
    to_row,
)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())


def relatives(*args: object, **kwargs: object) -> list[str]:
    return [s.relative for s in find_sources(*args, **kwargs)]


def test_a_folder_gives_every_file_but_hidden_ones(tmp_path: Path) -> None:
    touch(tmp_path, "b.dm3", "a/x.tif", "README", "notes.txt", ".DS_Store", ".git/config", "a/._x.tif")
    sources = find_sources(tmp_path)
    assert [s.relative for s in sources] == ["README", "a/x.tif", "b.dm3", "notes.txt"]
    assert {s.relative: s.status for s in sources if s.status != "ok"} == {"notes.txt": "set_aside"}
    assert sources[-1].reason == "not a micrograph format: .txt"
    assert sources[1].folder_name == "a"
    assert sources[2].folder_name == tmp_path.name


def test_a_list_counts_each_file_once_and_keeps_files_of_one_name_apart(tmp_path: Path) -> None:
    touch(tmp_path, "one/001.dm3", "two/001.dm3")
    found = find_sources([tmp_path / "one", tmp_path / "two", tmp_path / "one" / "001.dm3"])
    assert [s.relative for s in found] == ["one/001.dm3", "two/001.dm3"]
    assert len({micrograph_id(s) for s in found}) == 2
    # from their common folder they have the same names
    assert [micrograph_id(s) for s in find_sources(tmp_path)] == [micrograph_id(s) for s in found]


def test_ids_do_not_depend_on_where_the_folder_lies(tmp_path: Path) -> None:
    for place in ("here", "there/deeper"):
        touch(tmp_path / place, "s/Größe µ 1.dm3")
    one, two = (find_sources(tmp_path / p)[0] for p in ("here", "there/deeper"))
    assert micrograph_id(one, 1, 2) == micrograph_id(two, 1, 2)
    assert micrograph_id(one).isascii()
    assert micrograph_id(one).startswith("Groe")
    assert micrograph_id(one, 0, 1) != micrograph_id(one, 1, 0)
    assert len(micrograph_id(Source(url="/x", relative="x", member="n" * 300 + ".tif"))) < 80


def test_a_decomposed_name_is_the_same_name() -> None:
    composed, decomposed = (Source(url=f"/{n}.tif", relative=f"{n}.tif") for n in ("é", "é"))
    assert micrograph_id(composed) == micrograph_id(decomposed)


def test_globs_and_names_that_look_like_globs(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].tif", "b.tif", "sub/c.tif", "d.dm3")
    assert relatives(tmp_path / "*.tif") == ["a[1].tif", "b.tif"]
    assert relatives(f"{tmp_path}/**/*.tif") == ["a[1].tif", "b.tif", "sub/c.tif"]
    assert relatives(tmp_path / "a[1].tif") == ["a[1].tif"]
    assert relatives(f"{tmp_path}/s*") == ["sub/c.tif"]


@pytest.mark.parametrize("missing", ["absent", "absent.dm3", "*.dm3"])
def test_what_is_not_there_is_an_error(tmp_path: Path, missing: str) -> None:
    with pytest.raises(NothingToAnalyseError, match=r"absent|\*\.dm3"):
        find_sources(tmp_path / missing)


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden")
    with pytest.raises(NothingToAnalyseError, match=str(tmp_path)):
        find_sources(tmp_path)
    with pytest.raises(NothingToAnalyseError):
        find_sources([])


def test_emi_takes_its_ser_files_and_a_lone_ser_stays(tmp_path: Path) -> None:
    touch(tmp_path, "scan.emi", *(f"scan_{n}.ser" for n in range(1, 12)), "scan2_1.ser", "alone_1.ser")
    found = {s.relative: s for s in find_sources(tmp_path)}
    assert list(found) == ["alone_1.ser", "scan.emi", "scan2_1.ser"]
    assert [Path(c).name for c in found["scan.emi"].companions] == [f"scan_{n}.ser" for n in range(1, 12)]
    (alone,) = find_sources(tmp_path / "scan.emi")
    assert alone.companions == found["scan.emi"].companions
    assert relatives(tmp_path / "scan_3.ser") == ["scan_3.ser"]


def test_parts_of_a_tvips_series_are_one(tmp_path: Path) -> None:
    touch(tmp_path, "m_000.tvips", "m_001.tvips", "m_002.tvips")
    (source,) = find_sources(tmp_path)
    assert [Path(c).name for c in source.companions] == ["m_001.tvips", "m_002.tvips"]


def test_archives_are_opened_one_level(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as z:
        for name in ("in/x.tif", "in/s.emi", "in/s_1.ser", "__MACOSX/in/._x.tif", ".hidden", "deep.zip", "read.txt"):
            z.writestr(name, name)
    touch(tmp_path / "t", "y.dm3")
    with tarfile.open(tmp_path / "t.tar.gz", "w:gz") as t:
        t.add(tmp_path / "t" / "y.dm3", "y.dm3")
    (tmp_path / "g.mrc.gz").write_bytes(gzip.compress(b"content"))
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    found = {s.relative: s for s in find_sources(tmp_path)}
    assert list(found) == [
        "broken.zip", "g.mrc.gz::g.mrc", "t.tar.gz::y.dm3", "t/y.dm3",
        "z.zip::deep.zip", "z.zip::in/s.emi", "z.zip::in/x.tif", "z.zip::read.txt",
    ]  # fmt: skip
    assert found["broken.zip"].status == "failed"
    assert "one level" in found["z.zip::deep.zip"].reason
    assert found["z.zip::in/s.emi"].companions == ("in/s_1.ser",)
    assert found["z.zip::in/x.tif"].folder_name == "in"
    contents = {"g.mrc.gz::g.mrc": b"content", "t.tar.gz::y.dm3": b"y.dm3", "z.zip::in/x.tif": b"in/x.tif"}
    for name, content in contents.items():
        with local_copy(found[name]) as path:
            assert path.read_bytes() == content
            assert path.name == found[name].name
        assert not path.exists()
    with local_copy(found["z.zip::in/s.emi"]) as path:
        assert (path.parent / "s_1.ser").read_bytes() == b"in/s_1.ser"


def test_a_copy_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "bomb.tif.gz").write_bytes(gzip.compress(bytes(10_000_000)))
    (source,) = find_sources(tmp_path)
    with pytest.raises(UnreadableMicrographError, match="larger than 1000 bytes"), local_copy(source, max_bytes=1000):
        pytest.fail("it was copied")


def test_a_zarr_folder_is_one_source(tmp_path: Path) -> None:
    touch(tmp_path, "damaged.zarr/zarr.json", "damaged.zarr/a/c/0", "h.zspy/.zgroup", "x.tif")
    zarr.save_array(tmp_path / "plain", np.ones((3, 4)))
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    found = find_sources(tmp_path)
    assert [(s.relative, s.is_folder, s.status) for s in found] == [
        ("damaged.zarr", True, "failed"), ("empty.zarr", True, "set_aside"), ("h.zspy", True, "set_aside"),
        ("plain", True, "ok"), ("x.tif", False, "ok"),
    ]  # fmt: skip
    (alone,) = find_sources(tmp_path / "plain")
    assert alone.relative == "plain"
    assert micrograph_id(alone) == micrograph_id(found[3])


def test_links_that_lead_back_up_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.tif")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    assert relatives(tmp_path) == ["a/x.tif"]


def test_a_folder_that_may_not_be_listed_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "open/x.tif", "locked/y.tif")
    scandir = os.scandir

    def guarded(path: str) -> object:
        if str(path).rstrip("/").endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    found = find_sources(tmp_path)
    assert [(s.relative, s.status) for s in found] == [("locked", "failed"), ("open/x.tif", "ok")]
    assert "Permission denied" in found[0].reason


def test_remote_folders(tmp_path: Path) -> None:
    fs = fsspec.filesystem("memory")
    fs.pipe("/remote_test/s/a.dm3", b"content")
    fs.pipe("/remote_test/b.txt", b"x")
    found = find_sources("memory://remote_test")
    assert [(s.relative, s.url) for s in found] == [
        ("b.txt", "memory:///remote_test/b.txt"), ("s/a.dm3", "memory:///remote_test/s/a.dm3"),
    ]  # fmt: skip
    touch(tmp_path, "s/a.dm3")
    (tmp_path / "s" / "a.dm3").write_bytes(b"content")
    local = find_sources(f"file://{tmp_path}")[0]
    assert local.is_local
    assert micrograph_id(local) == micrograph_id(found[1])
    assert source_hash(local) == source_hash(found[1])
    assert source_stat(found[1])[0] == source_stat(local)[0] == 7
    with local_copy(found[1]) as path:
        assert path.read_bytes() == b"content"
    fs.rm("/remote_test", recursive=True)


def test_hash_and_stat_follow_the_content(tmp_path: Path) -> None:
    touch(tmp_path, "a.emi", "a_1.ser", "b.dm3")
    emi, other = find_sources(tmp_path)
    before = source_hash(emi)
    assert before == source_hash(emi)
    assert len(before) == 32
    assert before != source_hash(other)
    (tmp_path / "a_1.ser").write_bytes(b"another frame")
    assert source_hash(emi) != before
    (tmp_path / "b.dm3").unlink()
    assert source_stat(other) == (0, 0)
    assert pickle.loads(pickle.dumps(emi)) == emi


@pytest.fixture
def latin1_folder(tmp_path: Path) -> Path:
    """A folder with a file whose name is no UTF-8, as old instruments' computers leave them."""
    folder = os.fsencode(tmp_path / "grid") + b"\xb5"
    try:
        os.mkdir(folder)  # noqa: PTH102 - pathlib takes no bytes
    except OSError:
        pytest.skip("this file system takes only UTF-8 names")
    with open(folder + b"/\xff\xe9a.npy", "wb") as file:  # noqa: PTH123
        np.save(file, np.arange(6).reshape(2, 3))
    return Path(os.fsdecode(folder))


def test_a_name_that_is_no_utf8_is_read_and_can_be_stored(latin1_folder: Path) -> None:
    (source,) = find_sources(latin1_folder)
    (record,) = list_micrographs(pickle.loads(pickle.dumps(source)))
    assert micrograph_id(source).startswith("a-")
    assert micrograph_id(source) != micrograph_id(Source(url="/a.npy", relative="a.npy"))
    assert read_image(record).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert len(source_hash(source)) == 32
    row = to_row(record)
    assert row["source"].endswith(r"grid\udcb5/\udcff\udce9a.npy")
    assert row["sample"] == r"grid\udcb5"
    assert all(v.encode() for v in row.values() if isinstance(v, str)), "each can be stored as UTF-8"
    os.unlink(source.url)  # noqa: PTH108
    with pytest.raises(UnreadableMicrographError) as caught:
        read_image(record)
    assert str(caught.value).encode()


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_of_members_with_one_name_the_last_is_read_and_the_others_say_so(tmp_path: Path, kind: str) -> None:
    names = ["a.npy", "s.emi", "s_1.ser", "b.npy", "a.npy", "s.emi", "s_1.ser", "a.npy"]
    contents = []
    for number in range(len(names)):
        np.save(stored := io.BytesIO(), np.full((2, 2), number))
        contents.append(stored.getvalue())
    path = tmp_path / f"x.{kind}"
    if kind == "tar":
        with tarfile.open(path, "w") as tar:
            for name, content in zip(names, contents, strict=True):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # zipfile's own on duplicate names
            with zipfile.ZipFile(path, "w") as z:
                for name, content in zip(names, contents, strict=True):
                    z.writestr(name, content)
    sources = find_sources(path)
    assert len({micrograph_id(s) for s in sources}) == len(sources)
    assert sorted(s.member for s in sources if s.status == "ok") == ["a.npy", "b.npy", "s.emi"]
    replaced = [s for s in sources if s.status == "set_aside"]
    assert sorted(s.member for s in replaced) == ["a.npy", "a.npy", "s.emi", "s_1.ser"]
    assert {s.reason for s in replaced} == {"replaced by a later member of the same name"}
    by_name = {s.member: s for s in sources if s.status == "ok"}
    assert read_image(list_micrographs(by_name["a.npy"])[0]).tolist() == [[7, 7], [7, 7]]
    assert by_name["s.emi"].companions == ("s_1.ser",)
    with local_copy(by_name["s.emi"]) as copy:
        assert copy.read_bytes() == contents[5]
        assert (copy.parent / "s_1.ser").read_bytes() == contents[6]
