"""Formats other than TIFF, written here by independent writers: MRC, HSPY, EMD, NPY, PNG, JPEG, BMP, Zarr."""

import json
from pathlib import Path
from typing import Any

import cv2
import h5py
import mrcfile
import numpy as np
import psutil
import pytest
import rsciio.emd
import rsciio.hspy
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hrtem_dask.errors import RefusedSignalError
from hrtem_dask.loading import (
    MicrographRecord,
    find_sources,
    list_micrographs,
    read_image,
    read_micrograph,
    source_hash,
)
from hrtem_dask.storage import zarr_store
from hrtem_dask.storage.location import Location

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 4000, (3, 6, 8)).astype(np.uint16)


def records(path: Path | str) -> list[MicrographRecord]:
    return [r for s in find_sources(path) for r in list_micrographs(s)]


def open_files() -> set[str]:
    return {file.path for file in psutil.Process().open_files()}


def signal(data: np.ndarray, units: list[str | None], scales: list[float], navigation: int = 0) -> dict[str, Any]:
    axes = [
        {"name": n, "size": s, "scale": k, "offset": 0.0, "units": u, "navigate": i < navigation, "index_in_array": i,
         "_type": "UniformDataAxis", "is_binned": False}
        for i, (n, s, k, u) in enumerate(zip("tzyx"[-data.ndim :], data.shape, scales, units, strict=True))
    ]  # fmt: skip
    metadata = {
        "General": {"title": "made", "date": "2026-01-02", "time": "03:04:05", "time_zone": "UTC"},
        "Signal": {"signal_type": ""},
        "Acquisition_instrument": {"TEM": {"beam_energy": 300.0, "magnification": 1e6, "microscope": "Themis"}},
    }
    return {
        "data": data, "axes": axes, "metadata": metadata, "original_metadata": {}, "learning_results": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False}, "models": {},
        "package_info": {"package": "hyperspy", "package_version": "2.0"},
    }  # fmt: skip


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(unit=st.sampled_from([("nm", 1.0), ("µm", 1e3), ("Å", 0.1), ("pm", 1e-3), ("m", 1e9)]), nm=st.floats(0.005, 5))
def test_hspy_units_and_metadata(tmp_path: Path, unit: tuple[str, float], nm: float) -> None:
    path = tmp_path / "h.hspy"
    rsciio.hspy.file_writer(
        path, signal(STACK, ["s", unit[0], unit[0]], [1.0, 2 * nm / unit[1], nm / unit[1]], 1), show_progressbar=False
    )
    found = records(path)
    assert len(found) == 3
    assert found[1].pixel_size_nm == pytest.approx((2 * nm, nm))
    assert (found[1].voltage_kv, found[1].magnification, found[1].instrument) == (300, 1e6, "Themis")
    assert found[1].acquired_at == "2026-01-02T03:04:05Z"
    np.testing.assert_array_equal(read_image(found[1]), STACK[1])
    assert str(path) not in open_files()


@pytest.mark.parametrize(
    ("data", "units", "navigation", "word"),
    [
        (STACK[0], ["1/nm", "1/nm"], 0, "diffraction"),
        (STACK[0].astype(complex), ["nm", "nm"], 0, "complex"),
        (STACK[0], ["nm", "eV"], 1, "spectrum"),
        (STACK, ["nm", "nm", "keV"], 2, "spectrum"),
        (STACK[0, 0], ["nm"], 0, "1-D"),
        (STACK[None], ["nm", "nm", "nm", "nm"], 2, "4-D"),
        (STACK[None], ["nm", "nm", "1/nm", "1/nm"], 2, "4-D"),
    ],
)
def test_what_is_no_micrograph_is_refused(
    tmp_path: Path, data: np.ndarray, units: list[str | None], navigation: int, word: str
) -> None:
    path = tmp_path / "h.hspy"
    rsciio.hspy.file_writer(path, signal(data, units, [0.1] * data.ndim, navigation), show_progressbar=False)
    (record,) = records(path)
    assert record.status == "set_aside"
    assert word in record.reason
    assert record.pixel_size_nm is None
    with pytest.raises(RefusedSignalError, match=word):
        read_image(record)


def test_ncem_emd_is_not_transposed_whoever_wrote_it(tmp_path: Path) -> None:
    # the way openNCEM writes: the array as it is, dim1 the first axis
    with h5py.File(tmp_path / "ncem.emd", "w") as file:
        file.attrs["version_major"], file.attrs["version_minor"] = 0, 2
        group = file.create_group("data/image")
        group.attrs["emd_group_type"] = 1
        group["data"] = STACK[0]
        for n, (name, size, step) in enumerate((("y", 6, 0.2), ("x", 8, 0.3)), start=1):
            group[f"dim{n}"] = np.arange(size) * step
            group[f"dim{n}"].attrs["name"], group[f"dim{n}"].attrs["units"] = name, "[n_m]"
    # the way rosettasciio writes: the array transposed
    rsciio.emd.file_writer(tmp_path / "rsciio.emd", signal(STACK[0], ["nm", "nm"], [0.2, 0.3]))
    for record in records(tmp_path):
        assert (record.height_px, record.width_px) == (6, 8)
        assert record.pixel_size_nm == pytest.approx((0.2, 0.3))
        np.testing.assert_array_equal(read_image(record), STACK[0])


def velox(path: Path, unit: str) -> None:
    meta = {
        "Core": {}, "Instrument": {"InstrumentClass": "Titan"}, "Optics": {"AccelerationVoltage": "300000"},
        "Acquisition": {"AcquisitionStartDatetime": {"DateTime": "1577934245"}}, "Scan": {"FrameTime": "1.0"},
        "Detectors": {"Detector-0": {"DetectorName": "Ceta", "DetectorType": "ImagingDetector"}}, "Sample": {},
        "BinaryResult": {
            "DetectorIndex": "0", "Detector": "Ceta", "PixelUnitX": unit, "PixelUnitY": unit,
            "PixelSize": {"width": "2e-11", "height": "3e-11"}, "Offset": {"x": "0", "y": "0"},
        },
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        file["Version"] = np.array([json.dumps({"format": "Velox", "version": "11"}).encode()])
        group = file.create_group("Data/Image/0123456789abcdef")
        group.create_dataset("Data", data=np.moveaxis(STACK, 0, -1), chunks=(6, 8, 1))
        text = np.frombuffer(json.dumps(meta).encode().ljust(4000, b"\0"), np.uint8)
        group["Metadata"] = np.repeat(text[:, None], 3, 1)
        file.create_group("Data/Spectrum/fedcba9876543210")


def test_velox_stack_with_a_spectrum(tmp_path: Path) -> None:
    velox(tmp_path / "v.emd", "m")
    *images, spectrum = records(tmp_path / "v.emd")
    assert len(images) == 3
    for image, frame in zip(images, STACK, strict=True):
        assert image.pixel_size_nm == pytest.approx((0.03, 0.02))
        assert image.voltage_kv == 300
        np.testing.assert_array_equal(read_image(image), frame)
    assert (spectrum.status, spectrum.signal) == ("set_aside", 1)
    assert str(tmp_path / "v.emd") not in open_files()
    velox(tmp_path / "d.emd", "1/m")
    assert "diffraction" in records(tmp_path / "d.emd")[0].reason


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16, np.float32])
def test_mrc(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "a.mrc"
    with mrcfile.new(path) as file:
        file.set_data((STACK % 100).astype(dtype))
        file.voxel_size = (0.3, 0.2, 1.0)
    found = records(path)
    assert [r.dtype for r in found] == [np.dtype(dtype).name] * 3
    assert found[0].pixel_size_nm == pytest.approx((0.02, 0.03))
    np.testing.assert_array_equal(read_image(found[2]), STACK[2] % 100)
    assert str(path) not in open_files()


def test_mrc_placeholder_and_missing_voxel_size(tmp_path: Path) -> None:
    for voxel in (0.0, 1.0):
        with mrcfile.new(tmp_path / f"{voxel}.mrc") as file:
            file.set_data(STACK)
            file.voxel_size = voxel
    zero, one = records(tmp_path)[0], records(tmp_path)[3]
    assert zero.calibration_flags == one.calibration_flags == ("missing",)
    assert "1 Å" in one.reason


def test_npy(tmp_path: Path) -> None:
    odd = STACK[0].astype(np.float32)
    odd[0, :3] = np.nan, np.inf, -np.inf
    arrays = {"a": STACK, "b": odd, "c": STACK[0, 0], "d": STACK.astype(complex), "e": np.array([["text"]])}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    np.save(tmp_path / "f.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    found = records(tmp_path)
    assert [r.status for r in found] == ["ok"] * 4 + ["set_aside"] * 3 + ["failed"]
    np.testing.assert_array_equal(read_image(found[1]), STACK[1])
    np.testing.assert_array_equal(read_image(found[3]), odd)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_pictures(tmp_path: Path, suffix: str) -> None:
    grey = cv2.GaussianBlur(RNG.integers(0, 255, (40, 50)).astype(np.uint8), (0, 0), 3)
    colour = np.dstack([grey, np.roll(grey, 9, 1), 255 - grey])
    for name, image in (("a", grey), ("b", np.dstack([grey] * 3)), ("c", colour)):
        (tmp_path / f"{name}ü{suffix}").write_bytes(cv2.imencode(suffix, image)[1].tobytes())
    a, b, c = records(tmp_path)
    assert {(r.height_px, r.width_px, r.dtype) for r in (a, b, c)} == {(40, 50, "uint8")}
    assert a.calibration_flags == ("missing",)
    for record in (a, b):
        assert np.abs(read_image(record).astype(int) - grey).max() <= (8 if suffix == ".jpg" else 0)
    assert c.status == "set_aside"
    assert "color picture" in c.reason


def test_png_depth_alpha_and_palette(tmp_path: Path) -> None:
    deep = STACK[0] * 16
    (tmp_path / "a.png").write_bytes(cv2.imencode(".png", deep)[1].tobytes())
    grey = (STACK[0] % 256).astype(np.uint8)
    alpha = np.dstack([grey, grey, grey, 255 - grey])
    (tmp_path / "b.png").write_bytes(cv2.imencode(".png", alpha)[1].tobytes())
    a, b = records(tmp_path)
    assert a.dtype == "uint16"
    np.testing.assert_array_equal(read_image(a), deep)
    np.testing.assert_array_equal(read_image(b), grey)


def ome(folder: Path, version: str, unit: str, **kwargs: Any) -> None:
    axes = [{"name": "t", "type": "time"}, *({"name": n, "type": "space", "unit": unit} for n in "yx")]
    dataset = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 0.002, 0.003]}]}
    scales = [{"axes": axes, "datasets": [dataset, {**dataset, "path": "1"}], "name": "image"}]
    scales[0]["coordinateTransformations"] = [{"type": "scale", "scale": [1, 10, 10]}]
    attrs = {"multiscales": scales} if version == "0.4" else {"ome": {"version": version, "multiscales": scales}}
    group = zarr.open_group(folder, mode="w", zarr_format=2 if version == "0.4" else 3, attributes=attrs)
    group.create_array("0", data=STACK, chunks=(1, 6, 8))
    group.create_array("1", data=STACK[:, ::2, ::2])
    group.create_group("labels/cells", attributes={"image-label": {}}).create_array("0", data=STACK)


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path: Path, version: str) -> None:
    ome(tmp_path / "image.zarr", version, "nanometer")
    found = records(tmp_path)
    assert [(r.signal, r.frame) for r in found] == [(0, 0), (0, 1), (0, 2)]
    assert found[0].pixel_size_nm == pytest.approx((0.02, 0.03))
    assert found[0].source.folder_name == tmp_path.name
    np.testing.assert_array_equal(read_image(found[2]), STACK[2])


def test_zarr_arrays_groups_and_what_is_none(tmp_path: Path) -> None:
    zarr.save_array(tmp_path / "plain.zarr", STACK[0])
    group = zarr.open_group(tmp_path / "store.zarr", mode="w")
    for name in ("b", "a"):
        group.create_array(name, data=STACK[0] + ord(name))
    (tmp_path / "x.zarr").mkdir()
    plain, a, b, none = records(tmp_path)
    assert plain.calibration_flags == ("missing",)
    np.testing.assert_array_equal(read_image(plain), STACK[0])
    assert (a.source.name, b.source.name) == ("a", "b")
    np.testing.assert_array_equal(read_image(b), STACK[0] + ord("b"))
    assert none.status == "failed"
    assert "not a Zarr store" in none.reason


def test_an_ingested_store_gives_back_what_was_known(tmp_path: Path) -> None:
    place = Location.of(tmp_path / "s" / "store.zarr")
    zarr_store.create_store(place)
    known = {"voltage_kv": 200.0, "pixel_size_source": "file: X", "sample": "batch 7", "title": "HAADF"}
    zarr_store.write_micrograph(place, "b-2", STACK[1], pixel_size_nm=None)
    zarr_store.write_micrograph(place, "a-1", STACK[0], pixel_size_nm=(0.02, 0.03), metadata=known)
    a, b = records(tmp_path)
    np.testing.assert_array_equal(read_image(a), STACK[0])
    assert (a.pixel_size_nm, a.pixel_size_source) == ((0.02, 0.03), "file: X")
    assert (a.voltage_kv, a.sample, a.title) == (200, "batch 7", "HAADF")
    assert (b.pixel_size_nm, b.calibration_flags, b.sample) == (None, ("missing",), "s")
    before = a.micrograph_id, source_hash(b.source)
    zarr_store.write_micrograph(place, "a-0", STACK[2], pixel_size_nm=None)
    _, a, b = records(tmp_path)
    assert (a.micrograph_id, source_hash(b.source)) == before
    assert a.micrograph_id.startswith("a-1-")


def test_a_micrograph_carries_its_coordinates(tmp_path: Path) -> None:
    rsciio.hspy.file_writer(tmp_path / "h.hspy", signal(STACK[0], ["nm", "nm"], [0.02, 0.03]), show_progressbar=False)
    micrograph = read_micrograph(records(tmp_path)[0])
    assert micrograph.dims == ("y", "x")
    assert float(micrograph.x[2]) == pytest.approx(0.06)
    assert micrograph.y.attrs["units"] == "nm"
    assert micrograph.attrs["voltage_kv"] == 300
    assert micrograph.attrs["pixel_size_source"] == "file: HyperSpy axes"
    assert micrograph.attrs["sample"] == tmp_path.name


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_an_array_with_an_axis_of_colors_is_one_gray_image_or_refused(tmp_path: Path, dtype: type) -> None:
    gray = RNG.integers(0, 255, (40, 50)).astype(dtype)
    np.save(tmp_path / "a gray.npy", np.repeat(gray[..., None], 3, -1))
    np.save(tmp_path / "b one channel.npy", gray[..., None])
    np.save(tmp_path / "c colored.npy", RNG.integers(0, 255, (40, 50, 3)).astype(dtype))
    np.save(tmp_path / "d two channels.npy", np.repeat(gray[..., None], 2, -1))
    np.save(tmp_path / "e frames.npy", np.repeat(gray[None], 3, 0))
    found = [list_micrographs(source) for source in find_sources(tmp_path)]
    assert [len(records) for records in found] == [1, 1, 1, 1, 3]
    assert [records[0].status for records in found] == ["ok", "ok", "set_aside", "set_aside", "ok"]
    for record, *_ in (found[0], found[1], found[4]):
        np.testing.assert_array_equal(read_image(record), gray)


def test_a_zarr_array_with_an_axis_of_colors_is_refused(tmp_path: Path) -> None:
    zarr.create_array(tmp_path / "a.zarr", data=np.zeros((40, 50, 3), np.uint8))
    (record,) = [r for s in find_sources(tmp_path) for r in list_micrographs(s)]
    assert record.status == "set_aside"
    assert "colors" in record.reason
