"""The page Population: what it sums up, where it lies, and that it is there."""

import json
import re
import urllib.request
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import dask
import numpy as np
import pandas as pd
import pytest
from distributed import Client, LocalCluster
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask import open_results, run, tables
from hrtem_dask.batch.dashboard.live import (
    TOPIC,
    PopulationReporter,
    add_population_page,
    dashboard_link,
    population_link,
)
from hrtem_dask.batch.dashboard.population_state import (
    BIN_NM,
    HISTORY,
    THUMBNAIL_BYTES,
    MicrographSummary,
    PopulationState,
    summarize_micrograph,
    thumbnail,
)
from hrtem_dask.settings import Settings

EMPTY = MicrographSummary().message()


def state_of(client: Client) -> PopulationState:
    """What the plugin of a cluster in this process has summed up."""
    state = client.cluster.scheduler.plugins[TOPIC].state
    assert isinstance(state, PopulationState)
    return state


def fetch(link: str) -> str:
    with urllib.request.urlopen(link, timeout=30) as answer:
        assert answer.status == 200
        return str(answer.read().decode())


def begun(n_to_analyse: int, statuses: dict[str, int] | None = None) -> PopulationState:
    message = {"run": "r", "results": "out", "statuses": statuses or {}, "n_to_analyse": n_to_analyse, "summary": EMPTY}
    return PopulationState.begun(message, 0.0)


def particles(sizes_nm: list[float | None], counted: list[bool], states: list[str | None]) -> pd.DataFrame:
    columns = {"equivalent_diameter_nm": sizes_nm, "counted": counted, "fault_state": states}
    return tables.conform(pd.DataFrame(columns), tables.PARTICLES)


def test_only_counted_particles_enter_the_summary() -> None:
    found = summarize_micrograph(
        particles(
            [3.04, 3.05, 9.0, None, 5000.0],
            [True, True, False, True, True],
            ["fault", "unknown", "fault", "no_fault", None],
        )
    )
    assert (found.n_particles, found.n_counted) == (5, 4)
    assert found.sizes == {30: 2, 20_000: 1}
    assert found.fault_states == {"fault": 1, "unknown": 1, "no_fault": 1}
    assert summarize_micrograph(tables.empty(tables.PARTICLES)) == MicrographSummary()
    state = begun(2)
    for n_doubtful in (1, 0):
        summary = summarize_micrograph(tables.empty(tables.PARTICLES), n_doubtful=n_doubtful).message()
        state.add({"micrograph_id": "m", "status": "done", "summary": summary}, 1.0)
    assert state.n_doubtful == 1


def test_thumbnails_stay_small(rng: np.random.Generator) -> None:
    noise = rng.integers(0, 256, (800, 1024, 3), dtype=np.uint8)
    for picture in (noise, noise[:240, :240], noise[:30, :20]):
        jpeg = thumbnail(picture)
        assert jpeg is None or (jpeg.startswith(b"\xff\xd8") and len(jpeg) <= THUMBNAIL_BYTES)
    assert thumbnail(np.zeros((1024, 1024, 3), np.uint8)) is not None


@pytest.mark.parametrize("shape", [(1, 1), (1, 1024), (1024, 1), (600, 1), (2, 100_000)])
def test_a_line_profile_has_a_thumbnail(shape: tuple[int, int]) -> None:
    jpeg = thumbnail(np.zeros((*shape, 3), np.uint8))
    assert jpeg is not None
    small = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert max(small.shape[:2]) == min(240, max(shape))
    assert min(small.shape[:2]) >= 1


@given(st.lists(st.tuples(st.sampled_from(["done", "empty", "failed"]), st.lists(st.floats(0.1, 900))), max_size=20))
def test_the_state_adds_up(micrographs: list[tuple[str, list[float]]]) -> None:
    state = begun(len(micrographs) + 1, {"done": 2, "set_aside": 1})
    for i, (status, sizes_nm) in enumerate(micrographs):
        n = len(sizes_nm)
        summary = summarize_micrograph(particles(list(sizes_nm), [True] * n, ["fault"] * n)).message()
        state.add({"micrograph_id": str(i), "status": status, "summary": summary}, float(i))
    everything = [d for _, sizes in micrographs for d in sizes]
    assert (state.n_left, state.n_analysed, state.n_before) == (1, len(micrographs), 3)
    assert state.statuses == Counter(["done", "done", "set_aside", *(s for s, _ in micrographs)])
    assert state.n_counted == state.fault_states["fault"] == len(everything)
    edges_nm, counts = state.histogram()
    assert counts.sum() == len(everything)
    assert len(counts) <= 40
    if everything:
        assert edges_nm[0] - 1e-6 <= min(everything)
        assert max(everything) <= edges_nm[-1] + 1e-6
        lower_median = sorted(everything)[(len(everything) - 1) // 2]
        assert state.median_nm() == pytest.approx(lower_median, abs=0.51 * BIN_NM)
    else:
        assert state.median_nm() is None


def test_a_long_run_keeps_a_short_history_that_ends_with_now() -> None:
    n = 5 * HISTORY + 3
    state = begun(n)
    for i in range(n):
        state.add({"micrograph_id": str(i), "status": "empty", "summary": EMPTY}, i + 1.0)
    assert len(state.history) <= HISTORY
    assert state.history[0][:2] == (0.0, 0)
    assert state.history[-1][:2] == (float(n), n)
    assert [t for t, *_ in state.history] == sorted(t for t, *_ in state.history)


@pytest.mark.parametrize(
    ("template", "page"),
    [
        ("{scheme}://{host}:{port}/status", "http://here:8787/population"),
        ("{JUPYTERHUB_SERVICE_PREFIX}proxy/{port}/status", "/user/maria/proxy/8787/population"),
        ("/proxy/{port}/status?token=abc", "/proxy/8787/population?token=abc"),
        ("https://hub/proxy/{port}/", "https://hub/proxy/8787/population"),
        ("https://hub/proxy/{port}", "https://hub/proxy/8787/population"),
    ],
)
def test_the_link_goes_through_the_proxy_of_the_dashboard(
    template: str, page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed.utils import format_dashboard_link

    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/maria/")
    with dask.config.set({"distributed.dashboard.link": template}):
        assert population_link(format_dashboard_link("here", 8787)) == page


def test_the_page_is_beside_status_and_its_numbers_are_the_tables(
    folder: Path, tmp_path: Path, settings: Settings, client: Client, messages: Callable[[], list[str]]
) -> None:
    (folder / "broken.tif").write_bytes(b"II*\0 nothing")
    summary = run(folder, tmp_path / "out", settings=settings, cluster=client)
    lines = messages()
    status = dashboard_link(client)
    assert status
    link = population_link(status)
    assert f"dashboard: {status}" in lines
    assert not [line for line in lines if "is not updated" in line]
    assert f"population: {link}" in lines
    table = open_results(tmp_path / "out").particles
    state = state_of(client)
    assert {k: state.statuses[k] for k in summary.counts} == summary.counts
    assert (state.n_left, state.n_particles) == (0, summary.n_particles)
    counted = table[table["counted"]]
    assert state.n_counted == len(counted) > 0
    _, counts = state.histogram()
    assert counts.sum() == counted["equivalent_diameter_nm"].notna().sum()
    assert state.median_nm() == pytest.approx(counted["equivalent_diameter_nm"].median(), abs=BIN_NM)
    assert state.fault_states == Counter(counted["fault_state"].dropna())
    micrographs = open_results(tmp_path / "out").micrographs
    assert {name for name, _, _ in state.overlays} == set(micrographs.query("n_particles > 0")["micrograph_id"])

    page = fetch(link)
    for other in (status, link):
        assert re.search(r'<a href="population">\s*Population', fetch(other)), f"no link in the navigation of {other}"
    # behind a proxy nothing absolute is reached
    own = [a for a in re.findall(r'(?:src|href)="([^"]+)"', page) if not a.startswith(("https://", "javascript:"))]
    assert own
    assert not [address for address in own if address.startswith(("/", "http:"))]

    before = json.dumps(sorted(state.sizes.items()))
    run(folder, tmp_path / "out", settings=settings, cluster=client)
    again = state_of(client)
    assert {k: again.statuses[k] for k in summary.counts} == summary.counts, "what was done before counts as done"
    assert json.dumps(sorted(again.sizes.items())) == before


def test_a_scheduler_without_a_dashboard_is_warned_of_and_the_run_goes_on(messages: Callable[[], list[str]]) -> None:
    with (
        LocalCluster(
            processes=False, n_workers=1, dashboard_address="127.0.0.1:0", scheduler_kwargs={"dashboard": False}
        ) as cluster,
        Client(cluster) as client,
    ):
        add_population_page(client).end()
    lines = messages()
    assert "without a dashboard" in lines[-1]
    assert not any("population: " in line for line in lines)


class Refusing:
    """A client whose scheduler knows neither the package nor its plugin."""

    dashboard_link = "http://far:8787/status"
    cluster = None

    def register_plugin(self, _: Any) -> None:
        raise ModuleNotFoundError("No module named 'hrtem_dask'")

    def log_event(self, *_: Any) -> None:
        raise OSError("gone")


def test_a_scheduler_without_the_package_costs_one_line(messages: Callable[[], list[str]]) -> None:
    add_population_page(Refusing()).end()  # type: ignore[arg-type]
    address, warning = messages()
    assert address == "dashboard: http://far:8787/status"
    assert "No module named 'hrtem_dask'" in warning


def test_a_page_that_cannot_be_updated_any_more_costs_one_line(messages: Callable[[], list[str]]) -> None:
    reporter = PopulationReporter(Refusing())  # type: ignore[arg-type]
    reporter.end()
    reporter.end()
    assert messages() == ["the page population is not updated from here on: OSError: gone"]
