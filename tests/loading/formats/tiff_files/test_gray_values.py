"""Gray values as TIFF files mean them: white as zero, palettes by their pixels, samples that are no color."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hrtem_dask.errors import RefusedSignalError
from hrtem_dask.loading import MicrographRecord, find_sources, list_micrographs, read_image
from hrtem_dask.loading.formats.tiff_files.gray_values import gray_image

RAMP = np.tile(np.arange(256, dtype=np.uint16) * 257, (3, 1))


def only(path: Path) -> MicrographRecord:
    (source,) = find_sources(path)
    (record,) = list_micrographs(source)
    return record


class Page:
    """The tags of a page that decide about gray values."""

    photometric = tifffile.PHOTOMETRIC.MINISWHITE
    axes = "YX"

    def __init__(self, bits: int) -> None:
        self.bitspersample = bits


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64"])
def test_white_as_zero(tmp_path: Path, dtype: str) -> None:
    stored = np.linspace(0, 100, 64).reshape(8, 8).astype(dtype)  # the smallest value is white
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="miniswhite")
    image = read_image(only(tmp_path / "a.tif"))
    assert image.dtype == stored.dtype
    np.testing.assert_array_equal(
        np.argsort(image.ravel(), kind="stable"), np.argsort(-stored.ravel().astype(float), kind="stable")
    )
    if dtype.startswith("uint"):
        np.testing.assert_array_equal(image, np.iinfo(dtype).max - stored)


@pytest.mark.parametrize(("bits", "dtype"), [(4, np.uint8), (12, np.uint16), (14, np.uint16)])
def test_white_as_zero_with_few_bits(bits: int, dtype: Any) -> None:
    stored = np.array([[0, 2**bits - 1]], dtype)
    np.testing.assert_array_equal(gray_image(stored, Page(bits))[0], [[2**bits - 1, 0]])


def palette_file(path: Path, indices: np.ndarray, colormap: np.ndarray) -> MicrographRecord:
    tifffile.imwrite(path, indices, photometric="palette", colormap=colormap)
    return only(path)


def test_unused_colors_of_a_palette_do_not_matter(tmp_path: Path) -> None:
    indices = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    indices[indices % 9 == 0] += 1
    colormap = RAMP.copy()
    colormap[:, ::9] = np.array([[65535], [0], [0]], np.uint16)
    record = palette_file(tmp_path / "a.tif", indices, colormap)
    assert record.status == "ok"
    np.testing.assert_array_equal(read_image(record), indices)


def test_colors_in_every_pixel_are_refused_whatever_the_rest_of_the_palette(tmp_path: Path) -> None:
    indices = np.random.default_rng(0).integers(0, 16, (64, 64)).astype(np.uint8)
    colormap = RAMP.copy()
    colormap[:, :16] = np.random.default_rng(1).integers(0, 65535, (3, 16))
    record = palette_file(tmp_path / "a.tif", indices, colormap)
    assert record.status == "set_aside"
    assert "false colors" in record.reason
    with pytest.raises(RefusedSignalError):
        read_image(record)


def test_an_inverted_palette_is_looked_up(tmp_path: Path) -> None:
    indices = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    record = palette_file(tmp_path / "a.tif", indices, np.ascontiguousarray(RAMP[:, ::-1]))
    np.testing.assert_array_equal(read_image(record), 255 - indices)


def test_two_measured_values_per_pixel_are_refused(tmp_path: Path) -> None:
    both = np.random.default_rng(0).integers(0, 999, (64, 64, 2)).astype(np.uint16)
    tifffile.imwrite(
        tmp_path / "a.tif", both, photometric="minisblack", planarconfig="contig", extrasamples=["unspecified"]
    )
    assert only(tmp_path / "a.tif").status == "set_aside"


def test_parts_that_were_never_written(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((64, 64), np.uint16), tile=(32, 32))
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tif.pages[0].tags["TileByteCounts"].overwrite([2048, 0, 2048, 2048])
    assert only(path).status == "failed"
    assert "never written" in only(path).reason
