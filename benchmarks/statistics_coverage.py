"""How often chance makes a finding, and how often intervals contain the truth, in simulated studies.

    python benchmarks/statistics_coverage.py                       # 40 studies of each kind, some minutes
    python benchmarks/statistics_coverage.py --studies 400 --only sizes --only detectability

Prints a table in Markdown with the rates of docs/statistics.md and docs/statistics_relations.md. The standard error of
a rate near 5 % or 95 % is 3.4 % with 40 studies, and 1.1 % with 400. A 95 % interval should contain the truth in 95 %
of the studies; "found" is the share of studies in which something is called significant where nothing is there.

Kinds of studies: `sizes` (every statistic of the sizes, with 30, 20, 10 and 5 micrographs, in wide fields and, with
edge weights, in fields five times as wide as the largest particle), `relations` (30 micrographs of 15 particles in very
different numbers), `findings` (nothing is related), `detectability` (a true share of faults of 40 % at every size,
sensitivity or assessability that grows with size).
"""

import argparse
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import norm

from hrtem_dask import tables
from hrtem_dask.intervals import resamples
from hrtem_dask.population.inference.averages import geometric_sd, mean, median
from hrtem_dask.population.inference.fractions import clustered_fraction
from hrtem_dask.population.inference.multiple_testing import adjust_p_values
from hrtem_dask.population.relations.comparisons import compare_samples
from hrtem_dask.population.relations.correlations import DESCRIPTORS, correlations
from hrtem_dask.population.relations.defect_curves import defect_curve
from hrtem_dask.population.relations.defect_effects import defect_effects
from hrtem_dask.population.relations.detectability import Detectability, fit_detectability
from hrtem_dask.population.relations.misclassification import corrected_defect_fraction
from hrtem_dask.population.sizes.describe_size import with_intervals
from hrtem_dask.population.sizes.size_sample import Sizes, size_statistics

SIZE = "equivalent_diameter_nm"
N_MICROGRAPHS, PER_MICROGRAPH = 30, 15
Study = Callable[[np.random.Generator], dict[str, bool | float]]


def owners(rng: np.random.Generator) -> np.ndarray:
    """Draw numbers of particles that differ as in practice: coefficient of variation 0.75."""
    return np.repeat(np.arange(N_MICROGRAPHS), rng.poisson(PER_MICROGRAPH * rng.gamma(2, 0.5, N_MICROGRAPHS)))


def clustered(rng: np.random.Generator, codes: np.ndarray) -> np.ndarray:
    """Draw standard normal numbers; a quarter of the variance is between micrographs."""
    return 0.5 * rng.normal(size=N_MICROGRAPHS)[codes] + np.sqrt(0.75) * rng.normal(size=len(codes))


def faults(rng: np.random.Generator, codes: np.ndarray, p: float) -> np.ndarray:
    """Draw faults: two particles of one micrograph have a correlation of 0.1."""
    return np.asarray(rng.random(len(codes)) < rng.beta(9 * p, 9 * (1 - p), N_MICROGRAPHS)[codes])


def held(row: dict[str, Any], truth: float) -> bool | float:
    """Return whether an interval contains the truth; NaN where there is none."""
    return np.nan if row["low"] is None else bool(row["low"] <= truth <= row["high"])


# sizes: lognormal, median 8 nm, log sd 0.25 within and 0.10 between micrographs

WITHIN, BETWEEN = 0.25, 0.10
FIELD_NM = 5 * 8 * float(np.exp(3 * np.hypot(WITHIN, BETWEEN)))
"""Five times the largest of about 700 particles."""


def true_sizes() -> dict[str, float]:
    """Return the true value of every statistic."""
    s2 = WITHIN**2 + BETWEEN**2
    s = float(np.sqrt(s2))
    z = float(norm.ppf(0.9))
    spread = float(np.sqrt(np.exp(s2) - 1))
    found = {}
    for prefix, middle in (("", 8.0), ("volume_", 8 * float(np.exp(3 * s2)))):
        average = middle * float(np.exp(s2 / 2))
        found |= {
            f"{prefix}mean_nm": average,
            f"{prefix}sd_nm": average * spread,
            f"{prefix}geometric_mean_nm": middle,
            f"{prefix}geometric_sd": float(np.exp(s)),
            f"{prefix}d10_nm": middle * float(np.exp(-z * s)),
            f"{prefix}median_nm": middle,
            f"{prefix}d90_nm": middle * float(np.exp(z * s)),
            f"{prefix}span": float(np.exp(z * s) - np.exp(-z * s)),
        }
    found |= {"coefficient_of_variation": spread, "d32_nm": 8 * float(np.exp(2.5 * s2))}
    return found | {"d43_nm": found["volume_mean_nm"]}


def draw_sizes(rng: np.random.Generator, micrographs: int, *, small_fields: bool) -> Sizes:
    """Draw sizes of about 20 particles per micrograph; small fields cut large particles, which the weights correct."""
    n = rng.poisson(40 if small_fields else 20, micrographs)
    codes = np.repeat(np.arange(micrographs), n)
    values = 8 * np.exp(BETWEEN * rng.normal(size=micrographs)[codes] + WITHIN * rng.normal(size=len(codes)))
    weights = np.ones(len(values))
    if small_fields:
        inside = (np.abs(rng.uniform(-0.5, 0.5, (2, len(values)))) * FIELD_NM < (FIELD_NM - values) / 2).all(axis=0)
        values, codes = values[inside], codes[inside]
        weights = (1 - values / FIELD_NM) ** -2
    _, codes = np.unique(codes, return_inverse=True)
    return Sizes(values, weights, codes, int(codes.max()) + 1)


def sizes_study(micrographs: int, *, small_fields: bool) -> Study:
    """Return a study of every statistic of the sizes."""

    def study(rng: np.random.Generator) -> dict[str, bool | float]:
        sizes = draw_sizes(rng, micrographs, small_fields=small_fields)
        counts = resamples(sizes.n_micrographs, n_resamples=300, seed=int(rng.integers(2**31)))
        shown = with_intervals(sizes, size_statistics(sizes, counts), 0.95)
        return {name: held(shown[name], truth) for name, truth in true_sizes().items()}

    return study


# relations


def particles(codes: np.ndarray, fault: np.ndarray, sample: str = "Au", **columns: np.ndarray) -> pd.DataFrame:
    """Return a table of particles."""
    rows = pd.DataFrame({"micrograph_id": [f"{sample}{i}" for i in codes], "sample": sample, "counted": True})
    rows["fault_state"] = np.where(fault, "fault", "no_fault")
    return tables.conform(rows.assign(**columns), tables.PARTICLES)


def relations_study(rng: np.random.Generator) -> dict[str, bool | float]:
    """Return whether intervals of fractions, averages, correlations, effects and differences contain the truth."""
    codes = owners(rng)
    ones = np.ones(len(codes))
    values = np.exp(0.3 * clustered(rng, codes))
    found: dict[str, bool | float] = {
        "fraction 0.35": held(clustered_fraction(faults(rng, codes, 0.35), ones, codes), 0.35),
        "fraction 0.1": held(clustered_fraction(faults(rng, codes, 0.1), ones, codes), 0.1),
        "mean": held(mean(values, ones, codes), float(np.exp(0.045))),
        "median": held(median(values, ones, codes), 1.0),
        "geometric sd": held(geometric_sd(values, ones, codes), float(np.exp(0.3))),
    }
    for r in (0.0, 0.5):
        x = clustered(rng, codes)
        y = r * x + np.sqrt(1 - r**2) * clustered(rng, codes)
        rows = correlations(particles(codes, x > 0, solidity=x, contrast=y), descriptors=("solidity", "contrast"))
        found[f"Pearson {r:g}"] = held(rows[0], r)
        found[f"Spearman of Pearson {r:g}"] = held(rows[1], float(6 / np.pi * np.arcsin(r / 2)))
    fault = faults(rng, codes, 0.4)
    x = clustered(rng, codes) + 0.5 * fault
    (row,) = defect_effects(particles(codes, fault, aspect_ratio=x), descriptors=["aspect_ratio"], given="aspect_ratio")
    found["difference of means"] = held(row["difference_of_means"], 0.5)
    found["AUC"] = held(row["auc"], float(norm.cdf(0.5 / np.sqrt(2))))
    x = clustered(rng, codes)
    curve = defect_curve(particles(codes, rng.random(len(codes)) < expit(x - 0.5), **{SIZE: x}))
    found["odds ratio"] = held(curve["odds_ratio_per_sd"], float(np.exp(curve["sd"])))
    true = faults(rng, codes, 0.4)
    called = rng.random(len(codes)) < np.where(true, 0.8, 0.1)
    hits, false = int(rng.binomial(150, 0.8)), int(rng.binomial(150, 0.1))
    matrix = {"fault": {"fault": hits, "no_fault": 150 - hits}, "no_fault": {"fault": false, "no_fault": 150 - false}}
    corrected = corrected_defect_fraction(particles(codes, called), matrix, measured_on="simulated", n_resamples=500)
    found["corrected fraction"] = held(corrected, 0.4)
    parts = []
    for name in "ab":
        codes = owners(rng)
        sizes = np.exp(0.3 * clustered(rng, codes))
        parts.append(particles(codes, faults(rng, codes, 0.3), name, **{SIZE: sizes}))
    for row in compare_samples(pd.concat(parts, ignore_index=True))["differences"]:
        found[f"difference of {row['statistic']}"] = held(row, 0)
    return found


# findings where nothing is related


def unrelated(rng: np.random.Generator) -> pd.DataFrame:
    """Draw particles whose size, elongation, concavity, contrast, spacing and faults are independent."""
    codes = owners(rng)
    size, elongation, pits, contrast, spacing = (clustered(rng, codes) for _ in range(5))
    diameter, aspect = 8 * np.exp(0.2 * size), 1 + 0.2 * np.exp(0.5 * elongation)
    solidity = 1 - 0.03 * np.exp(0.5 * pits)
    return particles(
        codes,
        rng.random(len(codes)) < 0.4,
        **{SIZE: diameter},
        feret_min_nm=diameter / np.sqrt(aspect),
        feret_max_nm=diameter * np.sqrt(aspect),
        aspect_ratio=aspect,
        circularity=solidity**2 / aspect**0.5,
        roundness=1 / aspect,
        compactness=aspect**-0.5,
        solidity=solidity,
        convexity=solidity**0.5,
        eccentricity=np.sqrt(1 - aspect**-2.0),
        extent=solidity / aspect**0.2,
        contrast=contrast,
        spacing_1_nm=0.235 + 0.001 * spacing,
    )


def findings_study(rng: np.random.Generator) -> dict[str, bool | float]:
    """Return whether any pair without shared ingredients is called significant where nothing is related."""
    rows = correlations(unrelated(rng), descriptors=DESCRIPTORS)
    padded = adjust_p_values([row["p_value"] for row in rows], method="benjamini_hochberg")
    free = [i for i, row in enumerate(rows) if not row["shared_ingredients"]]
    return {
        "found, family with pairs that share ingredients": any((padded[i] or 0) <= 0.05 for i in free),
        "found, family without them": any((rows[i]["p_adjusted"] or 1) <= 0.05 for i in free),
    }


# detectability that looks like an effect

ANSWERS = np.array(["fault", "no_fault", "unknown"])
STATES = np.array(["fault", "no_fault", "misoriented"])


def rising(diameters: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return a share that rises between 4 and 8 nm."""
    return np.asarray(low + (high - low) * expit((diameters - 6) / 0.7))


def answers(rng: np.random.Generator, diameters: np.ndarray, states: np.ndarray, kind: str) -> np.ndarray:
    """Draw what a run says of particles of true states, 0 to 2: number of the answer."""
    flat = np.full(len(diameters), 0.9)
    seen = rising(diameters, 0.4, 0.95) if kind != "assessability" else flat
    faulted = rising(diameters, 0.3, 0.95) if kind != "sensitivity" else flat
    assessed = np.select([states == 0, states == 1], [faulted, flat], 0.15)
    called = np.select([states == 0, states == 1], [seen, 0.08 * flat], 0.2)
    known = rng.random(len(diameters)) < assessed
    return np.where(known, np.where(rng.random(len(diameters)) < called, 0, 1), 2)


def draw_states(rng: np.random.Generator, micrographs: int, slope: float = 0.0) -> tuple[np.ndarray, ...]:
    """Draw micrograph, diameter and true state of particles: 65 % on a zone axis, 40 % of these with a fault."""
    codes = np.repeat(np.arange(micrographs), rng.poisson(PER_MICROGRAPH, micrographs))
    diameters = 6 * np.exp(0.3 * rng.normal(size=len(codes)) + 0.1 * rng.normal(size=micrographs)[codes])
    share = expit(np.log(0.4 / 0.6) + slope * (diameters - 6) + 0.3 * rng.normal(size=micrographs)[codes])
    on_zone = rng.random(len(codes)) < 0.65
    states = np.where(on_zone, np.where(rng.random(len(codes)) < share, 0, 1), 2)
    return codes, diameters, states


def measured_detectability(rng: np.random.Generator, kind: str) -> Detectability:
    """Measure detectability on 60 micrographs with known truth."""
    codes, diameters, states = draw_states(rng, 60)
    rows = pd.DataFrame({"micrograph_id": codes, "true_diameter_nm": diameters, "true_state": STATES[states]})
    rows = rows.assign(found=True, fault_state=ANSWERS[answers(rng, diameters, states, kind)])
    return fit_detectability(rows, measured_on="simulated")


def detectability_study(rng: np.random.Generator) -> dict[str, bool | float]:
    """Return how often a dependence on size is found: none is there, but for the last rows."""
    found: dict[str, bool | float] = {}
    for kind, slope in (("sensitivity", 0.0), ("assessability", 0.0), ("both", 0.0), ("both", 0.5)):
        codes, diameters, states = draw_states(rng, N_MICROGRAPHS, slope)
        rows = particles(codes, states == 0, **{SIZE: diameters})
        rows["fault_state"] = ANSWERS[answers(rng, diameters, states, kind)]
        curve = defect_curve(rows, detectability=measured_detectability(rng, kind))
        growing = f"{kind} that grows with size" if slope == 0 else "a real dependence of faults on size"
        found[f"found by the odds ratio of what is seen: {growing}"] = curve["odds_ratio_per_sd"]["p_value"] <= 0.05
        found[f"found and called an effect: {growing}"] = curve["conclusion"]["code"] in {"effect", "hidden"}
    return found


STUDIES: dict[str, dict[str, Study]] = {
    "sizes": {
        f"{m} micrographs{', small fields' if small else ''}": sizes_study(m, small_fields=small)
        for m in (30, 20, 10, 5)
        for small in (False, True)
    },
    "relations": {"": relations_study},
    "findings": {"": findings_study},
    "detectability": {"": detectability_study},
}


def rates(name: str, studies: int) -> Iterator[tuple[str, str, int, float]]:
    """Simulate studies of one kind; yield variant, statistic, studies with a result, and the rate."""
    for variant, study in STUDIES[name].items():
        found = pd.DataFrame([study(np.random.default_rng([7, i])) for i in range(studies)]).astype(float)
        for statistic in found:
            known = found[statistic].dropna()
            yield variant, str(statistic), len(known), float(known.mean())


def main() -> None:
    """Simulate the studies and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=40, help="simulated studies of each kind")
    parser.add_argument("--only", choices=sorted(STUDIES), action="append", help="kind of study; all by default")
    options = parser.parse_args()
    print("| kind | studies of | interval contains the truth, or something is found | studies | rate |")
    print("|---|---|---|---|---|")
    for name in options.only or STUDIES:
        for variant, statistic, n, rate in rates(name, options.studies):
            shown = f"{rate:.1%}" if n else "no interval is given"
            print(f"| {name} | {variant} | {statistic} | {n} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
