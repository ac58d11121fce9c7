"""A collection describes itself in a few lines."""

import html
from pathlib import Path

import numpy as np

from hrtem_dask import label, open_micrographs, segment


def test_the_lines_say_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, shape in (("a", (64, 80)), ("b", (64, 80)), ("c", (96, 80))):
        np.save(tmp_path / f"{name}.npy", rng.normal(size=shape).astype(np.float32))
    (tmp_path / "broken.tif").write_bytes(b"II*\0 no image")
    opened = open_micrographs(tmp_path, pixel_size_nm=0.05, method="otsu")
    text = repr(opened)
    assert "Collection of 3 micrographs" in text
    assert "2 × 64 × 80 px; 1 × 96 × 80 px" in text
    assert "pixel size: 0.05 nm" in text
    assert "not analyzed: 1 (1 × " in text
    assert "steps: opened; method otsu" in text
    assert "steps: opened, segmented, labeled; method otsu" in repr(label(segment(opened)))
    assert len(text) < 1000


def test_an_empty_collection_has_no_shapes(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((64, 80), np.float32))
    assert "shapes" not in repr(open_micrographs(tmp_path))  # no pixel size: set aside
    assert "Collection of 0 micrographs" in repr(open_micrographs(tmp_path))


def test_the_page_shows_the_same_and_escapes_it(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((64, 80), np.float32))
    opened = open_micrographs(tmp_path)
    page = opened._repr_html_()
    for line in repr(opened).splitlines():
        assert html.escape(line.strip()) in page
