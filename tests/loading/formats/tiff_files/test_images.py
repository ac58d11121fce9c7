"""TIFF: calibration tags of every maker, pages, colours, palettes, and cut-off files; all written here."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrtem_dask.errors import UnreadableMicrographError
from hrtem_dask.loading import MicrographRecord, find_sources, list_micrographs, read_image

IMAGE = np.arange(6 * 8, dtype=np.uint16).reshape(6, 8) * 1000


def records(path: Path) -> list[MicrographRecord]:
    return [r for s in find_sources(path) for r in list_micrographs(s)]


def only(path: Path) -> MicrographRecord:
    (record,) = records(path)
    return record


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    unit=st.sampled_from(
        [("nm", 1.0), ("micron", 1e3), ("\\u00B5m", 1e3), ("um", 1e3), ("pm", 1e-3), ("\\u00C5", 0.1)]
    ),
    nm=st.floats(0.005, 5.0),
)
def test_imagej_units(tmp_path: Path, unit: tuple[str, float], nm: float) -> None:
    name, factor = unit
    path = tmp_path / "ij.tif"
    tifffile.imwrite(path, IMAGE, imagej=True, resolution=(factor / nm, factor / nm), metadata={"unit": name})
    record = only(path)
    assert record.pixel_size_nm == pytest.approx((nm, nm), rel=1e-6)
    assert record.pixel_size_source == "file: TIFF ImageJ"


def test_an_imagej_file_without_unit_is_uncalibrated(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, imagej=True, resolution=(50.0, 50.0))
    tifffile.imwrite(tmp_path / "b.tif", IMAGE, imagej=True, resolution=(50.0, 50.0), metadata={"unit": "pixel"})
    tifffile.imwrite(tmp_path / "c.tif", IMAGE, imagej=True, resolution=(300.0, 300.0), metadata={"unit": "inch"})
    assert [r.calibration_flags for r in records(tmp_path)] == [("missing",)] * 3


@pytest.mark.parametrize("dpi", [1, 72, 96, 150, 300, 600, 1200])
def test_dots_per_inch_are_no_calibration(tmp_path: Path, dpi: int) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, resolution=(dpi, dpi), resolutionunit="INCH")
    tifffile.imwrite(tmp_path / "b.tif", IMAGE, resolution=(dpi / 2.54, dpi / 2.54), resolutionunit="CENTIMETER")
    tifffile.imwrite(tmp_path / "c.tif", IMAGE, resolution=(dpi, dpi), resolutionunit="NONE")
    for record in records(tmp_path):
        assert record.pixel_size_nm is None
        assert record.pixel_size_source == "none"
        assert record.status == "ok"


def test_a_microscopic_resolution_is_one(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, resolution=(1e7 / 0.05, 1e7 / 0.02), resolutionunit="CENTIMETER")
    record = only(tmp_path / "a.tif")
    assert record.pixel_size_nm == pytest.approx((0.02, 0.05), rel=1e-4)
    assert record.calibration_flags == ("non_square",)


def private(path: Path, tags: list[tuple[int, str, int, Any, bool]], **kwargs: Any) -> MicrographRecord:
    tifffile.imwrite(path, IMAGE, extratags=tags, **kwargs)
    return only(path)


def test_digital_micrograph_tags_win_over_resolution(tmp_path: Path) -> None:
    tags = [
        (65003, "s", 0, "nm", True), (65004, "s", 0, "A", True),
        (65009, "d", 1, 0.03, True), (65010, "d", 1, 0.2, True),
    ]  # fmt: skip
    record = private(tmp_path / "dm.tif", tags, resolution=(72, 72), resolutionunit="INCH")
    assert record.pixel_size_nm == pytest.approx((0.02, 0.03))
    assert "DigitalMicrograph" in record.pixel_size_source
    tags[0] = (65003, "s", 0, "1/nm", True)
    refused = private(tmp_path / "fft.tif", tags)
    assert refused.status == "set_aside"
    assert "diffraction" in refused.reason


def test_fei_tags(tmp_path: Path) -> None:
    ini = "[User]\r\nDate=01/02/2020\r\n[Scan]\r\nPixelWidth=2e-11\r\nPixelHeight=3e-11\r\n[Beam]\r\nHV=200000\r\n"
    scan = private(tmp_path / "scan.tif", [(34682, "s", 0, ini, True)], resolution=(96, 96), resolutionunit="INCH")
    assert scan.pixel_size_nm == pytest.approx((0.03, 0.02))
    assert scan.voltage_kv == 200
    xml = (
        "<Root><Data><Label>Microscope</Label><Value>Microscope Tecnai F20</Value></Data><Data><Label>Mode</Label>"
        "<Value>TEM {}</Value></Data><Data><Label>High tension</Label><Value>120</Value></Data></Root>"
    )
    resolution = [(65450, "2I", 1, (10**9, 1), True), (65451, "2I", 1, (10**9, 1), True), (65452, "H", 1, 3, True)]
    tem = private(tmp_path / "tem.tif", [(34682, "s", 0, xml.format("SA Zoom"), True), *resolution])
    assert tem.pixel_size_nm == pytest.approx((0.01, 0.01))
    assert (tem.voltage_kv, tem.instrument) == (120, "Tecnai F20")
    pattern = private(tmp_path / "diff.tif", [(34682, "s", 0, xml.format("Diffraction"), True), *resolution])
    assert pattern.status == "set_aside"


def test_jeol_resolution_is_on_the_camera(tmp_path: Path) -> None:
    xml = (
        "<TemReporter><ElectronGun><AccelerationVoltage>200000</AccelerationVoltage></ElectronGun><ImageFormingSystem>"
        "<ModeString>{}</ModeString><SelectorValue>1000000</SelectorValue></ImageFormingSystem></TemReporter>"
    )
    kwargs = {"resolution": (1000, 1000), "resolutionunit": "CENTIMETER", "metadata": None}
    make = [(271, "s", 0, "JEOL Ltd.", True)]
    image = private(tmp_path / "mag.tif", make, description=xml.format("MAG"), **kwargs)
    assert image.pixel_size_nm == pytest.approx((0.01, 0.01))  # 10 µm on the camera at a million times
    assert (image.voltage_kv, image.magnification) == (200, 1e6)
    assert private(tmp_path / "diff.tif", make, description=xml.format("DIFF"), **kwargs).status == "set_aside"


def test_ome(tmp_path: Path) -> None:
    size = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "Å", "PhysicalSizeY": 2e-5}
    tifffile.imwrite(tmp_path / "o.ome.tif", IMAGE[None].repeat(3, 0), ome=True, metadata={"axes": "ZYX", **size})
    found = records(tmp_path / "o.ome.tif")
    assert [r.frame for r in found] == [0, 1, 2]
    assert found[0].pixel_size_nm == pytest.approx((0.02, 0.025))  # without a unit of its own y is in µm
    tifffile.imwrite(tmp_path / "x.ome.tif", IMAGE, ome=True, metadata={"axes": "YX", "PhysicalSizeX": 0.1})
    assert only(tmp_path / "x.ome.tif").calibration_flags == ("missing",)


@pytest.mark.parametrize("kwargs", [{}, {"imagej": True}, {"compression": "lzw"}, {"bigtiff": True, "byteorder": ">"}])
def test_each_page_of_a_stack_is_one_micrograph(tmp_path: Path, kwargs: dict[str, Any]) -> None:
    stack = np.random.default_rng(0).integers(0, 4000, (4, 6, 8)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "s.tif", stack, photometric="minisblack", **kwargs)
    found = records(tmp_path / "s.tif")
    assert len({r.micrograph_id for r in found}) == 4
    for record, frame in zip(found, stack, strict=True):
        image = read_image(record)
        np.testing.assert_array_equal(image, frame)
        assert image.dtype == np.dtype("uint16")
        assert image.dtype.isnative


def test_images_of_different_size_are_signals(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "two.tif") as tif:
        tif.write(IMAGE)
        tif.write(IMAGE[:3, :4].astype(np.float32))
    first, second = records(tmp_path / "two.tif")
    assert (second.signal, second.height_px, second.width_px, second.dtype) == (1, 3, 4, "float32")
    np.testing.assert_array_equal(read_image(second), IMAGE[:3, :4])
    np.testing.assert_array_equal(read_image(first), IMAGE)


def test_grey_saved_as_colour_is_a_micrograph_and_colour_is_none(tmp_path: Path) -> None:
    grey = np.random.default_rng(1).integers(0, 255, (60, 70)).astype(np.uint8)
    rgb = np.repeat(grey[..., None], 3, -1)
    labelled = rgb.copy()
    labelled[-2:, :5, 0] ^= 255  # a small coloured scale bar
    tifffile.imwrite(tmp_path / "a_grey.tif", rgb, photometric="rgb")
    tifffile.imwrite(tmp_path / "b_labelled.tif", labelled, photometric="rgb")
    tifffile.imwrite(tmp_path / "c_planes.tif", np.moveaxis(rgb, -1, 0).copy(), photometric="rgb", planarconfig=2)
    tifffile.imwrite(tmp_path / "d_colour.tif", np.roll(rgb, [1, 2, 3], (0, 1, 2)) ^ [0, 90, 0], photometric="rgb")
    a, b, c, d = records(tmp_path)
    for record in (a, b, c):
        np.testing.assert_array_equal(read_image(record), grey)
    assert a.reason == ""
    assert "0.2" in b.reason
    assert d.status == "set_aside"
    assert "color picture" in d.reason


def test_palettes(tmp_path: Path) -> None:
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    ramp = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))
    with_overlay_colours = ramp.copy()
    with_overlay_colours[0, :8] = 65535  # no pixel of the second image has these
    jet = np.random.default_rng(0).integers(0, 65535, (3, 256)).astype(np.uint16)
    for name, colormap in (("a", ramp), ("b", with_overlay_colours), ("c", jet)):
        used = np.maximum(values, 8) if name == "b" else values
        tifffile.imwrite(tmp_path / f"{name}.tif", used, photometric="palette", colormap=colormap)
    a, b, c = records(tmp_path)
    np.testing.assert_array_equal(read_image(a), values)
    np.testing.assert_array_equal(read_image(b), np.maximum(values, 8))
    assert c.status == "set_aside"


def test_zero_is_white_is_inverted(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "w.tif", IMAGE, photometric="miniswhite")
    np.testing.assert_array_equal(read_image(only(tmp_path / "w.tif")), 65535 - IMAGE)


@pytest.mark.parametrize("kwargs", [{}, {"compression": "lzw"}, {"rowsperstrip": 1}, {"tile": (16, 16)}])
def test_a_file_cut_off_fails_instead_of_giving_zeros(tmp_path: Path, kwargs: dict[str, Any]) -> None:
    image = np.random.default_rng(0).integers(0, 65535, (64, 64)).astype(np.uint16)
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, image, **kwargs)
    whole = only(path)
    path.write_bytes(path.read_bytes()[:-2000])
    assert only(path).status == "failed"
    assert "cut off" in only(path).reason
    with pytest.raises(UnreadableMicrographError, match="cut off"):
        read_image(whole)


def test_complex_and_cubes_are_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", IMAGE.astype(np.complex64))
    record = only(tmp_path / "a.tif")
    assert record.status == "set_aside"
    assert "complex" in record.reason


def jeol(path: Path, mode: str, dpi: int, *, per_meter: float | None = None) -> MicrographRecord:
    drawn = "" if per_meter is None else (
        f"<DrawImageInformation><PixelsPerMeter><Horizontal>{per_meter}</Horizontal><Vertical>{per_meter}</Vertical>"
        "</PixelsPerMeter></DrawImageInformation>"
    )  # fmt: skip
    xml = (
        f"<TemReporter><Eos><EosMode>{mode}</EosMode></Eos><ImageFormingSystem><ModeString>MAG</ModeString>"
        f"<SelectorValue>400000</SelectorValue></ImageFormingSystem>{drawn}</TemReporter>"
    )
    tags = [(271, 2, None, "JEOL Ltd.", True)]
    tifffile.imwrite(
        path, IMAGE, description=xml, metadata=None, resolution=(dpi, dpi), resolutionunit="INCH", extratags=tags
    )
    return only(path)


def test_the_magnification_of_the_lenses_means_nothing_in_stem(tmp_path: Path) -> None:
    tem, stem = jeol(tmp_path / "a.tif", "eosTEM", 93), jeol(tmp_path / "b.tif", "modeASID", 93)
    assert tem.pixel_size_nm == pytest.approx((25.4e6 / 93 / 400_000,) * 2, rel=1e-4)
    assert (stem.pixel_size_nm, stem.magnification, stem.imaging) == (None, None, "STEM")
    assert "STEM" in stem.reason


def test_a_print_resolution_in_a_jeol_file(tmp_path: Path) -> None:
    assert jeol(tmp_path / "a.tif", "eosTEM", 300).pixel_size_nm is None
    known = jeol(tmp_path / "b.tif", "eosTEM", 300, per_meter=3642)
    assert known.pixel_size_nm == pytest.approx((1e9 / 3642 / 400_000,) * 2, rel=1e-4)
    assert "contradictory" in jeol(tmp_path / "c.tif", "eosTEM", 120, per_meter=3642).calibration_flags


@pytest.mark.parametrize(
    ("dpi", "unit"), [(72, "INCH"), (300, "INCH"), (118, "CENTIMETER"), (96, "NONE"), (300, "NONE")]
)
def test_a_print_resolution_beside_imagej_text(tmp_path: Path, dpi: int, unit: str) -> None:
    text = "ImageJ=1.54f\nunit=nm\n"
    tifffile.imwrite(
        tmp_path / "a.tif", IMAGE, description=text, metadata=None, resolution=(dpi, dpi), resolutionunit=unit
    )
    record = only(tmp_path / "a.tif")
    assert record.pixel_size_nm is None
    assert "ImageJ" in record.reason


def test_sizes_of_two_makers_that_contradict_each_other(tmp_path: Path) -> None:
    tags = [
        (65003, "s", 0, "nm", True), (65004, "s", 0, "nm", True),
        (65009, "d", 1, 0.05, True), (65010, "d", 1, 0.05, True),
    ]  # fmt: skip
    same = private(tmp_path / "a.tif", tags, resolution=(1e7 / 0.0505, 1e7 / 0.0505), resolutionunit="CENTIMETER")
    assert same.calibration_flags == ()
    other = private(tmp_path / "b.tif", tags, resolution=(1e7 / 0.1, 1e7 / 0.1), resolutionunit="CENTIMETER")
    assert other.calibration_flags == ("contradictory",)
    assert "0.05 nm" in other.reason
    assert "0.1 nm (file: TIFF XResolution)" in other.reason
