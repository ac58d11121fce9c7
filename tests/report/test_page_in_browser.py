"""The page in a real browser, without a network."""

import json
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
    browser._call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=False)
    assert browser.evaluate(WIDTH), "on a phone, tables and figures scroll, not the page"
    assert browser.errors == []
