# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 1 · Quick start: from micrographs to a size distribution
#
# Four micrographs, one call, one table of particles, and the outlines to check it by. The micrographs are
# **simulated** (gold on amorphous carbon, multislice), so we know what is true of them. With your own, start at
# *Analyse*.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import hrtem_dask as hd
from hrtem_dask.batch.simulate import simulate
from hrtem_dask.simulation import SimulationRanges

folder = Path(tempfile.mkdtemp(prefix="hrtem-dask-"))

# %% [markdown]
# ## Simulate
#
# Each micrograph is drawn from ranges: material, sizes, optics, dose. Seed and number decide everything.

# %%
ranges = SimulationRanges(
    size_px=320,
    pixel_size_nm=(0.05, 0.05),
    materials={"Au": 1.0},
    empty_fraction=0,
    coverage=(0.15, 0.25),
    median_diameter_nm=(2.2, 2.8),
    touching_fraction=0.1,
    dose_per_nm2=(1e5, 4e5),
)
simulated = simulate(folder / "simulated", ranges=ranges, n=4, seed=11, cluster="threads").store
simulated.micrographs[["micrograph_id", "material", "pixel_size_nm", "n_particles", "defocus_nm", "dose_per_nm2"]]

# %% [markdown]
# ## Analyse
#
# `run` takes files, folders, globs or URLs. Without `scheduler` it takes every core of this machine, in processes of
# their own; here threads of the notebook do. A second call into the same folder resumes.

# %%
settings = hd.Settings().updated({"execution": {"overlays": "all"}})
summary = hd.run(folder / "simulated" / "micrographs.zarr", folder / "results", settings=settings, cluster="threads")
summary

# %% [markdown]
# ## Look
#
# One row per micrograph, with its status, and the reason where it could not be analysed.

# %%
results = hd.open_results(folder / "results")
results.micrographs[["title", "status", "pixel_size_x_nm", "pixel_size_source", "n_particles", "n_counted", "coverage"]]

# %% [markdown]
# One row per particle: size, shape, lattice, and whether it is counted. What touches the border is cut off: it is
# measured, outlined in blue, and left out of statistics.

# %%
particles = results.particles
columns = ["particle_id", "equivalent_diameter_nm", "aspect_ratio", "circularity", "spacing_1_nm", "counted"]
particles[[*columns, "exclusion_reason"]].round(3).head(8)

# %% [markdown]
# ## Overlays and sizes
#
# The grey outline of the histogram is the truth: the whole particles of the simulation.

# %%
figure = plt.figure(figsize=(12, 5.6), layout="constrained")
grid = figure.add_gridspec(2, 4, width_ratios=(1, 1, 0.8, 0.8))
for number, name in enumerate(results.micrographs["micrograph_id"]):
    axes = figure.add_subplot(grid[divmod(number, 2)])
    axes.imshow(plt.imread(folder / "results" / "overlays" / f"{name}.jpg"))
    axes.set_axis_off()
counted = particles.loc[particles["counted"], "equivalent_diameter_nm"].to_numpy(float)
whole = simulated.particles.loc[~simulated.particles["touches_edge"], "equivalent_diameter_nm"].to_numpy(float)
edges = np.arange(1.0, 5.01, 0.25)
axes = figure.add_subplot(grid[:, 2:])
axes.hist(counted, edges, color="#2a9d8f", label=f"measured: {len(counted)} particles, mean {counted.mean():.2f} nm")
axes.hist(whole, edges, histtype="step", color="0.3", lw=1.5, label=f"true: {len(whole)}, mean {whole.mean():.2f} nm")
axes.set(xlabel="equivalent diameter (nm)", ylabel="particles", title="Simulated Au on carbon")
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
plt.show()
