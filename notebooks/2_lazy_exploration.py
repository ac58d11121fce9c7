# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 2 · Lazy exploration with the Dask dashboard
#
# `open_micrographs → segment → label → measure, classify` builds a graph and computes nothing. You look at one
# micrograph first, and only then ask for all of them. The rows are those of the batch, `hrtem_dask.run`. Micrographs
# are **simulated**.

# %%
import tempfile
from pathlib import Path

import dask
import matplotlib.pyplot as plt
from distributed import Client

import hrtem_dask as hd
from hrtem_dask.batch.simulate import simulate
from hrtem_dask.simulation import SimulationRanges

# %% [markdown]
# ## A client and its dashboard
#
# Threads of this process do here; on a cluster, give `Client` the scheduler's address. Open the link beside the
# notebook: every task shows there.

# %%
client = Client(processes=False, protocol="tcp", n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0")
client.dashboard_link

# %%
folder = Path(tempfile.mkdtemp(prefix="hrtem-dask-"))
ranges = SimulationRanges(
    size_px=256,
    pixel_size_nm=(0.045, 0.055),
    materials={"Au": 0.5, "CdSe": 0.5},
    empty_fraction=0,
    coverage=(0.12, 0.25),
    median_diameter_nm=(3.0, 4.0),
    dose_per_nm2=(1e5, 4e5),
)
simulate(folder, ranges=ranges, n=4, seed=4, cluster=client)
micrographs = hd.open_micrographs(folder / "micrographs.zarr")
micrographs.index[["title", "height_px", "pixel_size_x_nm", "pixel_size_source", "status"]].reset_index(drop=True)

# %% [markdown]
# ## Chunked xarray
#
# Images of one shape are stacked, one chunk per micrograph. No pixel has been read.

# %%
labelled = hd.label(hd.segment(micrographs))
labelled.tree

# %% [markdown]
# ## One micrograph first
#
# It keeps its coordinates in nm. Only its own tasks run: reading, the U-Net, the labels.

# %%
name = labelled.index["micrograph_id"].iloc[0]
one = labelled.micrograph(name)
one

# %%
probability = labelled.micrograph(name, "probability").compute()
print(f"{float((probability > 0.5).mean()):.1%} of {labelled.index.loc[name, 'title']} are particle")

# %% [markdown]
# ## Then all of them
#
# Tables are `dask.dataframe`: one partition per micrograph, the types of the schema, nothing computed before
# `compute`. `measure` and `classify` share their tasks, so ask for both at once.

# %%
particles, regions = hd.measure(labelled), hd.classify(labelled)
print(f"{particles.npartitions} partitions, {len(particles.columns)} columns")
mean_size = particles[particles["counted"]].groupby("micrograph_id")["equivalent_diameter_nm"].mean()
particles, regions, mean_size = dask.compute(particles, regions, mean_size)
mean_size

# %%
regions["region_class"].value_counts()

# %% [markdown]
# ## Every stage at a glance
#
# Pixels are asked for by variable. The colours of the outlines say what the forest takes each region for.

# %%
colours = {
    "stacking_fault": "#d81b60",
    "no_stacking_fault": "#00a86b",
    "misoriented": "#1e88e5",
    "agglomeration": "#ffb000",
    "no_particle": "0.6",
    "unsure": "white",
}
stacked = labelled.tree["256x256"].to_dataset()[["intensity", "probability", "labels"]].compute()
figure, axes = plt.subplots(3, len(labelled), figsize=(2.6 * len(labelled), 8.3), layout="constrained")
for column, name in enumerate(stacked["micrograph"].to_numpy()):
    frame = stacked.sel(micrograph=name)
    size = float(frame["pixel_size_x_nm"])
    extent = (0, 256 * size, 256 * size, 0)
    low, high = frame["intensity"].quantile([0.005, 0.995])  # X-ray spikes are far brighter
    for panel in axes[[0, 2], column]:
        panel.imshow(frame["intensity"], cmap="gray", vmin=low, vmax=high, extent=extent)
    axes[1, column].imshow(frame["probability"], cmap="magma", vmin=0, vmax=1, extent=extent)
    axes[0, column].set_title(labelled.index.loc[name, "title"], fontsize=9)
    of_region = regions[regions["micrograph_id"] == name].set_index("region_id")["region_class"]
    for particle in particles[particles["micrograph_id"] == name].itertuples():
        kind = of_region[particle.region_id]
        inside = frame["labels"] == particle.particle_id
        axes[2, column].contour(
            inside, [0.5], colors=[colours[kind]], linewidths=1.8, extent=(0, 256 * size, 0, 256 * size)
        )
    for row in axes[:, column]:
        row.set(xticks=[], yticks=[])
for row, text in zip(axes[:, 0], ("intensity", "particle probability", "classified regions"), strict=True):
    row.set_ylabel(text)
shown = [kind for kind in colours if (regions["region_class"] == kind).any()]
handles = [plt.Line2D([], [], color=colours[kind], lw=3, label=kind.replace("_", " ")) for kind in shown]
legend = figure.legend(
    handles=handles, loc="outside lower center", ncols=len(handles), facecolor="0.4", labelcolor="white"
)
plt.show()

# %%
client.close()
