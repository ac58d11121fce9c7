"""The page that shows all overlays."""

from pathlib import Path

import numpy as np
import pandas as pd

from hrtem_dask import tables
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
    }
    table = tables.conform(pd.DataFrame(columns), tables.MICROGRAPHS)
    write_overlay_index(folder, table)
    assert not (tmp_path / "overlays" / "index.html").exists()
    for name in names[:2]:
        write_overlay(folder, name, np.zeros((9, 9)), np.zeros((9, 9), int), None, pixel_size_nm=None)
    write_overlay_index(folder, table)
    page = (tmp_path / "overlays" / "index.html").read_text(encoding="utf-8")
    assert page.count("<figure") == 2
    assert page.index("doubt&lt;script&gt;") < page.index("fine · A&amp;B · 3 counted · trusted")
    assert "<script" not in page
    assert 'href="doubt%3Cscript%3E.jpg"' in page
    assert "doubtful: too small" in page
