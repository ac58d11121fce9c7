# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4 · Stacking faults
#
# Which particles are faulted, where, and how sure is that? A stacking fault seen edge-on moves the lattice on one side
# of a plane: the fringes of the inclined {111} planes jump by a third of their spacing there. The **geometric phase**
# shows the jump, and a forest classifies each region by this and other features. Micrographs are **simulated** gold,
# so we know.

# %%
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import hrtem_dask as hd
from hrtem_dask.batch.simulate import simulate
from hrtem_dask.fourier import geometric_phase, region_features
from hrtem_dask.particles.outlines.fault_traces import fault_trace
from hrtem_dask.simulation import SimulationRanges
from hrtem_dask.storage.simulated import truth_ids
from hrtem_dask.tables import REGION_CLASSES

folder = Path(tempfile.mkdtemp(prefix="hrtem-dask-"))

# %% [markdown]
# ## Simulate faulted particles
#
# Many faults, most particles along a zone axis, and a good microscope: a friendly case.

# %%
PIXEL_NM = 0.04
ranges = SimulationRanges(
    size_px=320,
    pixel_size_nm=(PIXEL_NM, PIXEL_NM),
    materials={"Au": 1.0},
    shapes={"sphere": 0.5, "truncated_octahedron": 0.5},
    empty_fraction=0,
    coverage=(0.25, 0.35),
    median_diameter_nm=(3.4, 4.2),
    diameter_spread=0.1,
    touching_fraction=0,
    misoriented_fraction=0.2,
    fault_fraction=0.7,
    carbon_thickness_nm=(2.0, 4.0),
    cs_mm=(0.0, 0.01),
    dose_per_nm2=(2e5, 5e5),
)
store = simulate(folder / "simulated", ranges=ranges, n=4, seed=24, cluster="threads").store
store.particles.groupby(["orientation", "fault", "fault_visible"]).size().rename("particles")

# %% [markdown]
# ## Classify
#
# A run classifies every region. A misoriented particle is *unknown*, never "without a fault".

# %%
hd.run(folder / "simulated" / "micrographs.zarr", folder / "results", cluster="threads")
results = hd.open_results(folder / "results")
micrographs = results.micrographs.set_index("micrograph_id")
titles = truth_ids(results.micrographs, store).set_axis(micrographs.index)
particles = results.particles.merge(
    results.regions[["micrograph_id", "region_id", "region_class", *(f"probability_{c}" for c in REGION_CLASSES)]],
    on=["micrograph_id", "region_id"],
)


def true_particle(row):
    """The simulated particle beneath the middle of a found one."""
    y, x = round(row["centroid_y_px"]), round(row["centroid_x_px"])
    number = store.labels(titles[row["micrograph_id"]])[y, x]
    same = store.particles["micrograph_id"] == titles[row["micrograph_id"]]
    found = store.particles[same & (store.particles["particle_id"] == number)]
    return found.iloc[0] if len(found) else None


truth = [true_particle(row) for _, row in particles.iterrows()]
particles["true_fault"] = ["?" if t is None else t["fault"] if t["fault_visible"] else "none visible" for t in truth]
particles["true_orientation"] = ["?" if t is None else t["orientation"] for t in truth]
columns = ["micrograph_id", "particle_id", "region_class", "fault_state", "fault_probability"]
particles[[*columns, "true_fault", "true_orientation"]].round(2)

# %% [markdown]
# Those few say whether it works here, not how well: `docs/evaluation.md` has scores on large sets.

# %%
pd.crosstab(particles["fault_state"], particles["true_fault"])

# %% [markdown]
# ## One particle, closely
#
# Of the whole particles taken for faulted, the one whose jump of phase is nearest to that of an intrinsic fault, 2π/3.
# `region_features` looks for the plane at which the phases of all inclined reflections jump. In so small a particle
# reflections are broad, and single jumps are estimates.

# %%
steps = results.regions.set_index(["micrograph_id", "region_id"])["phase_step_rad"]
faulted = particles[(particles["fault_state"] == "fault") & particles["counted"]]
jump = faulted.join(steps, on=["micrograph_id", "region_id"])["phase_step_rad"]
chosen = faulted.loc[(jump - 2 * np.pi / 3).abs().idxmin()]
crop = hd.crop(results, chosen["micrograph_id"], chosen["particle_id"], margin_px=15)
image, inside = crop["intensity"].to_numpy().astype(float), (crop["labels"] == chosen["particle_id"]).to_numpy()
features, step = region_features(image, inside, pixel_size_nm=(PIXEL_NM, PIXEL_NM))
reflection = min(step.inclined, key=lambda r: abs(r.reflection.spacing_nm - 0.2355))  # {111} of gold
print(f"{step.gain:.0%} of the fringes' power needs a step of phase at a plane with its trace at {step.angle_deg:.0f}°")
for one in step.inclined:
    print(f"fringes of {one.reflection.spacing_nm:.3f} nm jump by {abs(one.step_rad):.2f} rad (2π/3 = 2.09)")
print(f"truth: {chosen['true_fault']}")

# %% [markdown]
# The peak of a reflection that a fault splits lies beside the lattice's own. So its wave vector is refined until the
# phase is flat on the larger side of the trace: what the other side then shows is the jump.

# %%
pixel_size_nm = (PIXEL_NM, PIXEL_NM)
rows, cols = np.nonzero(inside)
corner, stop = np.array([rows.min(), cols.min()]), np.array([rows.max(), cols.max()])
box = inside[corner[0] : stop[0] + 1, corner[1] : stop[1] + 1]
ends = fault_trace(box, trace_deg=step.angle_deg, offset_nm=step.offset_nm, pixel_size_nm=pixel_size_nm)
(y0, x0), (y1, x1) = (corner + end for end in ends)

y, x = np.indices(inside.shape)
distance_nm = ((y - y0) * (x1 - x0) - (x - x0) * (y1 - y0)) / np.hypot(y1 - y0, x1 - x0) * PIXEL_NM
sides = [inside & (sign * distance_nm > 0.3) for sign in (-1, 1)]
larger = max(sides, key=np.sum)

g = np.array([reflection.reflection.frequency_y_per_nm, reflection.reflection.frequency_x_per_nm])
for _ in range(3):
    amplitude, phase = geometric_phase(image, reflection_per_nm=tuple(g), pixel_size_nm=pixel_size_nm, sigma_per_nm=0.6)
    fringes = np.where(larger, amplitude * np.exp(1j * phase), 0)
    slopes = [np.angle((np.roll(fringes, -1, axis) * fringes.conj()).sum()) for axis in (0, 1)]
    g = g + np.array(slopes) / (2 * np.pi * PIXEL_NM)
means = [np.angle((amplitude * np.exp(1j * phase))[side].mean()) for side in (larger, *sides)]
jump_rad = abs(np.angle(np.exp(1j * (means[1] - means[2]))))
print(f"wave vector ({g[0]:.2f}, {g[1]:.2f}) 1/nm; the sides differ by {jump_rad:.2f} rad")

# %% [markdown]
# ## From fringes to a class
#
# Left to right: the particle with its fault's trace; the geometric phase, one colour on either side of the trace; what
# the forest makes of it.

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained", width_ratios=(1, 1, 0.9))
extent = (0, image.shape[1] * PIXEL_NM, image.shape[0] * PIXEL_NM, 0)
shown = np.ma.masked_where(~inside, np.angle(np.exp(1j * (phase - means[0]))))
axes[0].imshow(image, cmap="gray", extent=extent)
axes[1].imshow(image, cmap="gray", extent=extent)
coloured = axes[1].imshow(shown, cmap="twilight_shifted", vmin=-np.pi, vmax=np.pi, extent=extent)
bar = figure.colorbar(coloured, ax=axes[1], ticks=[-np.pi, 0, np.pi], shrink=0.85, label="geometric phase (rad)")
bar.set_ticklabels(["−π", "0", "π"])
for panel, colour in zip(axes, ("#ff2d87", "white"), strict=False):
    panel.plot((np.array([x0, x1]) + 0.5) * PIXEL_NM, (np.array([y0, y1]) + 0.5) * PIXEL_NM, "--", color=colour, lw=2)
    panel.contour(inside, [0.5], colors="#00dc82", linewidths=1.5, extent=(extent[0], extent[1], 0, extent[2]))
    panel.set(xlabel="nm", xlim=extent[:2], ylim=extent[2:])
axes[0].set_title("particle and fault trace")
axes[1].set_title(f"phase of the {{111}} fringes: {jump_rad:.2f} rad")
probabilities = [chosen[f"probability_{c}"] for c in REGION_CLASSES]
bars = axes[2].barh([c.replace("_", " ") for c in REGION_CLASSES], probabilities, color="#5e3c99")
axes[2].bar_label(bars, [f"{p:.2f}" for p in probabilities], padding=3)
axes[2].set(xlim=(0, 1.15), xlabel="probability", title=f"classified; truth: {chosen['true_fault']}")
axes[2].spines[["top", "right"]].set_visible(False)
plt.show()
