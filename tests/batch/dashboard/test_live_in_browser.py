"""The page Population as a reader sees it: in a real browser, during a run."""

import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import Client

from hrtem_dask import open_results, run
from hrtem_dask.batch.dashboard.live import PopulationReporter
from hrtem_dask.batch.run.run import RunSummary
from hrtem_dask.settings import Settings

BLUE, GREEN = (0x00, 0x72, 0xB2), (0x00, 0x9E, 0x73)
"""Colours of the size histogram, and of the throughput's line and the bar of micrographs done."""
BARS = """Bokeh.documents[0].all_models
  ? [...Bokeh.documents[0].all_models].find(m => m.type === "ColumnDataSource" && m.data.left && m.data.right)
      .data.n.reduce((sum, n) => sum + n, 0)
  : null"""
CANVAS_WIDTHS = """(function all(root) {
  return [...root.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
})(document).filter(e => e.tagName === "CANVAS").map(e => e.clientWidth)"""
PICTURES_LOADED = """(function all(root) {
  return [...root.querySelectorAll("*")].flatMap(e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
})(document).filter(e => e.tagName === "IMG" && e.alt === "overlay" && e.naturalWidth > 0).length"""


@pytest.mark.slow
def test_a_reader_sees_the_numbers_grow_to_the_summarys(
    tmp_path: Path, settings: Settings, client: Client, browser: Any, make_disks: Callable[..., np.ndarray],
    make_tiff: Callable[..., Path], rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch,
    messages: Callable[[], list[str]],
) -> None:  # fmt: skip
    for n in range(8):
        make_tiff(tmp_path / "in" / f"{n}.tif", make_disks(rng, n % 7))
    half, go_on = threading.Event(), threading.Event()
    add = PopulationReporter.add
    added: list[Any] = []

    def add_and_wait_at_half(self: PopulationReporter, outcome: Any) -> None:
        add(self, outcome)
        added.append(outcome)
        if len(added) == 4:
            half.set()
            go_on.wait(120)

    monkeypatch.setattr(PopulationReporter, "add", add_and_wait_at_half)
    ended: list[RunSummary] = []

    def analyse() -> None:
        ended.append(run(tmp_path / "in", tmp_path / "out", settings=settings, cluster=client))

    thread = threading.Thread(target=analyse)
    thread.start()
    try:
        assert half.wait(60)
        address = next(line for line in messages() if line.startswith("population: ")).removeprefix("population: ")
        browser.open(address)
        during = wait_for_text(browser, "4 of 8 micrographs")
        assert "4 left" in during
        assert "running" in during
        if folder := os.environ.get("HRTEM_DASK_SCREENSHOTS"):
            browser.screenshot(Path(folder) / "population.png")
        go_on.set()
        thread.join(120)
        after = wait_for_text(browser, "8 of 8 micrographs")
        after = wait_for_text(browser, "finished")
    finally:
        go_on.set()
        thread.join(120)
    (summary,) = ended
    counted = int(open_results(tmp_path / "out").particles["counted"].sum())
    assert number_of(r"(\d+) particles", during) == sum(o.n_particles for o in added[:4])
    assert number_of(r"(\d+) particles", after) == summary.n_particles > number_of(r"(\d+) particles", during)
    assert number_of(r"(\d+) of them counted", after) == counted
    assert browser.evaluate(BARS) == counted
    # a plot that is not drawn has no pixel of its marks' colour
    assert browser.count_pixels(BLUE) > 1000
    assert browser.count_pixels(GREEN) > 1000
    assert browser.evaluate(PICTURES_LOADED) >= 1
    browser.resize(400, 900)
    browser.wait_for(f"Math.max(...{CANVAS_WIDTHS}) < 400")
    assert browser.evaluate(f"Math.min(...{CANVAS_WIDTHS})") > 300, "on a phone, plots lie below one another"
    assert not browser.errors


def number_of(pattern: str, text: str) -> int:
    found = re.search(pattern, text)
    assert found, f"no {pattern} in {text!r}"
    return int(found[1])


def wait_for_text(browser: Any, wanted: str) -> str:
    browser.wait_for(f"({browser.text_script}).includes({wanted!r})")
    return str(browser.text())
