"""The numbers on the page are those of summary.json, and the page is complete without other files."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from hrtem_dask import open_results, tables
from hrtem_dask.cli import main
from hrtem_dask.report import write_report
from hrtem_dask.report.numbers_shown import Numbers, as_text, look_up, pointer
from hrtem_dask.storage.location import Location
from hrtem_dask.storage.parquet import write_table


class Page(HTMLParser):
    """The elements of the page that the tests check."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.numbers: list[tuple[str, str, str, str]] = []
        self.ids: set[str] = set()
        self.links: list[dict[str, str]] = []
        self.images: list[dict[str, str]] = []
        self.sources: list[str] = []
        self.bare: list[str] = []
        self._open: dict[str, str] | None = None
        self._cell: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = {key: value or "" for key, value in attributes}
        self.ids |= {named["id"]} if "id" in named else set()
        if tag == "data":
            self._open = named
        elif tag == "td":
            self._cell = named.get("class")
        elif tag == "a":
            self.links.append(named)
        elif tag == "img":
            self.images.append(named)
        if tag in {"script", "link", "img", "iframe"}:
            self.sources.append(named.get("src", named.get("href", "")))

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self.numbers.append((self._open["data-key"], self._open["value"], self._open["data-form"], data))
        elif self._cell == "n" and any(c.isdigit() for c in data):
            self.bare.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag == "data":
            self._open = None
        elif tag == "td":
            self._cell = None


@pytest.fixture(scope="module")
def reported(results: Path) -> Path:
    return Path(write_report(results))


@pytest.fixture(scope="module")
def page(reported: Path) -> Page:
    return Page(reported.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def summary(reported: Path) -> dict:
    return json.loads((reported.parent / "summary.json").read_text(encoding="utf-8"))


def test_every_number_is_that_of_the_summary(page: Page, summary: dict) -> None:
    assert len(page.numbers) > 300
    for key, exact, form, text in page.numbers:
        value = look_up(summary, key)
        assert exact == ("" if value is None else str(value)), key
        assert text == as_text(value, form), key
    assert page.bare == []


def test_an_uncertainty_larger_than_the_value_is_no_range_below_zero() -> None:
    numbers = Numbers({"u": {"value_nm": 10.42, "expanded_uncertainty_nm": 48.3}})
    assert re.sub(r"<[^>]*>", "", numbers.expanded("/u", "nm")) == "10.4 nm (uncertainty larger: ± 48 nm)"
    numbers = Numbers({"u": {"value_nm": 10.42, "expanded_uncertainty_nm": 0.31}})
    assert re.sub(r"<[^>]*>", "", numbers.expanded("/u", "nm")) == "10.42 ± 0.31 nm"
    assert re.sub(r"<[^>]*>", "", numbers.expanded("/u")) == "10.42 ± 0.31"


def test_a_p_value_that_simulations_cannot_undercut_is_at_most_that(page: Page, summary: dict) -> None:
    keys = [(key, form) for key, _, form, _ in page.numbers if key.endswith("goodness_of_fit/p_value")]
    shown = [(look_up(summary, key), form) for key, form in keys]
    smallest = 1 / 21  # of 20 simulations
    assert {form for p, form in shown if p is not None and p < smallest + 1e-9} == {"p at most"}
    assert {form for p, form in shown if p is None or p > smallest + 1e-9} <= {"p"}


def test_the_summary_holds_what_was_planted(summary: dict, results: Path) -> None:
    particles = pd.read_parquet(results / "particles.parquet")
    counted = particles[particles["counted"]]
    assert summary["measured"]["status"] == {"done": 12, "empty": 0, "set_aside": 1, "failed": 1}
    assert summary["measured"]["particles"]["n_counted"] == len(counted) == 144
    assert summary["measured"]["n_corrected"] == 1
    fault = summary["relations"]["overall"]["defect_fraction"]
    states = counted["fault_state"].value_counts()
    assert (fault["n_fault"], fault["n_no_fault"], fault["n_unknown"]) == tuple(
        states[["fault", "no_fault", "unknown"]]
    )
    odds = summary["relations"]["overall"]["defect_curve"]["odds_ratio_per_sd"]
    assert odds["low"] > 1, "larger particles were made faulted more often"
    assert summary["relations"]["covariates"] == ["synthesis_temperature_c"]


def test_the_relations_weigh_particles_as_the_sizes_do(summary: dict) -> None:
    for name, population in summary["samples"].items():
        mean = summary["relations"]["comparisons"]["samples"][name]["mean"]["estimate"]
        assert mean == pytest.approx(
            population["equivalent_diameter_nm"]["number_weighted"]["mean_nm"]["value"], rel=1e-9
        )


def test_reporting_twice_gives_the_same_summary(results: Path, summary: dict, tmp_path: Path) -> None:
    again = tmp_path / "results"
    shutil.copytree(results, again)
    write_report(again)
    assert json.loads((again / "summary.json").read_text(encoding="utf-8")) == summary


def rewritten(results: Path, folder: Path, doubtful: list[int]) -> Path:
    """Copy results; of the first twelve micrographs, those named are doubtful and all others trusted."""
    copy = folder / "results"
    shutil.copytree(results, copy)
    place = Location.of(copy)
    table = open_results(place).micrographs
    table["verdict"] = ["doubtful" if i in doubtful else "trusted" for i in range(12)] + [None, None]
    table["doubt_reasons"] = ["many specks" if i in doubtful else None for i in range(14)]
    write_table(place, "micrographs.parquet", table, tables.MICROGRAPHS)
    return copy


def test_the_page_opens_with_the_verdict_and_marks_the_sizes(results: Path, tmp_path: Path) -> None:
    for name, doubtful, is_marked in (("few", [0, 1], False), ("many", [0, 1, 2, 3, 4, 5], True)):
        copy = rewritten(results, tmp_path / name, doubtful)
        text = Path(write_report(copy)).read_text(encoding="utf-8")
        found = json.loads((copy / "summary.json").read_text(encoding="utf-8"))["verdicts"]
        assert (found["n_doubtful"], found["n_trusted"]) == (len(doubtful), 12 - len(doubtful))
        assert found["reasons"][0]["n"] == len(doubtful)
        assert text.index('aria-label="Verdict"') < text.index('<dl class="digest">')
        assert ("median equivalent circular diameter, doubtful" in text) == found["sizes_are_doubtful"] == is_marked
        page = Page(text)
        assert ("/verdicts/reasons/0/n", str(len(doubtful))) in {(key, value) for key, value, *_ in page.numbers}


def test_the_verdict_comes_first_and_a_share_of_faults_says_of_how_many_and_what_it_assumes(
    results: Path, tmp_path: Path
) -> None:
    """100 % of one particle stood in the headline like 30 % of thousands, also where all micrographs were doubtful."""
    copy = rewritten(results, tmp_path, list(range(12)))
    place = Location.of(copy)
    table = open_results(place).micrographs
    table["voltage_kv"] = [None, *table["voltage_kv"].iloc[1:]]
    table["field_kind"] = ["particles"] * 12 + [None, None]
    write_table(place, "micrographs.parquet", table, tables.MICROGRAPHS)
    text = Path(write_report(copy)).read_text(encoding="utf-8")
    found = json.loads((copy / "summary.json").read_text(encoding="utf-8"))
    assert text.index('aria-label="Verdict"') < text.index(" counted on ")
    faults, fraction = found["fault_conditions"], found["relations"]["overall"]["defect_fraction"]
    assert (faults["n_micrographs"], faults["n_without_voltage"], faults["states_are_doubtful"]) == (12, 1, True)
    assert faults["n_particles"] == fraction["n_fault"] + fraction["n_no_fault"]
    assert "share of assessable particles with a fault, doubtful" in text
    assert "1 of these micrographs states no voltage; 150 to 350 kV is assumed" in text
    shown = {key for key, *_ in Page(text).numbers}
    assert {"/relations/overall/defect_fraction/n_fault", "/fault_conditions/n_particles"} <= shown


def test_populations_without_particles_have_no_empty_tables_and_stacks_are_named(results: Path, tmp_path: Path) -> None:
    copy = rewritten(results, tmp_path, [])
    place = Location.of(copy)
    table = open_results(place).micrographs
    table["source"], table["signal"] = ["/data/movie.tif"] * 3 + list(table["source"].iloc[3:]), 0
    table.loc[table["micrograph_id"] == "failed", ["status", "sample", "n_particles"]] = ["done", "blank", 0]
    table["field_kind"] = pd.Series(["particles"] * 12 + [None, "one_crystal"], dtype=table["field_kind"].dtype)
    write_table(place, "micrographs.parquet", table, tables.MICROGRAPHS)
    text = Path(write_report(copy)).read_text(encoding="utf-8")
    measured = json.loads((copy / "summary.json").read_text(encoding="utf-8"))["measured"]
    assert [measured[f"n_{name}"] for name in ("with_particles", "one_crystal", "without_particles")] == [12, 1, 0]
    assert "Defects, blank" not in text
    assert "counted micrographs are frames of stacks (movie.tif: " in text


def test_doubtful_micrographs_can_be_left_out_and_come_back(results: Path, tmp_path: Path) -> None:
    copy = rewritten(results, tmp_path, [0, 1, 2, 3, 4, 5])
    particles = pd.read_parquet(copy / "particles.parquet").query("counted")
    trusted = particles["micrograph_id"].isin(open_results(copy).micrographs["micrograph_id"][6:12])
    for options, n in ((["--leave-out-doubtful"], int(trusted.sum())), ([], len(particles))):
        done = CliRunner().invoke(main, ["report", str(copy), *options])
        assert done.exit_code == 0, done.output
        found = json.loads((copy / "summary.json").read_text(encoding="utf-8"))
        assert found["all"]["n_counted"] == n
        assert found["relations"]["overall"]["shape_classes"]["n_counted"] == n
        assert found["micrographs"] == {"done": 12}
        assert not (options and found["verdicts"]["sizes_are_doubtful"])


def test_a_given_confusion_matrix_corrects_the_fraction(results: Path, summary: dict, tmp_path: Path) -> None:
    """The expected value is Rogan and Gladen's (p + specificity − 1)/(sensitivity + specificity − 1)."""
    again = tmp_path / "results"
    shutil.copytree(results, again)
    matrix = tmp_path / "matrix.json"
    counts = {"fault": {"fault": 95, "no_fault": 5}, "no_fault": {"fault": 8, "no_fault": 92}}
    matrix.write_text(json.dumps({"measured_on": "hand labels", "counts": counts}), encoding="utf-8")
    done = CliRunner().invoke(main, ["report", str(again), "--confusion", str(matrix)])
    assert done.exit_code == 0, done.output
    overall = json.loads((again / "summary.json").read_text(encoding="utf-8"))["relations"]["overall"]
    before = summary["relations"]["overall"]["defect_fraction"]["fraction"]["estimate"]
    assert overall["defect_fraction_corrected"]["estimate"] == pytest.approx((before - 0.08) / 0.87, abs=1e-6)
    assert "hand labels" in (again / "report.html").read_text(encoding="utf-8")
    matrix.write_text("{}", encoding="utf-8")
    refused = CliRunner().invoke(main, ["report", str(again), "--confusion", str(matrix)])
    assert refused.exit_code != 0
    assert "measured_on" in refused.output


def test_the_bias_of_a_reference_material_enters_the_budgets(results: Path, tmp_path: Path) -> None:
    standard, sample = (Path(shutil.copytree(results, tmp_path / name)) for name in ("standard", "sample"))
    done = CliRunner().invoke(main, ["report", str(sample), "--bias-from", str(standard)])
    assert done.exit_code == 1, done.output
    assert "--reference NM±NM" in done.output
    done = CliRunner().invoke(main, ["report", str(standard), "--reference", "4.0±0.1"])
    assert done.exit_code == 0, done.output
    reference = json.loads((standard / "summary.json").read_text(encoding="utf-8"))["comparability"]["reference"]
    term = np.hypot(reference["bias_nm"] / np.sqrt(3), 0.05)
    found = {}
    for options in (["--bias-from", str(standard)], []):
        done = CliRunner().invoke(main, ["report", str(sample), *options])
        assert done.exit_code == 0, done.output
        found[bool(options)] = json.loads((sample / "summary.json").read_text(encoding="utf-8"))
        if options:
            text = (sample / "report.html").read_text(encoding="utf-8")
            assert "Bias of a reference material" in text
    for name in ("mean_nm", "d90_nm"):
        with_bias, without = (found[key]["all"]["equivalent_diameter_nm"]["uncertainty"][name] for key in (True, False))
        sources = {row["source"]: row["standard_uncertainty_nm"] for row in with_bias["sources"]}
        assert sources["bias"] == pytest.approx(term)
        assert "bias" not in {row["source"] for row in without["sources"]}
        expected = np.hypot(without["combined_standard_uncertainty_nm"], term)
        assert with_bias["combined_standard_uncertainty_nm"] == pytest.approx(expected)
    assert found[False]["comparability"]["bias"] is None
    doubts = found[True]["comparability"]["bias"]["doubts"]
    assert [doubt for doubt in doubts if "other settings" in doubt or "pixels" in doubt] == []


def test_nothing_is_fetched_and_links_resolve(page: Page) -> None:
    assert all(source == "" or source.startswith("data:") for source in page.sources)
    for link in page.links:
        assert link["href"].startswith("data:") or link["href"].removeprefix("#") in page.ids


def test_tables_hold_what_the_figures_show(page: Page, summary: dict) -> None:
    tables = {link["download"]: link["href"] for link in page.links if "download" in link}
    assert len(tables) > 15
    name = "samples_" + "Au 60~180.5" + "_equivalent_diameter_nm_histogram.csv"
    content = base64.b64decode(tables[name].partition("base64,")[2]).decode()
    table = pd.read_csv(io.StringIO(content))
    bins = summary["samples"]["Au 60/80.5"]["equivalent_diameter_nm"]["histogram"]
    assert table["n_counted"].tolist() == bins["n_counted"]
    np.testing.assert_allclose(table["number_fraction"], bins["number_fraction"], rtol=1e-5)
    for family in ("lognormal", "normal", "weibull"):
        assert 0.9 < table[f"{family}_fraction"].sum() < 1.05, "a fitted density covers the bins"


def test_pictures_and_figures_are_described(page: Page, reported: Path) -> None:
    assert len(page.images) > 20
    assert all(image["alt"] and image["src"].startswith("data:image/jpeg;base64,") for image in page.images)
    text = reported.read_text(encoding="utf-8")
    assert re.findall(r'role="img" aria-label=""', text) == []
    assert "Au &amp; &lt;b&gt;" in text
    assert "truncated &lt;file&gt;" in text, "text from a file is escaped"


def test_a_missing_micrograph_is_reported_and_the_page_is_still_written(results: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "results"
    shutil.copytree(results, elsewhere)
    micrographs = pd.read_parquet(elsewhere / "micrographs.parquet")
    micrographs["source"] = str(tmp_path / "gone.tif")
    micrographs.to_parquet(elsewhere / "micrographs.parquet")
    text = Path(write_report(elsewhere)).read_text(encoding="utf-8")
    assert "No picture:" in text
    assert "data:image/jpeg" not in text


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"micrographs\.parquet is absent"):
        write_report(tmp_path)


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (12.3456, "number", "12.3"), (9.996, "number", "10.0"), (0.0012345, "number", "0.00123"),
        (-4.5, "number", "−4.50"), (123456, "number", "123\u202f456"), (0.12345, "percent", "12.3 %"),
        (0.00012, "p", "< 0.001"), (0.0456, "p", "0.046"), (None, "number", "–"), (True, "number", "yes"),
        (1.2e-7, "number", "1.20\u202f×\u202f10⁻⁷"), (99999.0, "number", "99\u202f999"), (0.0, "percent", "0 %"),
        (-0.013, "percent", "−1.3 %"), (1 / 501, "p at most", "≤ 0.002"), (1 / 10001, "p at most", "< 0.001"),
    ],
)  # fmt: skip
def test_numbers_are_written_with_three_digits(value: object, form: str, text: str) -> None:
    assert as_text(value, form) == text


def test_pointers_find_names_with_slashes_and_tildes() -> None:
    content = {"a/b": [{"~": 7}], "": 8}
    assert look_up(content, pointer("a/b", 0, "~")) == 7
    assert look_up(content, pointer("")) == 8
