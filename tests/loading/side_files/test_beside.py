"""Files that microscopes write beside an image: their pixel sizes are read, and compared with the others."""

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from hrtem_dask.loading import MicrographRecord, find_sources, list_micrographs, set_aside_uncalibrated

HEIGHT, WIDTH = 48, 64
EPU = """<?xml version="1.0" encoding="utf-8"?>
<MicroscopeImage xmlns="http://schemas.datacontract.org/2004/07/Fei.SharedObjects"
 xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><microscopeData><acquisition>
<acquisitionDateTime>2021-03-04T05:06:07.1234567+01:00</acquisitionDateTime>
<camera><Binning xmlns:a="http://schemas.datacontract.org/2004/07/System.Drawing"><a:x>1</a:x><a:y>1</a:y></Binning>
<ReadoutArea xmlns:a="http://schemas.datacontract.org/2004/07/System.Drawing"><a:height>{height}</a:height>
<a:width>{width}</a:width></ReadoutArea></camera></acquisition><gun><AccelerationVoltage>300000</AccelerationVoltage>
</gun><instrument><InstrumentModel>TITAN52</InstrumentModel></instrument><optics><ProjectorMode>{mode}</ProjectorMode>
<TemMagnification><NominalMagnification>130000</NominalMagnification></TemMagnification></optics></microscopeData>
<SpatialScale><pixelSize><x><numericValue>{x}</numericValue><unit>
<_x003C_Symbol_x003E_k__BackingField>m</_x003C_Symbol_x003E_k__BackingField></unit></x>
<y><numericValue>{y}</numericValue></y></pixelSize></SpatialScale></MicroscopeImage>"""


def epu(x: str = "1.07E-10", *, mode: str = "Imaging", height: int = HEIGHT, width: int = WIDTH) -> bytes:
    return EPU.format(x=x, y=x, mode=mode, height=height, width=width).encode()


def hitachi(size: str = "0.992", shape: str = f"{WIDTH}x{HEIGHT}") -> bytes:
    text = (
        "[SemImageFile]\nInstructName=SU8000\nSignalName=SE(U)\nAcceleratingVoltage=5000 Volt\nMagnification=100000\n"
    )
    return f"{text}DataSize={shape}\nPixelSize={size}\n".replace("\n", "\r\n").encode()


def jeol(bar: str = "125", marker: str = "100nm", size: str = f"{WIDTH} {HEIGHT}") -> bytes:
    text = "$CM_FORMAT JEOL-SEM\n$CM_ACCEL_VOLT 15.00\n$CM_MAG 100000\n$CM_SIGNAL SEI\n"
    return f"{text}$CM_FULL_SIZE {size}\n$$SM_MICRON_BAR {bar}\n$$SM_MICRON_MARKER {marker}\n".encode()


def image(path: Path, *, height: int = HEIGHT, nm: float | None = None) -> None:
    """Write an image, with ImageJ's pixel size or without one."""
    pixels = np.random.default_rng(0).integers(50, 200, (height, WIDTH)).astype(np.uint8)
    if path.suffix == ".tif":
        known = {"imagej": True, "resolution": (1 / nm, 1 / nm), "metadata": {"unit": "nm"}} if nm else {}
        tifffile.imwrite(path, pixels, **known)
    else:
        cv2.imwrite(str(path), pixels)


def listed(folder: Path) -> list[MicrographRecord]:
    """Every micrograph of a folder, as a run has it."""
    sources = [s for s in find_sources(folder) if s.status == "ok"]
    return [set_aside_uncalibrated(r) for source in sources for r in list_micrographs(source)]


@pytest.mark.parametrize("name", ["a.tif", "a.bmp", "a.jpg", "a.TIF"])
@pytest.mark.parametrize(
    ("side", "content", "size_nm", "source", "kv"),
    [
        ("a.txt", hitachi(), 0.992, "Hitachi PixelSize in a.txt", 5.0),
        ("a.TXT", hitachi("0,992 nm"), 0.992, "Hitachi PixelSize in a.TXT", 5.0),
        ("a.txt", hitachi().decode().encode("utf-16"), 0.992, "Hitachi PixelSize in a.txt", 5.0),
        ("a.txt", hitachi().replace(b"Sem", b"Tem"), 0.992, "Hitachi PixelSize in a.txt", 5.0),
        ("a.txt", jeol(), 0.8, "JEOL SM_MICRON_MARKER in a.txt", 15.0),
        ("a.txt", jeol("100", "0.2um"), 2.0, "JEOL SM_MICRON_MARKER in a.txt", 15.0),
        ("a.txt", jeol("100", "0.2 \u00b5m").decode().encode("latin-1"), 2.0, "JEOL SM_MICRON_MARKER in a.txt", 15.0),
        ("a.xml", epu(), 0.107, "Thermo Fisher SpatialScale in a.xml", 300.0),
    ],
)
def test_the_pixel_size_of_a_side_file(
    tmp_path: Path, name: str, side: str, content: bytes, size_nm: float, source: str, kv: float
) -> None:
    path = tmp_path / name
    image(path.with_suffix(path.suffix.lower()))
    path.with_suffix(path.suffix.lower()).rename(path)
    (tmp_path / side).write_bytes(content)
    (record,) = listed(tmp_path)
    assert (record.status, record.pixel_size_source) == ("ok", f"file: {source}")
    assert record.pixel_size_nm == pytest.approx((size_nm, size_nm))
    assert record.voltage_kv == kv
    assert record.magnification == (130000 if side.endswith("xml") else 100000)


def test_a_side_file_in_an_archive(tmp_path: Path) -> None:
    image(tmp_path / "a.tif")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(tmp_path / "a.tif", "day1/a.tif")
        archive.writestr("day1/a.txt", jeol())
        archive.writestr("day2/a.txt", jeol("10"))
    (tmp_path / "a.tif").unlink()
    (record,) = listed(tmp_path)
    assert record.pixel_size_nm == pytest.approx((0.8, 0.8))


@pytest.mark.parametrize(("in_image", "in_xml", "status"), [(0.8, "8.0E-10", "ok"), (0.5, "8.0E-10", "set_aside")])
def test_sizes_are_compared(tmp_path: Path, in_image: float, in_xml: str, status: str) -> None:
    image(tmp_path / "a.tif", nm=in_image)
    (tmp_path / "a.txt").write_bytes(jeol())
    (tmp_path / "a.xml").write_bytes(epu(in_xml))
    (record,) = listed(tmp_path)
    assert record.status == status
    if status == "set_aside":
        assert "contradictory" in record.calibration_flags
        for words in ("0.5 nm (file: TIFF ImageJ)", "0.8 nm (file: JEOL", "0.8 nm (file: Thermo"):
            assert words in record.reason


@pytest.mark.parametrize("content", [hitachi(shape="1280x960"), jeol(size="1280 960"), epu(height=4096, width=4096)])
def test_an_image_of_another_size_has_other_pixels(tmp_path: Path, content: bytes) -> None:
    image(tmp_path / "a.tif")
    side = "a.xml" if content.startswith(b"<") else "a.txt"
    (tmp_path / side).write_bytes(content)
    (record,) = listed(tmp_path)
    assert (record.status, record.pixel_size_nm) == ("set_aside", None)
    assert f"{side} describes an image of" in record.reason


def test_a_bar_with_text_below_the_image_is_no_other_size(tmp_path: Path) -> None:
    image(tmp_path / "a.tif", height=HEIGHT + 5)
    (tmp_path / "a.txt").write_bytes(jeol())
    assert listed(tmp_path)[0].pixel_size_nm == pytest.approx((0.8, 0.8))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", b"PixelSize=0.5 nm, as I measured it\n"),
        ("a.txt", b"x\ty\n1\t2\n"),
        ("a.txt", b"\x00\x01\x02"),
        ("a.txt", hitachi("-1")),
        ("a.txt", jeol("0")),
        ("a.txt", jeol("100", "10")),
        ("a.xml", b"<note>MicroscopeImage</note>"),
        ("a.xml", epu()[:700]),
        ("a.xml", epu("0")),
        ("a.xml", epu("NaN")),
        ("b.txt", hitachi()),
    ],
)
def test_other_texts_and_numbers_that_are_none_give_no_size(tmp_path: Path, name: str, content: bytes) -> None:
    image(tmp_path / "a.tif")
    (tmp_path / name).write_bytes(content)
    (record,) = listed(tmp_path)
    assert (record.status, record.pixel_size_nm) == ("set_aside", None)


def test_a_camera_in_diffraction_mode(tmp_path: Path) -> None:
    image(tmp_path / "a.tif")
    (tmp_path / "a.xml").write_bytes(epu(mode="Diffraction"))
    (record,) = listed(tmp_path)
    assert (record.status, record.pixel_size_nm) == ("set_aside", None)
    assert "diffraction pattern" in record.reason


def test_tescan(tmp_path: Path) -> None:
    image(tmp_path / "a.tif")
    (tmp_path / "a-tif.hdr").write_text(
        "[MAIN]\nMagnification=5e4\nPixelSizeX=2.5e-9\nPixelSizeY=2.5e-9\n[SEM]\nHV=2e4\n"
    )
    (record,) = listed(tmp_path)
    assert record.pixel_size_nm == pytest.approx((2.5, 2.5))
    assert record.voltage_kv == 20


def test_a_detector_named_beside_the_image(tmp_path: Path) -> None:
    image(tmp_path / "a.tif")
    (tmp_path / "a.txt").write_bytes(jeol().replace(b"SEI", b"STEM_DF2"))
    assert listed(tmp_path)[0].imaging.startswith(("dark field", "STEM"))
