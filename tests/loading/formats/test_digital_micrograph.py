"""DM3 files with tags and images on which rosettasciio's reader stops."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hrtem_dask.loading import find_sources, list_micrographs, read_image

GRAY = np.random.default_rng(0).integers(0, 256, (48, 64)).astype(np.uint16)
COPY = np.repeat(GRAY.astype(np.uint8)[..., None], 4, axis=-1)
"""The gray picture as red, green, blue and alpha."""


@pytest.mark.parametrize("tag", ["Alpha", "Alpha [deg]", "[x]", "a]["])
def test_names_of_tags_with_brackets(tmp_path: Path, write_dm3: Any, tag: str) -> None:
    (source,) = find_sources(write_dm3(tmp_path / "a.dm3", [(GRAY, 0.05, "nm")], tag=tag))
    (record,) = list_micrographs(source)
    assert record.status == "ok"
    assert record.pixel_size_nm == pytest.approx((0.05, 0.05))
    np.testing.assert_array_equal(read_image(record), GRAY)


def test_a_color_copy_does_not_hide_the_measured_image(tmp_path: Path, write_dm3: Any) -> None:
    (source,) = find_sources(write_dm3(tmp_path / "a.dm3", [(GRAY, 0.05, "nm"), (COPY, 0.05, "nm")]))
    found = list_micrographs(source)
    (measured,) = [record for record in found if record.status == "ok" and record.dtype == "uint16"]
    assert measured.pixel_size_nm == pytest.approx((0.05, 0.05))
    np.testing.assert_array_equal(read_image(measured), GRAY)
    assert len(found) == 2, "the copy is neither lost nor silent"
    assert all(record.status == "ok" or record.reason for record in found)


def test_a_gray_picture_of_colors_alone_is_read(tmp_path: Path, write_dm3: Any) -> None:
    (source,) = find_sources(write_dm3(tmp_path / "a.dm3", [(COPY, 0.05, "nm")]))
    (record,) = list_micrographs(source)
    assert record.status == "ok", record.reason
    assert record.pixel_size_nm == pytest.approx((0.05, 0.05))
    np.testing.assert_array_equal(read_image(record), GRAY)


def test_a_picture_of_true_colors_is_refused(tmp_path: Path, write_dm3: Any) -> None:
    colors = COPY.copy()
    colors[..., 0] //= 2
    (source,) = find_sources(write_dm3(tmp_path / "a.dm3", [(colors, 0.05, "nm")]))
    (record,) = list_micrographs(source)
    assert record.status == "set_aside"
    assert "color" in record.reason
