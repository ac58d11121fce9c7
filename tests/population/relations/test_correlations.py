import numpy as np
import pandas as pd
import pytest
import scipy.stats

from hrtem_dask import tables
from hrtem_dask.population.inference import jackknife_correlations as correlations_left_out
from hrtem_dask.population.relations.correlations import correlations
from hrtem_dask.population.relations.ingredients import shared_ingredients

SIZE = "equivalent_diameter_nm"
PAIR = (SIZE, "solidity")


def particles(rng: np.random.Generator, *, n: int = 300, n_micrographs: int = 20, sample: str = "Au") -> pd.DataFrame:
    rows = pd.DataFrame({"counted": True, "sample": sample}, index=range(n))
    codes = rng.integers(0, n_micrographs, n)
    rows["micrograph_id"] = [f"{sample}{i}" for i in codes]
    rows[SIZE] = 6 + rng.normal(size=n) + rng.normal(size=n_micrographs)[codes]
    rows["solidity"] = np.exp(0.1 * (0.6 * rows[SIZE] + rng.normal(size=n)))
    return tables.conform(rows, tables.PARTICLES)


def both(table: pd.DataFrame) -> tuple[dict[str, object], dict[str, object]]:
    pearson, spearman = correlations(table, descriptors=PAIR)
    return pearson, spearman


def columns(table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    return table[SIZE].to_numpy(dtype=float), table["solidity"].to_numpy(dtype=float)


def test_the_coefficients_are_scipys(rng: np.random.Generator) -> None:
    table = particles(rng)
    table.loc[:80, SIZE] = 5.0  # ties
    pearson, spearman = both(table)
    assert pearson["estimate"] == pytest.approx(scipy.stats.pearsonr(*columns(table)).statistic)
    assert spearman["estimate"] == pytest.approx(scipy.stats.spearmanr(*columns(table)).statistic)


def test_the_errors_are_the_jackknifes(rng: np.random.Generator) -> None:
    table = particles(rng)
    for row, correlate in zip(both(table), (scipy.stats.pearsonr, scipy.stats.spearmanr), strict=True):
        parts = [table[table["micrograph_id"] != g] for g in table["micrograph_id"].unique()]
        z = np.arctanh([correlate(*columns(part)).statistic for part in parts])
        jackknife = np.sqrt((len(z) - 1) / len(z) * ((z - np.arctanh(row["estimate"])) ** 2).sum())
        assert row["standard_error"] == pytest.approx(jackknife)


def test_large_tables_take_the_change_of_ranks_to_first_order(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = particles(rng, n=2000, n_micrographs=40)
    _, exact = both(table)
    monkeypatch.setattr(correlations_left_out, "_EXACT", 0)
    _, first_order = both(table)
    assert first_order["estimate"] == pytest.approx(exact["estimate"])
    assert first_order["standard_error"] == pytest.approx(exact["standard_error"], rel=0.03)


def test_weights_are_repeats(rng: np.random.Generator) -> None:
    table = particles(rng).assign(weight=rng.integers(1, 4, 300))
    repeated = table.loc[table.index.repeat(table["weight"])].drop(columns="weight").reset_index(drop=True)
    for weighted, plain in zip(both(table), both(repeated), strict=True):
        for key in ("estimate", "low", "high", "p_value"):
            assert weighted[key] == pytest.approx(plain[key])


def test_units_do_not_matter_and_ranks_not_even_scales(rng: np.random.Generator) -> None:
    table = particles(rng)
    pearson, spearman = both(table)
    in_pm = both(table.assign(**{SIZE: table[SIZE] * 1000 + 7}))
    assert in_pm[0]["low"] == pytest.approx(pearson["low"])
    on_a_log_axis = both(table.assign(**{SIZE: np.log(columns(table)[0] + 10)}))[1]
    assert on_a_log_axis["p_value"] == spearman["p_value"]
    assert on_a_log_axis["low"] == spearman["low"]


def test_samples_that_differ_in_both_do_not_make_a_relation(rng: np.random.Generator) -> None:
    a, b = particles(rng, n=1000), particles(rng, n=1000, sample="CdSe")
    a["solidity"], b["solidity"] = rng.normal(size=1000), 5 + rng.normal(size=1000)
    b[SIZE] = b[SIZE] + 8
    table = pd.concat([a, b], ignore_index=True)
    assert scipy.stats.pearsonr(*columns(table)).statistic > 0.8
    for row in both(table):
        assert row["low"] < 0 < row["high"]
        assert row["n_micrographs"] == 40


def test_the_mean_over_samples_counts_particles(rng: np.random.Generator) -> None:
    a, b = particles(rng, n=200), particles(rng, n=600, sample="CdSe")
    together = both(pd.concat([a, b], ignore_index=True))
    for row, of_a, of_b in zip(together, both(a), both(b), strict=True):
        assert row["estimate"] == pytest.approx(0.25 * of_a["estimate"] + 0.75 * of_b["estimate"])


def test_unknown_faults_are_missing_not_absent(rng: np.random.Generator) -> None:
    table = particles(rng)
    table["fault_state"] = rng.choice(["fault", "no_fault", "unknown"], 300)
    known = table[table["fault_state"] != "unknown"]
    for row, alone in zip(
        correlations(table, descriptors=(SIZE, "faulted")),
        correlations(known, descriptors=(SIZE, "faulted")),
        strict=True,
    ):
        assert row["n"] == len(known)
        assert row["estimate"] == pytest.approx(alone["estimate"])


def test_what_is_made_of_the_same_lengths_is_no_discovery(rng: np.random.Generator) -> None:
    table = particles(rng)
    table["feret_min_nm"], table["feret_max_nm"] = table[SIZE] * 0.9, table[SIZE] + 0.1
    rows = {(r["first"], r["second"], r["coefficient"]): r for r in correlations(table)}
    assert rows[SIZE, "feret_min_nm", "pearson"]["shared_ingredients"] == ["size"]
    assert "perfectly correlated" in rows[SIZE, "feret_min_nm", "spearman"]["reason"]
    assert rows[SIZE, "solidity", "pearson"]["shared_ingredients"] == ["area"]


def test_certain_correlations_do_not_make_others_pass(rng: np.random.Generator) -> None:
    table = particles(rng)
    noise = {name: rng.normal(size=300) for name in ("contrast", "spacing_1_nm", "aspect_ratio")}
    certain = {name: noise["aspect_ratio"] + 0.1 * rng.normal(size=300) for name in ("roundness", "compactness")}
    table = tables.conform(table.assign(**noise, **certain), tables.PARTICLES)
    rows = correlations(table, descriptors=("contrast", "spacing_1_nm", "aspect_ratio", "roundness", "compactness"))
    family = [row for row in rows if not row["shared_ingredients"]]
    assert len(family) == len(rows) - 6  # three pairs of shape ratios, two coefficients
    expected = scipy.stats.false_discovery_control([row["p_value"] for row in family], method="bh")
    assert [row["p_adjusted"] for row in family] == pytest.approx(list(expected))
    assert all(row["p_adjusted"] is None and row["p_value"] < 1e-6 for row in rows if row["shared_ingredients"])


def test_pixels_that_could_make_a_correlation_are_named(rng: np.random.Generator) -> None:
    table = particles(rng)
    px = table[SIZE] * 10
    disks = table.assign(equivalent_diameter_px=px, aspect_ratio=1 + 0.12 / px + 0.0003 * rng.random(300))
    rods = table.assign(equivalent_diameter_px=px, aspect_ratio=1 + rng.random(300))
    for rows, warned in ((disks, True), (rods, False)):
        row = correlations(tables.conform(rows, tables.PARTICLES), descriptors=(SIZE, "aspect_ratio"))[0]
        assert (row["pixel_warning"] is not None) == warned


def test_ratios_share_the_area_of_the_diameter_but_not_the_aspect_ratio() -> None:
    for name in ("roundness", "compactness", "circularity", "extent", "solidity"):
        assert shared_ingredients(SIZE, name) == shared_ingredients(name, SIZE) == ["area"]
    for name in ("aspect_ratio", "eccentricity", "convexity", "contrast", "spacing_1_nm"):
        assert shared_ingredients(SIZE, name) == []
    assert shared_ingredients(SIZE, "faulted") == ["detectability"]  # faults are seen more easily in larger particles
    assert shared_ingredients("aspect_ratio", "faulted") == shared_ingredients("area_nm2", "spacing_1_nm") == []


@pytest.mark.parametrize(
    ("n", "n_micrographs", "words"), [(6, 5, "10 particles"), (200, 1, "two micrographs"), (200, 3, "3 micrographs")]
)
def test_too_few_particles_give_a_reason(rng: np.random.Generator, n: int, n_micrographs: int, words: str) -> None:
    for row in both(particles(rng, n=n, n_micrographs=n_micrographs)):
        assert words in row["reason"]
        assert row["p_value"] is row["p_adjusted"] is None


def test_constant_and_absent_descriptors(rng: np.random.Generator) -> None:
    assert correlations(tables.empty(tables.PARTICLES)) == []
    assert "all equal" in both(particles(rng).assign(solidity=1.0))[0]["reason"]


def test_one_micrograph_that_holds_all_the_spread(rng: np.random.Generator) -> None:
    table = particles(rng)
    table["solidity"] = np.where(table["micrograph_id"] == "Au0", table["solidity"].astype(float), 0.9)
    pearson, _ = both(table)
    assert pearson["p_value"] > 0.2
