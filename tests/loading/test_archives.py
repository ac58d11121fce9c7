"""A member is the same whether its archive was listed in this process before, as workers have not."""

import bz2
import gzip
import io
import lzma
import ntpath
import re
import tarfile
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from hrtem_dask.loading import archives, find_sources, list_micrographs, read_image
from hrtem_dask.loading.access import _file_name
from hrtem_dask.loading.archives import member_names, open_member

CONTENT = {"a/one.bin": b"one" * 1000, "two.bin": b"two"}


def packed(path: Path) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in CONTENT.items():
                archive.writestr(name, content)
        return path
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in CONTENT.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    pack = {".tar": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}[path.suffix]
    path.write_bytes(pack(buffer.getvalue()))
    return path


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tar.bz2", ".tar.xz"])
def test_members_of_an_archive_that_was_not_listed_here(tmp_path: Path, ending: str) -> None:
    url = str(packed(tmp_path / f"archive{ending}"))
    for name, content in CONTENT.items():
        archives._cached_tar_index.cache_clear()
        archives._cached_zip_index.cache_clear()
        with open_member(url, name) as file:
            assert file.read() == content
    assert member_names(url) == list(CONTENT)
    with open_member(url, "two.bin") as file:
        assert file.read() == CONTENT["two.bin"]


def npy() -> bytes:
    content = io.BytesIO()
    np.save(content, np.arange(64, dtype=np.uint16).reshape(8, 8))
    return content.getvalue()


OUTSIDE = ("../../evil.npy", "/evil.npy", "a/../../evil.npy", "..\\..\\evil.npy", "C:\\evil.npy", "./ok.npy")


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz"])
def test_names_that_lead_out_of_the_archive_write_nothing_there(
    tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, copies = tmp_path / "deep" / "in", tmp_path / "deep" / "er" / "copies"
    inputs.mkdir(parents=True)
    copies.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    names = (*OUTSIDE, "..", "a/..")
    path = inputs / f"a{ending}"
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(zipfile.ZipInfo(name), npy())
    else:
        with tarfile.open(path, "w:gz" if ending.endswith("gz") else "w") as tar:
            for name in names:
                info = tarfile.TarInfo(name)
                info.size = len(npy())
                tar.addfile(info, io.BytesIO(npy()))
    found = [r for source in find_sources(inputs) for r in list_micrographs(source)]
    assert len(found) == len(names), "each member has its row"
    for record in found:
        if record.status == "ok":
            assert read_image(record).shape == (8, 8)
        else:
            assert record.reason
        assert re.fullmatch(r"[A-Za-z0-9_-]+", record.micrograph_id)
    assert sum(r.status == "ok" for r in found) == len(OUTSIDE)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]
    assert not Path("/evil.npy").exists()


def test_names_of_copies_stay_in_their_folder_on_windows_too() -> None:
    for name in ("..\\..\\evil.npy", "C:\\evil.npy", "C:evil.npy"):
        assert ntpath.basename(_file_name(name)) == _file_name(name)
        assert not ntpath.splitdrive(_file_name(name))[0]


def test_links_and_devices_of_an_archive_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.npy"
    secret.write_bytes(npy())
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / "a.tar", "w") as tar:
        info = tarfile.TarInfo("ok.npy")
        info.size = len(npy())
        tar.addfile(info, io.BytesIO(npy()))
        for name, kind, target in (
            ("same.npy", tarfile.LNKTYPE, "ok.npy"),
            ("out.npy", tarfile.LNKTYPE, str(secret)),
            ("link.npy", tarfile.SYMTYPE, str(secret)),
            ("one.npy", tarfile.SYMTYPE, "two.npy"),
            ("two.npy", tarfile.SYMTYPE, "one.npy"),
            ("pipe.npy", tarfile.FIFOTYPE, ""),
            ("zero.npy", tarfile.CHRTYPE, ""),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            tar.addfile(info)
    found = {r.source.name: r for source in find_sources(tmp_path / "in") for r in list_micrographs(source)}
    good = {name for name, r in found.items() if r.status == "ok"}
    assert good == {"ok.npy", "same.npy"}
    np.testing.assert_array_equal(read_image(found["same.npy"]), read_image(found["ok.npy"]))
    for name in ("out.npy", "link.npy", "one.npy", "two.npy"):
        assert "a link to" in found[name].reason
        assert "not followed" in found[name].reason
    for name in ("pipe.npy", "zero.npy"):
        assert "a device or a pipe" in found[name].reason
