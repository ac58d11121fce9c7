"""The page that shows all overlays."""

from pathlib import Path

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.particles.outlines.overlay import OUTLINE_COLORS, TRACE_COLOR
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.overlays import write_overlay, write_overlay_index


def test_the_page_of_overlays_shows_doubtful_ones_first_and_runs_no_code(tmp_path: Path) -> None:
    folder = Location.of(tmp_path)
    names = ["fine", "doubt<script>", "no picture"]
    columns = {
        "micrograph_id": names,
        "n_counted": [3, 4, 5],
        "sample": ["A&B", None, "C"],
        "verdict": ["trusted", "doubtful", None],
        "doubt_reasons": [None, "too small", None],
        "status": ["done", "done", "done"],
    }
    table = tables.conform(pd.DataFrame(columns), tables.MICROGRAPHS)
    write_overlay_index(folder, table)
    assert not (tmp_path / "overlays" / "index.html").exists()
    for name in names[:2]:
        write_overlay(folder, name, np.zeros((9, 9)), np.zeros((9, 9), int), None, pixel_size_nm=None)
    write_overlay_index(folder, table)
    page = (tmp_path / "overlays" / "index.html").read_text(encoding="utf-8")
    assert page.count("<figure") == 2
    assert page.index("doubt&lt;script&gt;") < page.index("<b>fine</b><br>A&amp;B · 3 counted · trusted")
    assert "2 micrographs have an overlay. 1 analyzed one has none: run again with <code>--overlays all" in page
    assert "<script" not in page
    assert 'href="doubt%3Cscript%3E.jpg"' in page
    assert "doubtful: too small" in page


def test_its_legend_has_the_drawn_colors_and_captions_say_what_was_found(tmp_path: Path) -> None:
    folder = Location.of(tmp_path / "my & results")
    columns = {
        "micrograph_id": ["crystal", "refused", "empty"],
        "status": ["done", "set_aside", "empty"],
        "reason": ["one crystal: 16 windows", "pixels are 5 times as long as wide", None],
        "field_kind": ["one_crystal", None, None],
        "n_counted": [0, None, 0],
    }
    for name in columns["micrograph_id"]:
        write_overlay(folder, str(name), np.zeros((9, 9)), np.zeros((9, 9), int), None, pixel_size_nm=None)
    write_overlay_index(folder, tables.conform(pd.DataFrame(columns), tables.MICROGRAPHS))
    page = (tmp_path / "my & results" / "overlays" / "index.html").read_text(encoding="utf-8")
    for color in {*OUTLINE_COLORS.values(), TRACE_COLOR}:
        assert f"#{bytes(color).hex()}" in page
    assert "<b>crystal</b><br>one crystal fills the field<" in page
    assert "<b>refused</b><br>set aside: pixels are 5 times as long as wide<" in page
    assert "<b>empty</b><br>0 counted<" in page
    assert "<h1>Overlays of my &amp; results</h1>" in page
    assert "--overlays all" not in page, "every micrograph has its overlay"
