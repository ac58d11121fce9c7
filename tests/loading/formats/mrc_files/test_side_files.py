"""The side file (.mdoc) that SerialEM writes beside an MRC file."""

import zipfile
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from hrtem_dask.loading import MicrographRecord, find_sources, list_micrographs, read_image, set_aside_uncalibrated

SECTION = "[ZValue = {n}]\nTiltAngle = 0.0\nPixelSpacing = {angstrom}\nMagnification = 50000\n\n"


def write(path: Path, header_angstrom: float | None, *, sections: int = 1) -> None:
    """Write a stack of 32 × 48 px; None leaves the cell of the header empty."""
    images = np.random.default_rng(0).integers(0, 99, (sections, 32, 48)).astype(np.int16)
    with mrcfile.new(path, data=images) as file:
        file.voxel_size = header_angstrom or 0.0


def mdoc(*angstrom: float, width: int = 48, end: str = "\n") -> bytes:
    head = f"PixelSpacing = {angstrom[0]}\nVoltage = 200\nImageFile = a.mrc\nImageSize = {width} 32\nDataMode = 1\n\n"
    text = head + "[T = SerialEM: Digitized on a camera]\n\n"
    text += "".join(SECTION.format(n=n, angstrom=a) for n, a in enumerate(angstrom))
    return text.replace("\n", end).encode()


def listed(folder: Path) -> list[MicrographRecord]:
    """Every micrograph of a folder, as a run has it."""
    sources = [source for source in find_sources(folder) if source.suffix != ".mdoc"]
    return [set_aside_uncalibrated(r, pixels=False) for source in sources for r in list_micrographs(source)]


@pytest.mark.parametrize(("name", "side"), [("a.mrc", "a.mrc.mdoc"), ("a.mrc", "a.mdoc"), ("a.rec", "a.rec.mdoc")])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_header_without_a_size_gets_that_of_the_side_file(tmp_path: Path, name: str, side: str, end: str) -> None:
    write(tmp_path / name, None)
    (tmp_path / side).write_bytes(mdoc(2.5, end=end))
    (record,) = listed(tmp_path)
    assert (record.status, record.pixel_size_source) == ("ok", f"file: PixelSpacing in {side}")
    assert record.pixel_size_nm == pytest.approx((0.25, 0.25))
    assert (record.voltage_kv, record.magnification) == (200, 50000)


@pytest.mark.parametrize("side", ["b.mrc.mdoc", "a.mrc.txt"])
def test_the_side_file_of_another_file_is_not_used(tmp_path: Path, side: str) -> None:
    write(tmp_path / "a.mrc", None)
    (tmp_path / side).write_bytes(mdoc(2.5))
    records = [r for source in find_sources(tmp_path / "a.mrc") for r in list_micrographs(source)]
    assert [r.pixel_size_nm for r in records] == [None]


def test_a_reconstruction_does_not_take_the_side_file_of_its_series(tmp_path: Path) -> None:
    write(tmp_path / "a.rec", None)
    (tmp_path / "a.mdoc").write_bytes(mdoc(2.5))
    assert [r.status for r in listed(tmp_path)] == ["set_aside"]


def test_header_and_side_file_that_agree(tmp_path: Path) -> None:
    write(tmp_path / "a.mrc", 2.5)
    (tmp_path / "a.mrc.mdoc").write_bytes(mdoc(2.53))
    (record,) = listed(tmp_path)
    assert (record.status, record.reason, record.calibration_flags) == ("ok", "", ())
    assert record.pixel_size_nm == pytest.approx((0.25, 0.25))
    assert record.pixel_size_source == "file: MRC voxel size"


def test_header_and_side_file_that_contradict_each_other(tmp_path: Path) -> None:
    write(tmp_path / "a.mrc", 5.0)
    (tmp_path / "a.mrc.mdoc").write_bytes(mdoc(2.5))
    (record,) = listed(tmp_path)
    assert record.status == "set_aside"
    assert "0.5 nm (file: MRC voxel size), 0.25 nm (file: PixelSpacing in a.mrc.mdoc)" in record.reason


def test_sections_of_different_magnification(tmp_path: Path) -> None:
    write(tmp_path / "a.mrc", None, sections=2)
    (tmp_path / "a.mrc.mdoc").write_bytes(mdoc(2.5, 5.0))
    assert [r.status for r in listed(tmp_path)] == ["set_aside"] * 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (mdoc(2.5, width=96), "a.mrc.mdoc describes images of 96 × 32 px"),
        (mdoc(-10.0), "PixelSpacing in a.mrc.mdoc states a pixel of -1 nm"),
        (mdoc(1.0), "PixelSpacing in a.mrc.mdoc is exactly 1 Å"),
        (b"PixelSpacing = unknown\n\xff\xfe", ""),
        (b"", ""),
    ],
)
def test_what_is_no_pixel_size(tmp_path: Path, content: bytes, reason: str) -> None:
    write(tmp_path / "a.mrc", None)
    (tmp_path / "a.mrc.mdoc").write_bytes(content)
    (record,) = listed(tmp_path)
    assert (record.status, record.pixel_size_nm) == ("set_aside", None)
    assert reason in record.reason


def test_in_an_archive_and_at_a_url(tmp_path: Path) -> None:
    write(tmp_path / "a.mrc", None)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(tmp_path / "a.mrc", "day1/a.mrc")
        archive.writestr("day1/a.mrc.mdoc", mdoc(2.5))
        archive.writestr("day2/a.mrc.mdoc", mdoc(4.0))
    (member,) = (r for s in find_sources(tmp_path / "all.zip") if s.suffix == ".mrc" for r in list_micrographs(s))
    assert member.pixel_size_nm == pytest.approx((0.25, 0.25))
    assert read_image(member).shape == (32, 48)
