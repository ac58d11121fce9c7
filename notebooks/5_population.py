# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 5 · Population statistics with pandas and dask.dataframe
#
# A paper reports the population: the sizes, the share of particles with defects, and the relations between properties.
# `summarize` and `relations` compute these statistics from a particle table, in memory or in partitions.
#
# The table here is **invented**, with the same columns as that of a run: 30 micrographs of two samples, in which
# larger particles have a fault more often. The expected results are therefore known. For your own data, use
# `hd.open_results("results")`, or `dask.dataframe.read_parquet("results/particles.parquet")`.

# %%
import tempfile
from pathlib import Path

import dask.dataframe as dd
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

from hrtem_dask import summarize, tables
from hrtem_dask.population import PopulationOptions
from hrtem_dask.population.relations.describe_relations import relations

# %% [markdown]
# ## A table with known truth
#
# Diameters are lognormal (geometric standard deviation 1.2), around 5 nm after 10 minutes of annealing and 6 nm after
# 40; in addition, the micrographs differ by 3 %. The odds of a fault double with each nm. Four of ten particles are
# misoriented, so their fault state is *unknown*. Particles at the border are not counted.

# %%
rng = np.random.default_rng(5)
PIXEL_NM, FIELD_PX = 0.05, 1024
SAMPLES = {"10 min": (5.0, 10.0), "40 min": (6.0, 40.0)}


def true_fault_chance(diameter_nm):
    return 1 / (1 + np.exp(-np.log(2) * (diameter_nm - 6)))


def one_micrograph(name, sample, median_nm):
    n = rng.poisson(45)
    diameter = median_nm * np.exp(rng.normal(0, 0.03) + np.log(1.2) * rng.normal(size=n))
    center = rng.uniform(0, FIELD_PX, (n, 2))
    low = np.floor(np.clip(center - diameter[:, None] / PIXEL_NM / 2, 0, FIELD_PX)).astype(int)
    high = np.ceil(np.clip(center + diameter[:, None] / PIXEL_NM / 2, 0, FIELD_PX)).astype(int)
    cut = ((low == 0) | (high == FIELD_PX)).any(axis=1)
    faulted = rng.random(n) < true_fault_chance(diameter)
    aspect_ratio = 1 + rng.gamma(3, 0.04, n)
    rows = {
        "micrograph_id": name,
        "sample": sample,
        "particle_id": np.arange(1, n + 1),
        "touches_edge": cut,
        "counted": ~cut,
        "exclusion_reason": np.where(cut, "edge", None),
        "area_px": np.rint(np.pi / 4 * (diameter / PIXEL_NM) ** 2),
        "area_nm2": np.pi / 4 * diameter**2,
        "equivalent_diameter_nm": diameter,
        "aspect_ratio": aspect_ratio,
        "circularity": np.clip(0.99 - 0.1 * (aspect_ratio - 1) + rng.normal(0, 0.01, n), 0, 1),
        "fault_state": np.where(rng.random(n) < 0.4, "unknown", np.where(faulted, "fault", "no_fault")),
    }
    boxes = dict(zip(("bbox_y0_px", "bbox_x0_px", "bbox_y1_px", "bbox_x1_px"), np.hstack([low, high]).T, strict=True))
    return pd.DataFrame(rows | boxes)


plan = [(f"{sample[:2]}-{i:02}", sample, *SAMPLES[sample]) for sample in SAMPLES for i in range(15)]
particles = tables.conform(pd.concat([one_micrograph(*row[:3]) for row in plan], ignore_index=True), tables.PARTICLES)
micrographs = pd.DataFrame(
    {
        "micrograph_id": [row[0] for row in plan],
        "sample": [row[1] for row in plan],
        "height_px": FIELD_PX,
        "width_px": FIELD_PX,
        "pixel_size_source": "user",
        "annealing_min": [row[3] for row in plan],
    }
)
micrographs = tables.conform(micrographs, tables.MICROGRAPHS)
particles.groupby("sample")[["counted", "equivalent_diameter_nm"]].agg(
    {"counted": "sum", "equivalent_diameter_nm": "mean"}
)

# %% [markdown]
# ## The same in partitions
#
# A large table does not need to be loaded: each partition is summarized, and the summaries are merged. The result is
# the same to the last digit.

# %%
folder = Path(tempfile.mkdtemp(prefix="hrtem-dask-"))
dd.from_pandas(particles, npartitions=6).to_parquet(folder / "particles")
lazy = dd.read_parquet(folder / "particles")
options = PopulationOptions(n_resamples=500, n_fit_simulations=100)
population = summarize(particles, micrographs, options)
print("lazy equals eager:", summarize(lazy, micrographs, options) == population)

# %% [markdown]
# ## Size
#
# Intervals are computed by resampling micrographs, not particles, because particles of the same micrograph are not
# independent. Large particles touch the border more often; edge weights (Miles and Lantuéjoul) correct for this.

# %%
rows = {}
for sample, found in population["samples"].items():
    size = found["equivalent_diameter_nm"]
    mean, lognormal = size["number_weighted"]["mean_nm"], size["fits"]["families"]["lognormal"]["parameters"]
    rows[sample] = {
        "counted": found["n_counted"],
        "mean (nm)": mean["value"],
        "95 % low": mean["low"],
        "95 % high": mean["high"],
        "unweighted mean (nm)": size["without_edge_weights"]["mean_nm"],
        "best family": size["fits"]["best"],
        "geometric mean (nm)": lognormal["geometric_mean_nm"]["value"],
        "geometric sd": lognormal["geometric_sd"]["value"],
    }
pd.DataFrame(rows).T

# %% [markdown]
# ## Relations between properties

# %%
related = relations(particles, micrographs, covariates=["annealing_min"])
fraction = related["overall"]["defect_fraction"]
odds = related["overall"]["defect_curve"]["odds_ratio_per_sd"]
trend = next(row for row in related["trends"] if row["outcome"] == "equivalent_diameter_nm")
print(f"faulted {fraction['n_fault']}, not {fraction['n_no_fault']}, unknown {fraction['n_unknown']}")
for what, row in {
    "defect fraction of assessable particles": fraction["fraction"],
    "odds ratio of a fault per standard deviation of size": odds,
    "nm per minute of annealing": trend,
}.items():
    print(f"{what}: {row['estimate']:.3f} (95 % {row['low']:.3f} to {row['high']:.3f})")

# %%
differences = pd.DataFrame(related["comparisons"]["differences"])
differences[["statistic", "sample_a", "sample_b", "estimate", "low", "high", "p_adjusted", "differs"]].round(4)

# %% [markdown]
# ## A figure for the paper
#
# Dashed lines show the truth from which the table was drawn.

# %%
colors = dict(zip(SAMPLES, ("#2a9d8f", "#e76f51"), strict=True))
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
d = np.linspace(2.5, 11, 300)
for sample, color in colors.items():
    size = population["samples"][sample]["equivalent_diameter_nm"]
    histogram, fit = size["histogram"], size["fits"]["families"]["lognormal"]["parameters"]
    edges = np.array(histogram["edges_nm"])
    density = np.array(histogram["number_fraction"]) / np.diff(edges)
    left.stairs(density, edges, fill=True, color=color, alpha=0.35)
    spread, center = np.log(fit["geometric_sd"]["value"]), fit["geometric_mean_nm"]["value"]
    label = f"{sample}: {center:.2f} nm, σg {np.exp(spread):.2f}, {size['n']} particles"
    left.plot(d, stats.lognorm.pdf(d, spread, scale=center), color=color, lw=2, label=label)
    left.plot(d, stats.lognorm.pdf(d, np.log(1.2), scale=SAMPLES[sample][0]), "--", color="0.25", lw=1)
left.set(xlabel="equivalent diameter (nm)", ylabel="density (1/nm)", ylim=(0, 0.58))
left.set_title("Number-weighted, lognormal fits")
left.legend(frameon=False, loc="upper right")

curve = related["overall"]["defect_curve"]
right.fill_between(curve["logistic"]["value"], curve["logistic"]["low"], curve["logistic"]["high"], color="#d9d2ec")
right.plot(
    curve["logistic"]["value"], curve["logistic"]["fraction"], color="#5e3c99", lw=2, label="logistic, 95 % band"
)
right.plot(d, true_fault_chance(d), "--", color="0.25", lw=1, label="truth")
bins = pd.DataFrame(curve["bins"])
errors = [bins["estimate"] - bins["low"], bins["high"] - bins["estimate"]]
middle = (bins["from"] + bins["to"]) / 2
right.errorbar(middle, bins["estimate"], errors, fmt="o", color="black", ms=4, lw=1, label="bins of equal number, 95 %")
right.set(
    xlabel="equivalent diameter (nm)", ylabel="defect fraction of assessable particles", ylim=(0, 1), xlim=(2.5, 11)
)
right.set_title("Larger particles are faulted more often")
right.legend(frameon=False)
for axes in (left, right):
    axes.spines[["top", "right"]].set_visible(False)
plt.show()
