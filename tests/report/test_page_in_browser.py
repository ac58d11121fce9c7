"""The page in a real browser, without a network."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hrtem_dask.report import write_report
from hrtem_dask.report.numbers_shown import as_text, look_up

DRAWN = """Bokeh.documents.flatMap(d => d.roots()).length > 0 && Bokeh.documents.flatMap(d => d.roots())
  .every(root => Bokeh.index.get_by_id(root.id)?.el?.getBoundingClientRect().height > 50)"""
NUMBERS = """[...document.querySelectorAll("[data-key]")].map(e => [e.dataset.key, e.dataset.form, e.textContent])"""
DEAD_LINKS = """[...document.querySelectorAll("a[href^='#']")].map(a => a.getAttribute("href"))
  .filter(href => !document.getElementById(href.slice(1)))"""
WIDTH = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
NUMBERED = """[...document.querySelectorAll("caption, figure.plot figcaption b")]
  .map(e => e.textContent.match(/^(Table|Figure) \\d+\\./)?.[0]).filter(Boolean)"""
PICTURES = "[...document.images].filter(image => image.complete && image.naturalWidth > 0).length"


@pytest.mark.slow
def test_the_page_opens_draws_and_shows_the_numbers_of_the_summary(
    results: Path, request: pytest.FixtureRequest
) -> None:
    try:
        browser: Any = request.getfixturevalue("browser")
    except LookupError:
        pytest.skip("no fixture 'browser': it is defined in tests/conftest.py")
    page = Path(write_report(results))
    summary = json.loads((page.parent / "summary.json").read_text(encoding="utf-8"))
    browser.open(page.as_uri())
    browser.wait_for(DRAWN, 60)
    assert browser.evaluate("Bokeh.documents.flatMap(d => d.roots()).length") > 15
    numbers = browser.evaluate(NUMBERS)
    assert len(numbers) > 300
    for key, form, text in numbers:
        assert text == as_text(look_up(summary, key), form), key
    assert browser.evaluate(DEAD_LINKS) == []
    assert browser.evaluate(PICTURES) == browser.evaluate("document.images.length") > 20
    assert browser.evaluate(WIDTH), "the page is no wider than the window"
    assert len(set(browser.evaluate(NUMBERED))) == len(browser.evaluate(NUMBERED)) > 15
    browser.resize(390, 844)
    assert browser.evaluate(WIDTH), "on a phone, tables and figures scroll, not the page"
    assert browser.errors == []


HEADINGS = (
    """[...document.querySelectorAll("h2, h3, h4, summary")].map(e => e.textContent.trim().replace(/\\s+/g, " "))"""
)
MANY_NONE = """document.querySelector("#gallery").insertAdjacentHTML(
  "afterend", "<section>" + "<h3>Empty part</h3><p>None.</p>".repeat(70) + "</section>")"""


@pytest.mark.slow
def test_no_heading_stands_alone_at_the_end_of_a_printed_page(
    results: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    reader = shutil.which("pdftotext")
    if reader is None:
        pytest.skip("no pdftotext: it is part of poppler-utils")
    browser: Any = request.getfixturevalue("browser")
    browser.open(Path(write_report(results)).as_uri())
    browser.wait_for(DRAWN, 60)
    browser.evaluate(MANY_NONE)  # many places where a page may end
    headings = set(browser.evaluate(HEADINGS))
    assert len(headings) > 20
    browser.print_page(tmp_path / "report.pdf")
    text = subprocess.run(
        [reader, "-layout", str(tmp_path / "report.pdf"), "-"], capture_output=True, text=True, check=True
    ).stdout
    pages = [[" ".join(line.split()) for line in page.splitlines() if line.strip()] for page in text.split("\f")[:-1]]
    assert len(pages) > 10
    ends = [[line for line in page if not re.fullmatch(r"\d+ / \d+", line)][-1] for page in pages]
    assert [end for end in ends if end in headings or re.match(r"Table \d+(\.|$)", end)] == []
