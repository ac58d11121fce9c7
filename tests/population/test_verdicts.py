"""The verdicts of a run: counted, grouped by reason, put into words, and left out of statistics on request."""

import dask.dataframe as dd
import pandas as pd
import pytest

from hrtem_dask import tables
from hrtem_dask.errors import SettingsError
from hrtem_dask.population import PopulationOptions, summarize
from hrtem_dask.population.verdicts import describe_verdicts, doubtful_micrographs, verdict_lines

ROWS = [
    ("a", "Au", "done", "trusted", None),
    ("b", "Au", "done", "doubtful", "predicted Dice below 0.7; many specks"),
    ("c", "CdSe", "done", "doubtful", "many specks"),
    ("d", "CdSe", "empty", "trusted", None),
    ("e", "CdSe", "done", None, None),
    ("f", "CdSe", "set_aside", "doubtful", "many specks"),
    ("g", "CdSe", "failed", None, None),
]
N_COUNTED = {"a": 6, "b": 3, "c": 2, "e": 1}


@pytest.fixture
def micrographs() -> pd.DataFrame:
    columns = ["micrograph_id", "sample", "status", "verdict", "doubt_reasons"]
    return tables.conform(pd.DataFrame(ROWS, columns=columns), tables.MICROGRAPHS)


@pytest.fixture
def particles() -> pd.DataFrame:
    samples = {row[0]: row[1] for row in ROWS}
    rows = [
        {
            "micrograph_id": name,
            "sample": samples[name],
            "counted": True,
            "equivalent_diameter_nm": 5.0 + 10 * (name in "bc"),
        }
        for name, n in N_COUNTED.items()
        for _ in range(n)
    ]
    rows.append({"micrograph_id": "b", "sample": "Au", "counted": False, "exclusion_reason": "edge"})
    return tables.conform(pd.DataFrame(rows), tables.PARTICLES)


def test_micrographs_and_counted_particles_are_counted(micrographs: pd.DataFrame, particles: pd.DataFrame) -> None:
    found = describe_verdicts(micrographs, particles)
    assert [found[f"n_{key}"] for key in ("analyzed", "trusted", "doubtful", "without_verdict")] == [5, 2, 2, 1]
    assert (found["n_counted"], found["n_counted_doubtful"]) == (12, 5)
    assert found["doubtful_share"] == pytest.approx(5 / 12)
    assert found["sizes_are_doubtful"]
    assert found["reasons"] == [
        {"reason": "many specks", "n": 2, "micrographs": ["b", "c"]},
        {"reason": "predicted Dice below 0.7", "n": 1, "micrographs": ["b"]},
    ]
    gold = found["samples"]["Au"]
    assert (gold["n_counted_doubtful"], gold["n_counted"], gold["sizes_are_doubtful"]) == (3, 9, False)  # not above 1/3
    assert found["samples"]["CdSe"]["sizes_are_doubtful"]


def test_sizes_without_the_doubtful_micrographs_are_not_marked(
    micrographs: pd.DataFrame, particles: pd.DataFrame
) -> None:
    found = describe_verdicts(micrographs, particles, leave_out_doubtful=True)
    assert found["doubtful_micrographs"] == "left out"
    assert not found["sizes_are_doubtful"]
    assert found["n_counted_doubtful"] == 5


def test_the_lines_name_the_number_the_reasons_and_the_remedies(
    micrographs: pd.DataFrame, particles: pd.DataFrame
) -> None:
    lines = verdict_lines(describe_verdicts(micrographs, particles))
    assert lines[:4] == [
        "2 of 5 micrographs are doubtful",
        "  2 because: many specks (b, c)",
        "  1 because: predicted Dice below 0.7 (b)",
        "  42 % of the counted particles come from them: so are the sizes",
    ]
    assert all(word in lines[4] for word in ("overlays", "--diameter", "fine-tune"))
    assert lines[5].startswith("1 of 5 micrographs has no verdict")
    assert len(lines) == 6


def test_at_most_five_micrographs_are_named(particles: pd.DataFrame) -> None:
    many = pd.DataFrame({"micrograph_id": [f"m{i}" for i in range(7)], "status": "done", "verdict": "doubtful"})
    found = describe_verdicts(many.assign(doubt_reasons="many specks"), particles)
    assert verdict_lines(found)[1] == "  7 because: many specks (m0, m1, m2, m3, m4, …)"


def test_a_run_without_doubts_says_so(particles: pd.DataFrame) -> None:
    good = pd.DataFrame({"micrograph_id": ["a"], "status": "done", "verdict": "trusted"})
    assert verdict_lines(describe_verdicts(good, particles)) == ["0 of 1 micrographs are doubtful"]
    nothing = describe_verdicts(tables.empty(tables.MICROGRAPHS), tables.empty(tables.PARTICLES))
    assert verdict_lines(nothing) == []


def test_a_method_that_predicts_nothing_is_never_called_trusted(particles: pd.DataFrame) -> None:
    baseline = pd.DataFrame({"micrograph_id": ["a", "b"], "status": "done"})  # as in tables of earlier versions
    found = describe_verdicts(baseline, particles)
    assert (found["n_trusted"], found["n_without_verdict"]) == (0, 2)
    assert doubtful_micrographs(baseline) == set()
    assert len(verdict_lines(found)) == 1
    assert verdict_lines(found)[0].startswith("2 of 2 micrographs have no verdict")


def test_a_field_that_one_crystal_fills_has_no_mask_to_judge(particles: pd.DataFrame) -> None:
    rows = pd.DataFrame(
        {
            "micrograph_id": ["a", "b", "c"],
            "status": "done",
            "verdict": ["trusted", None, None],
            "field_kind": ["particles", "one_crystal", None],
        }
    )
    found = describe_verdicts(rows, particles)
    assert (found["n_trusted"], found["n_one_crystal"], found["n_without_verdict"]) == (1, 1, 1)
    assert verdict_lines(found)[-1].startswith("1 of 3 micrographs is filled by one crystal")
    only = verdict_lines(describe_verdicts(rows[1:2], particles))
    assert [line.split(":")[0] for line in only] == ["1 of 1 micrographs is filled by one crystal"]


@pytest.mark.parametrize("lazy", [False, True])
def test_doubtful_micrographs_are_left_out_only_on_request(
    micrographs: pd.DataFrame, particles: pd.DataFrame, lazy: bool
) -> None:
    table = dd.from_pandas(particles, npartitions=3) if lazy else particles
    quick = {"n_resamples": 100, "n_fit_simulations": 0}
    kept = summarize(table, micrographs, PopulationOptions(**quick))
    left_out = summarize(table, micrographs, PopulationOptions(**quick, leave_out_doubtful=True))
    assert (kept["all"]["n_counted"], left_out["all"]["n_counted"]) == (12, 7)
    assert (kept["all"]["n_particles"], left_out["all"]["n_particles"]) == (13, 7)
    assert left_out["all"]["equivalent_diameter_nm"]["mean"] == pytest.approx(5.0)
    assert [s["definitions"]["doubtful_micrographs"] for s in (kept, left_out)] == ["kept", "left out"]


def test_leaving_out_needs_the_verdicts(particles: pd.DataFrame) -> None:
    with pytest.raises(SettingsError, match="table of micrographs"):
        summarize(particles, options=PopulationOptions(leave_out_doubtful=True))
