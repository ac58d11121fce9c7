"""Whatever is wrong with a file, it ends as one clear record, and nothing else is lost."""

import contextlib
import shutil
from pathlib import Path
from typing import Any

import cv2
import h5py
import mrcfile
import numpy as np
import psutil
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrtem_dask import tables
from hrtem_dask.errors import CalibrationError, UnreadableMicrographError
from hrtem_dask.loading import (
    MicrographRecord,
    find_sources,
    list_micrographs,
    read_image,
    read_single_image,
    set_aside_uncalibrated,
    to_row,
)

IMAGE = np.random.default_rng(0).integers(0, 60000, (64, 48)).astype(np.uint16)


def records(path: Path, **kwargs: Any) -> list[MicrographRecord]:
    return [r for s in find_sources(path) for r in list_micrographs(s, **kwargs)]


def only(path: Path, **kwargs: Any) -> MicrographRecord:
    (record,) = records(path, **kwargs)
    return record


def write(path: Path, kind: str) -> None:
    if kind == "tif":
        tifffile.imwrite(path, IMAGE)
    elif kind == "npy":
        with path.open("wb") as file:
            np.save(file, IMAGE)
    elif kind == "mrc":
        with mrcfile.new(path, overwrite=True) as mrc:
            mrc.set_data(IMAGE)
    elif kind in ("png", "jpg", "bmp"):
        path.write_bytes(cv2.imencode(f".{kind}", (IMAGE >> 8).astype(np.uint8))[1].tobytes())
    else:
        with h5py.File(path, "w") as hdf5:
            hdf5.create_group("data/a").attrs["emd_group_type"] = 1
            hdf5["data/a/data"] = IMAGE
            for n, name in enumerate("yx", start=1):
                hdf5[f"data/a/dim{n}"] = np.arange(IMAGE.shape[n - 1]) * 0.02
                hdf5[f"data/a/dim{n}"].attrs.update({"name": name, "units": "[n_m]"})


KINDS = ["tif", "npy", "mrc", "png", "jpg", "bmp", "emd"]
EXTENSIONS = [".dm3", ".dm4", ".emd", ".ser", ".emi", ".mrc", ".tif", ".hspy", ".bcf", ".tvips", ".png", ".jpg", ".npy"]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_empty_and_foreign_content_under_every_extension(tmp_path: Path, extension: str) -> None:
    contents = {
        "a": b"",
        "b": b"<html><body>404 Not Found</body></html>" * 40,
        "c": bytes(range(256)) * 20,
        "d": b"\0" * 3000,
    }
    for name, content in contents.items():
        (tmp_path / f"{name}{extension}").write_bytes(content)
    found = records(tmp_path)
    assert [r.source.name[0] for r in found] == ["a", "b", "c", "d"]
    assert {r.status for r in found} <= {"failed", "set_aside"}
    assert "empty" in found[0].reason
    assert "text file" in found[1].reason
    for record in found:
        assert record.reason
        with pytest.raises(Exception, match=record.source.name):
            read_image(record)


@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_read(tmp_path: Path, kind: str) -> None:
    write(tmp_path / f"x.{kind}", kind)
    image = read_image(only(tmp_path))
    if kind != "jpg":
        np.testing.assert_array_equal(image, IMAGE >> 8 if kind in ("png", "bmp") else IMAGE)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), kept=st.floats(0.0, 0.97))
def test_a_cut_off_file_never_gives_pixels(tmp_path: Path, kind: str, kept: float) -> None:
    path = tmp_path / f"x.{kind}"
    write(path, kind)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    for record in records(path):
        if record.status == "ok":
            with pytest.raises(UnreadableMicrographError, match="x"):
                read_image(record)
        else:
            assert record.status == "failed" or "not a micrograph format" in record.reason


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(KINDS), at=st.floats(0, 0.2), noise=st.binary(min_size=1, max_size=40))
def test_damaged_bytes_never_raise_anything_but_our_errors(tmp_path: Path, kind: str, at: float, noise: bytes) -> None:
    path = tmp_path / f"x.{kind}"
    write(path, kind)
    content = bytearray(path.read_bytes())
    start = int(at * len(content))
    content[start : start + len(noise)] = noise
    path.write_bytes(content)
    found = records(path)
    assert found
    for record in found[:3]:
        if record.status == "ok":
            with contextlib.suppress(UnreadableMicrographError):
                assert read_image(record).shape == (record.height_px, record.width_px)


def forge(path: Path, kind: str) -> None:
    """Make the header state a gigantic image."""
    write(path, kind)
    content = bytearray(path.read_bytes())
    if kind == "tif":
        with tifffile.TiffFile(path) as tif:
            at = tif.pages[0].tags["ImageLength"].offset + 8
        content[at : at + 4] = (2**31 - 1).to_bytes(4, "little")
    elif kind == "npy":
        content = bytearray(bytes(content).replace(b"(64, 48)", b"(9**9,9)").replace(b"9**9,9", b"999999"))
    elif kind == "mrc":
        content[0:12] = (2**31 - 1).to_bytes(4, "little") * 3
    elif kind == "png":
        content[16:24] = (2**31 - 1).to_bytes(4, "big") * 2
    elif kind == "bmp":
        content[18:26] = (2**30).to_bytes(4, "little") * 2
    elif kind == "jpg":
        at = content.index(b"\xff\xc0") + 5
        content[at : at + 4] = b"\xff\xff\xff\xff"
    else:
        with h5py.File(path, "r+") as hdf5:
            del hdf5["data/a/data"]
            hdf5.create_dataset("data/a/data", (2**33, 2**20), "u2", chunks=(64, 48))
        return
    path.write_bytes(content)


@pytest.mark.parametrize("kind", KINDS)
def test_a_header_that_states_a_gigantic_image_is_not_believed(tmp_path: Path, kind: str) -> None:
    write(tmp_path / f"x.{kind}", kind)
    assert only(tmp_path).status == "ok"  # and the reader is imported, whose memory does not count
    before = psutil.Process().memory_info().rss
    forge(tmp_path / f"x.{kind}", kind)
    assert only(tmp_path).status in ("failed", "set_aside")
    assert psutil.Process().memory_info().rss - before < 500e6


@pytest.mark.parametrize(
    ("content", "name"), [("tif", "a.dm3"), ("png", "a.tif"), ("mrc", "a.png"), ("tif", "a.dat"), ("jpg", "a")]
)
def test_a_wrong_extension_is_read_by_its_content_and_said(tmp_path: Path, content: str, name: str) -> None:
    write(tmp_path / name, content)
    record = only(tmp_path / name)
    assert record.status == "ok"
    assert "but it is a" in record.reason
    assert read_image(record).shape == IMAGE.shape


@pytest.mark.parametrize("shape", [(1, 1), (20000, 100), (1, 500), (500, 1)])
@pytest.mark.parametrize("kind", ["tif", "npy", "mrc"])
def test_odd_shapes(tmp_path: Path, shape: tuple[int, int], kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = (np.arange(np.prod(shape)) % 1000).astype(np.uint16).reshape(shape)
    monkeypatch.setitem(globals(), "IMAGE", image)
    write(tmp_path / f"a.{kind}", kind)
    np.testing.assert_array_equal(read_image(only(tmp_path)), image)


def test_nan_and_infinity_are_read_as_they_are(tmp_path: Path) -> None:
    image = np.array([[np.nan, np.inf], [-np.inf, 1.5]], np.float32)
    tifffile.imwrite(tmp_path / "a.tif", image)
    np.testing.assert_array_equal(read_image(only(tmp_path)), image)


def test_unreadable_permissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.tif", "locked.tif"):
        write(tmp_path / name, "tif")
    whole = {r.source.name: r for r in records(tmp_path)}
    opened = Path.open

    def guarded(self: Path, *args: Any, **kwargs: Any) -> Any:
        if self.name == "locked.tif":
            raise PermissionError(13, "Permission denied")
        return opened(self, *args, **kwargs)

    monkeypatch.setattr(Path, "open", guarded)
    found = {r.source.name: r for r in records(tmp_path)}
    assert found["a.tif"].status == "ok"
    assert found["locked.tif"].status == "failed"
    assert "permission denied" in found["locked.tif"].reason
    with pytest.raises(UnreadableMicrographError, match="permission denied"):
        read_image(whole["locked.tif"])


def test_a_file_that_goes_or_changes_after_the_listing(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", "tif")
    record = only(tmp_path)
    tifffile.imwrite(tmp_path / "a.tif", IMAGE[:-1])
    with pytest.raises(UnreadableMicrographError, match="changed"):
        read_image(record)
    (tmp_path / "a.tif").unlink()
    with pytest.raises(UnreadableMicrographError, match=r"does not exist"):
        read_image(record)


def test_names_with_spaces_and_letters_of_any_script(tmp_path: Path) -> None:
    names = ["Größe 5 µm (überlagert).tif", "金ナノ粒子.tif", "a b;c'd.tif", "é\u0301 #1%.tif", "…tif.tif"]
    for folder in ("one", "two"):
        for name in names:
            (tmp_path / folder).mkdir(exist_ok=True)
            write(tmp_path / folder / name, "tif")
    found = records(tmp_path)
    assert len(found) == len({r.micrograph_id for r in found}) == 10
    for record in found:
        assert record.micrograph_id.isascii()
        assert set(record.micrograph_id) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
        np.testing.assert_array_equal(read_image(record), IMAGE)
    assert {r.sample for r in found} == {"one", "two"}


def test_memory_errors_reach_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.tif", "tif")
    record = only(tmp_path)

    def exhausted(self: tifffile.TiffPage) -> None:
        raise MemoryError

    monkeypatch.setattr(tifffile.TiffPage, "asarray", exhausted)
    with pytest.raises(MemoryError):
        read_image(record)


def test_rows_fit_the_table(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", "tif")
    (tmp_path / "b.dm3").write_bytes(b"")
    rows = [to_row(r) for r in records(tmp_path)]
    assert set(rows[0]) <= {c.name for c in tables.MICROGRAPHS}
    import pandas as pd

    table = tables.conform(pd.DataFrame(rows), tables.MICROGRAPHS)
    assert list(table["status"]) == ["ok", "failed"]
    assert list(table["calibration_flags"].fillna("")) == ["missing", ""]


def test_pixel_size_by_the_user_and_setting_aside(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", "tif")
    tifffile.imwrite(tmp_path / "b.tif", IMAGE, resolution=(1e7 / 200, 1e7 / 200), resolutionunit="CENTIMETER")
    missing, huge = records(tmp_path)
    assert huge.calibration_flags == ("implausible",)
    assert set_aside_uncalibrated(missing).status == "set_aside"
    assert "--pixel-size" in set_aside_uncalibrated(missing).reason
    assert "200 nm" in set_aside_uncalibrated(huge).reason
    for record in (missing, huge):
        in_pixels = set_aside_uncalibrated(record, pixels=True)
        assert (in_pixels.status, in_pixels.pixel_size_nm) == ("ok", None)
    given = only(tmp_path / "a.tif", pixel_size_nm=0.02)
    assert (given.pixel_size_nm, given.pixel_size_source, given.calibration_flags) == ((0.02, 0.02), "user", ())
    assert set_aside_uncalibrated(only(tmp_path / "a.tif", pixel_size_nm=50.0)).status == "ok"
    with pytest.raises(CalibrationError, match="positive"):
        records(tmp_path, pixel_size_nm=0.0)


def test_a_single_image(tmp_path: Path) -> None:
    write(tmp_path / "gain.tif", "tif")
    np.testing.assert_array_equal(read_single_image(str(tmp_path / "gain.tif")), IMAGE)
    np.save(tmp_path / "two.npy", np.stack([IMAGE, IMAGE]))
    for name, word in (("two.npy", "holds 2"), ("note.txt", "not a micrograph")):
        (tmp_path / "note.txt").write_text("no image")
        with pytest.raises(UnreadableMicrographError, match=word):
            read_single_image(str(tmp_path / name))


def test_archived_stacks_are_read_by_one_copy(tmp_path: Path) -> None:
    from hrtem_dask.loading import local_copy

    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in" / "s.npy", np.stack([IMAGE, IMAGE + 1]))
    shutil.make_archive(str(tmp_path / "s"), "zip", tmp_path / "in")
    found = records(tmp_path / "s.zip")
    with local_copy(found[0].source) as path:
        for record, image in zip(found, (IMAGE, IMAGE + 1), strict=True):
            np.testing.assert_array_equal(read_image(record, local_path=path), image)
            np.testing.assert_array_equal(read_image(record), image)
