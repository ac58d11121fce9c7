"""Files of an OME-TIFF set: each gives its own images with its own pixel size, whatever else is in the folder."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from hrtem_dask.loading import MicrographRecord, find_sources, list_micrographs, read_image

SIZES_NM = (0.05, 0.1, 0.2)
Planes = tuple[int, int, str, str]


def pixels(field: int, frame: int = 0) -> np.ndarray:
    return np.full((20, 30), 100 * field + frame, np.uint16)


def xml(images: list[tuple[float, list[Planes]]], uuid: str = "") -> bytes:
    """OME-XML; each image: pixel size in nm, and per plane time, page, file name and identifier."""
    own = f' UUID="{uuid}"' if uuid else ""
    text = f'<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"{own}>'
    for number, (nm, planes) in enumerate(images):
        text += (
            f'<Image ID="Image:{number}" Name="field {number}"><Pixels ID="Pixels:{number}" DimensionOrder="XYCZT" '
            f'Type="uint16" SizeX="30" SizeY="20" SizeC="1" SizeZ="1" SizeT="{len(planes)}" PhysicalSizeX="{nm}" '
            f'PhysicalSizeXUnit="nm" PhysicalSizeY="{nm}" PhysicalSizeYUnit="nm">'
            f'<Channel ID="Channel:{number}:0" SamplesPerPixel="1"/>'
        )
        for time, page, name, file_uuid in planes:
            inner = f'<UUID FileName="{name}">{file_uuid}</UUID>' if name else ""
            text += f'<TiffData FirstT="{time}" IFD="{page}" PlaneCount="1">{inner}</TiffData>'
        text += "</Pixels></Image>"
    return (text + "</OME>").encode()


def binary_only(uuid: str, file: str, of: str) -> bytes:
    return (
        f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{uuid}">'
        f'<BinaryOnly MetadataFile="{file}" UUID="{of}"/></OME>'
    ).encode()


def uuid_of(number: int) -> str:
    return f"urn:uuid:{number:032d}"


def write_set(folder: Path, *, with_uuid: bool = True) -> list[Path]:
    names = [f"field{k}.ome.tif" for k in range(3)]
    images = [(SIZES_NM[k], [(0, 0, names[k], uuid_of(k))]) for k in range(3)]
    for k, name in enumerate(names):
        described = xml(images, uuid_of(k) if with_uuid else "")
        tifffile.imwrite(folder / name, pixels(k), description=described, metadata=None)
    return [folder / name for name in names]


def records(path: Path) -> list[MicrographRecord]:
    return [r for s in find_sources(path) for r in list_micrographs(s)]


def check(found: list[MicrographRecord], fields: list[int]) -> None:
    assert [r.pixel_size_nm for r in found] == [pytest.approx((SIZES_NM[k],) * 2) for k in fields]
    for record, field in zip(found, fields, strict=True):
        np.testing.assert_array_equal(read_image(record), pixels(field))


@pytest.mark.parametrize("with_uuid", [True, False])
def test_a_set_gives_each_file_once_with_its_own_pixel_size(tmp_path: Path, with_uuid: bool) -> None:
    write_set(tmp_path, with_uuid=with_uuid)
    check(records(tmp_path), [0, 1, 2])


@pytest.mark.parametrize("kept", [0, 1, 2])
@pytest.mark.parametrize("with_uuid", [True, False])
def test_a_part_of_a_set_keeps_its_own_pixel_size(tmp_path: Path, kept: int, with_uuid: bool) -> None:
    for number, path in enumerate(write_set(tmp_path, with_uuid=with_uuid)):
        if number != kept:
            path.unlink()
    check(records(tmp_path), [kept])


def test_a_renamed_file_is_known_by_its_identifier(tmp_path: Path) -> None:
    paths = write_set(tmp_path)
    paths[2].rename(tmp_path / "best one.ome.tif")
    paths[0].unlink()
    check(records(tmp_path), [2, 1])


def test_a_renamed_file_without_identifier_has_no_pixel_size(tmp_path: Path) -> None:
    paths = write_set(tmp_path, with_uuid=False)
    paths[2].rename(tmp_path / "best one.ome.tif")
    renamed = records(tmp_path)[0]
    assert renamed.pixel_size_nm is None
    assert "does not say clearly" in renamed.reason
    np.testing.assert_array_equal(read_image(renamed), pixels(2))


def test_identifier_and_name_that_contradict_each_other_give_no_pixel_size(tmp_path: Path) -> None:
    names = [f"field{k}.ome.tif" for k in range(2)]
    images = [(SIZES_NM[k], [(0, 0, names[k], uuid_of(k))]) for k in range(2)]
    for k, name in enumerate(names):  # a writer that copies the description of the first file
        tifffile.imwrite(tmp_path / name, pixels(k), description=xml(images, uuid_of(0)), metadata=None)
    first, second = records(tmp_path)
    assert first.pixel_size_nm == pytest.approx((0.05, 0.05))
    assert second.pixel_size_nm is None


def test_a_size_that_the_whole_set_shares_needs_no_identifier(tmp_path: Path) -> None:
    images = [(0.1, [(0, 0, f"field{k}.ome.tif", uuid_of(k))]) for k in range(2)]
    tifffile.imwrite(tmp_path / "renamed.ome.tif", pixels(1), description=xml(images), metadata=None)
    assert records(tmp_path)[0].pixel_size_nm == pytest.approx((0.1, 0.1))


def write_split_movie(folder: Path) -> None:
    planes = [(t, t % 2, f"movie_{t // 2}.ome.tif", uuid_of(t // 2)) for t in range(4)]
    for k in range(2):
        with tifffile.TiffWriter(folder / f"movie_{k}.ome.tif") as writer:
            for t in (2 * k, 2 * k + 1):
                described = xml([(0.1, planes)], uuid_of(k)) if t % 2 == 0 else None
                writer.write(pixels(1, t), description=described, metadata=None, contiguous=False)


def test_a_movie_over_two_files_has_each_frame_once(tmp_path: Path) -> None:
    write_split_movie(tmp_path)
    found = records(tmp_path)
    assert [(r.source.name, r.frame) for r in found] == [
        ("movie_0.ome.tif", 0), ("movie_0.ome.tif", 1), ("movie_1.ome.tif", 0), ("movie_1.ome.tif", 1),
    ]  # fmt: skip
    assert {r.pixel_size_nm for r in found} == {(0.1, 0.1)}
    for time, record in enumerate(found):
        np.testing.assert_array_equal(read_image(record), pixels(1, time))


def test_a_single_file_that_names_itself_by_an_older_name_is_read_alone(tmp_path: Path) -> None:
    described = xml([(0.1, [(0, 0, "img.ome.tif", uuid_of(1))])])
    tifffile.imwrite(tmp_path / "img.ome.tif", pixels(1), description=described, metadata=None)
    tifffile.imwrite(tmp_path / "img - Copy.ome.tif", pixels(2), description=described, metadata=None)
    copy, original = records(tmp_path)
    np.testing.assert_array_equal(read_image(copy), pixels(2))
    np.testing.assert_array_equal(read_image(original), pixels(1))
    assert copy.pixel_size_nm == original.pixel_size_nm == pytest.approx((0.1, 0.1))


def write_companion_set(folder: Path, companion: str = "set.companion.ome") -> None:
    names = [f"field{k}.ome.tif" for k in range(3)]
    images = [(SIZES_NM[k], [(0, 0, names[k], uuid_of(k))]) for k in range(3)]
    (folder / companion).write_bytes(xml(images, uuid_of(9)))
    for k, name in enumerate(names):
        tifffile.imwrite(
            folder / name, pixels(k), description=binary_only(uuid_of(k), companion, uuid_of(9)), metadata=None
        )


def test_the_description_of_a_set_may_be_in_a_companion(tmp_path: Path) -> None:
    write_companion_set(tmp_path)
    images = [r for r in records(tmp_path) if r.height_px]
    check(images, [0, 1, 2])
    (companion,) = [r for r in records(tmp_path) if not r.height_px]
    assert (companion.source.name, companion.status) == ("set.companion.ome", "set_aside")


def test_the_companion_is_found_in_an_archive(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    write_companion_set(tmp_path / "set")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted((tmp_path / "set").iterdir()):
            archive.write(path, f"set/{path.name}")
    check([r for r in records(tmp_path / "all.zip") if r.height_px], [0, 1, 2])


def test_the_description_of_a_set_may_be_in_its_first_file(tmp_path: Path) -> None:
    names = [f"x_MMStack_Pos{k}.ome.tif" for k in range(3)]
    images = [(SIZES_NM[k], [(0, 0, names[k], uuid_of(k))]) for k in range(3)]
    tifffile.imwrite(tmp_path / names[0], pixels(0), description=xml(images, uuid_of(0)), metadata=None)
    for k in (1, 2):
        described = binary_only(uuid_of(k), names[0], uuid_of(0))
        tifffile.imwrite(tmp_path / names[k], pixels(k), description=described, metadata=None)
    check(records(tmp_path), [0, 1, 2])
    (tmp_path / names[0]).unlink()
    for record in records(tmp_path):
        assert record.pixel_size_nm is None
        assert "in another file" in record.reason


def test_a_companion_of_another_set_is_not_used(tmp_path: Path) -> None:
    write_companion_set(tmp_path)
    (tmp_path / "set.companion.ome").write_bytes(xml([(9.0, [(0, 0, "field0.ome.tif", uuid_of(0))])], uuid_of(5)))
    assert [r.pixel_size_nm for r in records(tmp_path) if r.height_px] == [None] * 3


def test_pages_that_the_description_leaves_out_are_listed(tmp_path: Path) -> None:
    names = [f"field{k}.ome.tif" for k in range(2)]
    images = [(SIZES_NM[k], [(0, 0, names[k], uuid_of(k))]) for k in range(2)]
    with tifffile.TiffWriter(tmp_path / names[1]) as writer:
        writer.write(pixels(1), description=xml(images, uuid_of(1)), metadata=None, contiguous=False)
        writer.write(pixels(7), metadata=None, contiguous=False)
    described, other = records(tmp_path)
    assert described.pixel_size_nm == pytest.approx((0.1, 0.1))
    assert other.pixel_size_nm is None
    np.testing.assert_array_equal(read_image(other), pixels(7))


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_movie_of_one_file_has_all_of_its_frames(tmp_path: Path, compression: str | None) -> None:
    movie = np.stack([pixels(1, t) for t in range(5)])
    axes = {"axes": "TYX", "PhysicalSizeX": 0.05, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.05}
    axes["PhysicalSizeYUnit"] = "nm"
    tifffile.imwrite(tmp_path / "movie.ome.tif", movie, metadata=axes, compression=compression)
    found = records(tmp_path)
    assert [r.pixel_size_nm for r in found] == [pytest.approx((0.05, 0.05))] * 5
    for record, frame in zip(found, movie, strict=True):
        np.testing.assert_array_equal(read_image(record), frame)


def test_an_image_whose_pages_are_missing_does_not_shift_the_others(tmp_path: Path) -> None:
    images = [(0.05, []), (0.2, [(0, 0, "", "")])]  # the first one has no planes in any file
    tifffile.imwrite(tmp_path / "a.ome.tif", pixels(3), description=xml(images, uuid_of(0)), metadata=None)
    (record,) = records(tmp_path)
    assert record.pixel_size_nm == pytest.approx((0.2, 0.2))
