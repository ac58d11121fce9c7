"""Channels and colors: axes that are neither y nor x, and frames that show one field."""

from collections.abc import Callable
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest
import tifffile
import zarr

from hrtem_dask.batch.listing import list_sources
from hrtem_dask.loading import MicrographRecord, find_sources, list_micrographs
from hrtem_dask.loading.formats.channels import fields_of_axes, fields_of_labels
from hrtem_dask.settings import Settings

SIDE = 48
IN_NM = {"resolution": (2e8, 2e8), "resolutionunit": "CENTIMETER"}
OME = {"PhysicalSizeX": 0.05, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.05, "PhysicalSizeYUnit": "nm"}


def gray(*seeds: int) -> np.ndarray:
    """Images of noise, (image, y, x), of which no two are equal."""
    images = [np.random.default_rng(seed).integers(50, 200, (SIDE, SIDE + 16)) for seed in seeds]
    return np.stack(images).astype(np.uint8)


def of_run(folder: Path) -> list[MicrographRecord]:
    """Every record of a folder, as a run has it."""
    return list_sources(find_sources(folder), Settings())


def imagej_channels(folder: Path) -> None:
    entries = ("ImageJ=1.53t", "images=4", "channels=2", "frames=2", "hyperstack=true", "mode=composite", "unit=nm", "")
    size = {"resolution": (20, 20), "resolutionunit": 1}
    with tifffile.TiffWriter(folder / "a.tif") as writer:
        for n, image in enumerate(gray(1, 2, 3, 4)):
            about = "\n".join(entries) if n == 0 else None
            writer.write(image, description=about, metadata=None, contiguous=False, **size)


def imagej_labels(folder: Path) -> None:
    meta = {"unit": "nm", "axes": "ZYX", "Labels": ["gold_1_BF", "gold_1_HAADF", "gold_2_BF", "gold_2_HAADF"]}
    tifffile.imwrite(folder / "a.tif", gray(1, 2, 3, 4), imagej=True, resolution=(20, 20), metadata=meta)


def ome_channels(folder: Path) -> None:
    meta = {"axes": "TCYX", "Channel": {"Name": ["BF", "HAADF"]}, **OME}
    tifffile.imwrite(
        folder / "a.ome.tif", gray(1, 2, 3, 4).reshape(2, 2, SIDE, -1), metadata=meta, photometric="minisblack"
    )


def ome_zarr_channels(folder: Path) -> None:
    group = zarr.open_group(str(folder / "a.zarr"), mode="w", zarr_format=2)
    group.create_array("0", data=gray(1, 2, 3, 4).reshape(2, 2, SIDE, -1))
    axes = [{"name": n} for n in "tc"] + [{"name": n, "type": "space", "unit": "nanometer"} for n in "yx"]
    scale = {"type": "scale", "scale": [1, 1, 0.05, 0.05]}
    group.attrs["multiscales"] = [
        {"version": "0.4", "axes": axes, "datasets": [{"path": "0", "coordinateTransformations": [scale]}]}
    ]
    group.attrs["omero"] = {"channels": [{"label": "BF"}, {"label": "HAADF"}]}


@pytest.mark.parametrize(
    ("write", "kept"), [(imagej_channels, 0), (imagej_labels, 1), (ome_channels, 1), (ome_zarr_channels, 1)]
)
def test_of_the_channels_of_a_field_one_is_counted(tmp_path: Path, write: Callable[[Path], None], kept: int) -> None:
    write(tmp_path)
    records = of_run(tmp_path)
    expected = ["set_aside"] * 4
    expected[kept] = expected[2 + kept] = "ok"
    assert [r.status for r in records] == expected
    for first in (0, 2):
        counted, other = records[first + kept], records[first + 1 - kept]
        assert other.duplicate_of == counted.micrograph_id
        assert "counted once" in other.reason
    if kept:
        assert records[kept].imaging.casefold() == "dark field (haadf)"


def test_channels_in_the_files_of_a_set(tmp_path: Path) -> None:
    names, ids = ("c0.ome.tif", "c1.ome.tif"), [f"urn:uuid:00000000-0000-0000-0000-00000000000{k}" for k in (1, 2)]
    size = 'PhysicalSizeX="0.05" PhysicalSizeXUnit="nm" PhysicalSizeY="0.05" PhysicalSizeYUnit="nm"'
    planes = "".join(
        f'<TiffData FirstC="{k}" IFD="0" PlaneCount="1"><UUID FileName="{names[k]}">{ids[k]}</UUID></TiffData>'
        for k in (0, 1)
    )
    for k in (0, 1):
        xml = (
            f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{ids[k]}">'
            f'<Image ID="I:0" Name="x"><Pixels ID="P:0" DimensionOrder="XYCZT" Type="uint8" SizeY="{SIDE}" '
            f'SizeX="{SIDE + 16}" SizeC="2" SizeZ="1" SizeT="1" {size}><Channel ID="C:0" Name="BF"/>'
            f'<Channel ID="C:1" Name="HAADF"/>{planes}</Pixels></Image></OME>'
        )
        tifffile.imwrite(tmp_path / names[k], gray(k)[0], description=xml.encode(), metadata=None)
    records = of_run(tmp_path)
    assert [(r.status, r.channel) for r in records] == [("set_aside", "BF"), ("ok", "HAADF")]
    assert records[0].duplicate_of == records[1].micrograph_id


@pytest.mark.parametrize("known", [{"imagej": True}, {"ome": True}])
def test_a_stack_that_tifffile_calls_channels_is_a_stack(tmp_path: Path, known: dict[str, bool]) -> None:
    meta = OME if "ome" in known else {"unit": "nm"}
    tifffile.imwrite(tmp_path / "a.tif", gray(1, 2, 3, 4), resolution=(20, 20), metadata=meta, **known)
    assert [r.status for r in of_run(tmp_path)] == ["ok"] * 4


def test_all_channels_stay_where_the_settings_keep_copies(tmp_path: Path) -> None:
    ome_channels(tmp_path)
    kept = list_sources(find_sources(tmp_path), Settings().updated({"loading": {"duplicates": "keep"}}))
    assert [r.status for r in kept] == ["ok"] * 4


def test_frames_without_channels_have_no_field() -> None:
    assert fields_of_axes("TZ", (2, 3)) == fields_of_axes("C", (1,)) == ()
    assert fields_of_labels(["a_BF", "b_HAADF"], 2) == fields_of_labels(["a_BF"], 2) == ()


def write_colors(folder: Path, kind: str) -> None:
    """Write an image with three colors per pixel, on the last axis, without saying so."""
    colors = np.stack([gray(k)[0] for k in (1, 2, 3)], axis=-1)
    if kind == "npy":
        np.save(folder / "a.npy", colors)
    elif kind == "mrc":
        with mrcfile.new(folder / "a.mrc", data=colors.astype(np.int16)) as file:
            file.voxel_size = 0.5
    elif kind == "tiff pages":
        with tifffile.TiffWriter(folder / "a.tif") as writer:
            for row in colors:
                writer.write(row, photometric="minisblack", contiguous=False, metadata=None, **IN_NM)
    elif kind == "tiff":
        tifffile.imwrite(folder / "a.tif", colors, photometric="minisblack", **IN_NM)
    elif kind == "zarr":
        zarr.save_array(str(folder / "a.zarr"), colors)
    elif kind == "ome-zarr":
        group = zarr.open_group(str(folder / "a.zarr"), mode="w", zarr_format=2)
        group.create_array("0", data=colors)
        axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "yx"] + [{"name": "c", "type": "channel"}]
        group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    else:
        with h5py.File(folder / "a.emd", "w") as file:
            group = file.create_group("data/a")
            group.attrs["emd_group_type"] = 1
            group.create_dataset("data", data=colors)
            names = ("z", "y", "x") if kind == "emd z" else ("y", "x", "c")
            for n, (length, name) in enumerate(zip(colors.shape, names, strict=True), start=1):
                axis = group.create_dataset(f"dim{n}", data=np.arange(length) * 0.05)
                axis.attrs["name"], axis.attrs["units"] = np.bytes_(name), np.bytes_("[n_m]")


@pytest.mark.parametrize("kind", ["npy", "mrc", "tiff pages", "tiff", "zarr", "ome-zarr", "emd", "emd z"])
def test_an_axis_of_colors_is_neither_y_nor_x(tmp_path: Path, kind: str) -> None:
    write_colors(tmp_path, kind)
    for record in (r for source in find_sources(tmp_path) for r in list_micrographs(source)):
        assert record.status == "set_aside" or min(record.height_px or 0, record.width_px or 0) >= SIDE, record
    assert len([r for r in of_run(tmp_path) if r.status == "ok"]) <= 3


@pytest.mark.parametrize("shape", [(12, 20, 512), (300, 40, 40)])
def test_a_spectrum_image_without_a_word_about_it(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    (record,) = (r for source in find_sources(tmp_path) for r in list_micrographs(source))
    assert record.status == "set_aside"
    assert "spectrum image" in record.reason


@pytest.mark.parametrize("shape", [(5, 100, 300), (300, 200, 200), (2, 64, 2048)])
def test_stacks_are_no_spectrum_images(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.uint8))
    records = [r for source in find_sources(tmp_path) for r in list_micrographs(source)]
    assert (len(records), {r.status for r in records}) == (shape[0], {"ok"}) or shape[2] == 2048


def test_another_unit_of_y(tmp_path: Path) -> None:
    text = "ImageJ=1.54f\nunit=nm\nyunit=\\u00B5m\n"
    tifffile.imwrite(
        tmp_path / "a.tif", gray(1)[0], description=text, metadata=None, resolution=(20, 20), resolutionunit=1
    )
    (record,) = of_run(tmp_path)
    assert (record.status, record.pixel_size_nm) == ("set_aside", pytest.approx((50, 0.05)))
    assert "contradict" in record.reason
