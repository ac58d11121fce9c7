"""The page says what it is about, shows whole micrographs and counts each one."""

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hrtem_dask import open_results
from hrtem_dask.report import write_report
from hrtem_dask.report.numbers_shown import as_text
from hrtem_dask.report.overview import MAX_SHOWN, PER_SAMPLE, describe_title, overlay_pictures


def test_the_title_names_inputs_samples_and_date(results: Path) -> None:
    opened = open_results(results)
    title = describe_title(opened, ["/data/gold/*", "b.dm4"], ["A", ""], "2026-11-29T10:00:00+00:00")
    assert title == {
        "text": "gold, b.dm4",
        "samples": "A, no sample stated",
        "folder": "results",
        "date": "2026-11-29",
    }
    assert describe_title(opened, [], [], None)["text"] == "results"
    assert describe_title(opened, [f"f{i}" for i in range(9)], [], None)["text"] == "f0, f1, f2, f3 and 5 more"


def test_each_micrograph_has_its_counts_and_median(results: Path) -> None:
    page = Path(write_report(results)).read_text(encoding="utf-8")
    rows = json.loads((results / "summary.json").read_text(encoding="utf-8"))["each_micrograph"]
    particles = pd.read_parquet(results / "particles.parquet").query("counted")
    medians = particles.groupby("micrograph_id")["equivalent_diameter_nm"].median()
    assert len(rows) == 12
    for row in rows:
        assert row["median_nm"] == pytest.approx(medians[row["micrograph_id"]])
    assert "No overlay was drawn" in page
    assert re.search(r"<title>Particles of results", page)
    assert "<b>Figure 1.</b>" in page
    assert 'Table 1<span class="again">. What was measured</span>' in page


def test_some_micrographs_of_each_sample_are_shown(results: Path, tmp_path: Path) -> None:
    copy = tmp_path / "results"
    shutil.copytree(results, copy)
    (copy / "overlays").mkdir()
    opened = open_results(copy)
    names = opened.micrographs.query("status == 'done'")["micrograph_id"]
    for name in names:
        cv2.imwrite(str(copy / "overlays" / f"{name}.jpg"), np.full((900, 800, 3), 90, np.uint8))
    (copy / "overlays" / f"{names.iloc[0]}.jpg").write_bytes(b"no picture")
    shown = overlay_pictures(opened, opened.micrographs)
    assert len(shown) == 2 * PER_SAMPLE <= MAX_SHOWN
    assert names.iloc[0] not in {one["micrograph_id"] for one in shown}
    page = Path(write_report(copy)).read_text(encoding="utf-8")
    assert page.count('alt="Outlines on ') == 2 * PER_SAMPLE


@pytest.mark.parametrize(("nm2", "text"), [(3932.0, "3\u202f932 nm²"), (2.66e7, "26.6 µm²"), (0.0, "0 nm²")])
def test_areas_have_a_unit_that_fits(nm2: float, text: str) -> None:
    assert as_text(nm2, "area") == text
