"""Text that would run as HTML or as a formula: every page shows it as text, and every table holds it as text."""

import base64
import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from hrtem_dask import export, open_results, run
from hrtem_dask.batch.dashboard import population_page
from hrtem_dask.batch.dashboard.population_state import PopulationState
from hrtem_dask.report import write_report

HTML = "<img src=x onerror=alert(1)>\"'<script>window.hurt=1<b>"
"""What breaks out of a text, out of an attribute, and out of a script; a file name cannot hold a slash."""
BEYOND_NAMES = HTML + "</script></style></title><svg onload=alert(2)>{{7*7}}"
FORMULAS = ("=1+1", "+1+1", "-1+1", "@SUM(1)", "\t=1+1", "\r=1+1", "a;=1+1", "＝1+1")
"""The last but one is cut at the semicolon where that separates columns."""


class Elements(HTMLParser):
    """Tags and attributes of a page, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.hrefs: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def require_harmless(text: str) -> Elements:
    """Require that nothing of the hostile text has become an element or an attribute."""
    page = Elements(text)
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        assert attributes.get("src") != "x"
        assert tag != "svg" or "onload" not in attributes
    assert "<script>window.hurt" not in text
    return page


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, make_disks: Any, make_tiff: Any) -> Path:
    """Results of micrographs whose folders, names, metadata and covariates are hostile; some cannot be read."""
    root = tmp_path_factory.mktemp("hostile")
    rng = np.random.default_rng(1)
    folders = [HTML, *(f.replace("\r", "").replace("\t", "") for f in FORMULAS)]
    for i, name in enumerate(dict.fromkeys(folders)):
        make_tiff(root / "in" / name / f"{i}{HTML[:40]}.tif", make_disks(rng, 1 + i % 6))
        (root / "in" / name / f"{i}=broken{HTML}.tif").write_bytes(b"II*\0" + BEYOND_NAMES.encode())
    step = (20.0, 20.0)
    description = {"unit": "nm", "Info": f"Detector={BEYOND_NAMES}\n{BEYOND_NAMES}={BEYOND_NAMES}"}
    tifffile.imwrite(root / "in" / "told.tif", make_disks(rng, 3), imagej=True, resolution=step, metadata=description)
    with (root / "samples.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "sample", f"dose {BEYOND_NAMES}", "=2+2", "note"])
        writer.writerow(["told.tif", BEYOND_NAMES, 3, "=3+3", '=HYPERLINK("http://127.0.0.1/")'])
        for i, name in enumerate(dict.fromkeys(folders)):
            note = FORMULAS[i % len(FORMULAS)]
            writer.writerow([f"{name}/*.tif".replace("[", "[[]"), f"{name}{BEYOND_NAMES}"[:90], i, "@x", note])
    settings = {"segmentation": {"method": "otsu"}, "execution": {"device": "cpu", "overlays": "all"}}
    run(root / "in", root / "out", settings=settings, metadata=root / "samples.csv", cluster="threads")
    write_report(root / "out")
    return root / "out"


def test_micrographs_of_hostile_names_are_analyzed(hostile: Path) -> None:
    rows = open_results(hostile).micrographs
    assert (rows["status"] == "done").sum() >= 7
    assert (rows["status"] == "failed").sum() >= 6
    assert rows["sample"].str.contains("onerror").any()


@pytest.mark.parametrize("page", ["report.html", "overlays/index.html"])
def test_pages_show_hostile_text_as_text(hostile: Path, page: str) -> None:
    text = (hostile / page).read_text(encoding="utf-8")
    require_harmless(text)
    assert "&lt;img src=x onerror" in text or "&lt;img" in text, "the text is there at all"


def test_the_live_page_shows_hostile_text_as_text(hostile: Path) -> None:
    state = PopulationState(run="r", results=BEYOND_NAMES)
    state.overlays.append((BEYOND_NAMES, "1 particle", b"jpeg"))
    text = population_page._heading(state) + population_page._gallery(state)
    require_harmless(text)
    assert "&lt;img src=x" in text


@pytest.mark.slow
def test_a_browser_runs_nothing_of_it(hostile: Path, browser: Any) -> None:
    for page in ("report.html", "overlays/index.html"):
        browser.open((hostile / page).as_uri())
        assert browser.evaluate("window.hurt ?? 0") == 0
        assert browser.evaluate("document.querySelectorAll('[onerror], [onload]').length") == 0
        assert browser.errors == []


def is_formula(text: str) -> bool:
    return bool(re.match(r"\s*[=+\-@＝]", text)) and not re.fullmatch(r"[+-]?[0-9.]+(e[+-]?\d+)?", text)


def test_exported_tables_hold_no_formula(hostile: Path, tmp_path: Path) -> None:
    export(hostile, tmp_path / "tables", formats=["csv", "xlsx"])
    raw = open_results(hostile).micrographs.astype(object).to_numpy().ravel()
    assert [c for c in raw if isinstance(c, str) and is_formula(c)], "there is something to keep from running"
    found = 0
    for path in (tmp_path / "tables").glob("*.csv"):
        for separator in (",", ";", "\t"):
            text = path.read_text(encoding="utf-8")
            cells = [cell for row in csv.reader(io.StringIO(text), delimiter=separator) for cell in row]
            assert [cell for cell in cells if is_formula(cell)] == [], (path, separator)
            found += sum("'=" in cell for cell in cells)
    assert found
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed: pip install openpyxl")
    book = openpyxl.load_workbook(tmp_path / "tables" / "tables.xlsx")
    kinds = {cell.data_type for sheet in book for row in sheet.iter_rows() for cell in row}
    assert "f" not in kinds
    texts = [cell for row in book["micrographs"].iter_rows() for cell in row if str(cell.value).startswith("=")]
    assert texts, "an Excel sheet keeps the very text"
    assert all(cell.quotePrefix for cell in texts)


def test_tables_in_the_report_hold_no_formula(hostile: Path) -> None:
    text = (hostile / "report.html").read_text(encoding="utf-8")
    uris = re.findall(r"data:text/csv;charset=utf-8;base64,([A-Za-z0-9+/=]+)", text)
    assert len(uris) > 5
    for uri in uris:
        for row in csv.reader(io.StringIO(base64.b64decode(uri).decode())):
            assert [cell for cell in row if is_formula(cell)] == []
