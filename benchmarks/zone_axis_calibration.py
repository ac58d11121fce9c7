"""How often a zone axis is right at each confidence, on simulated micrographs.

    hrtem-dask simulate TEST -n 300 --seed 202 --ranges pipelines/simulation/defects_test.toml
    python benchmarks/zone_axis_calibration.py TEST [MORE …]        # about 10 ms per particle on one core

Measures every whole particle of the stores inside its true outline, on zone axes and off them. An axis is right
if it is of the family of the true one and the crystal is tilted from it by at most 5.5°. Prints a table of reliability
and the expected calibration error (ECE, ten bins of equal width). A probability holds for a population: particles are
weighted so that 56 % are on a zone axis, 39 % misoriented and 5 % between, as in the fit of the calibration; the error
as they come is printed too. Few particles give an error even if the probabilities are exact: that is printed beside it,
from simulated outcomes with exactly the stated probabilities. The interval is by bootstrap over micrographs.
"""

import argparse

import numpy as np
import pandas as pd

from hrtem_dask import filtering
from hrtem_dask.fourier import MARGIN_NM, NOISE_SNR, find_reflections, measure_zone_axis
from hrtem_dask.particles import crop_particle
from hrtem_dask.storage.simulated import SimulatedStore, open_simulated

RIGHT_DEG = 5.5
BINS = np.linspace(0, 1, 11)
SHARES = {"on_zone": 0.56, "misoriented": 0.39, "between": 0.05}
"""Orientation → its share of the particles on which `fourier.zone_axis` was calibrated."""


def measured(store: SimulatedStore, least_px: int) -> pd.DataFrame:
    """Measure every whole particle of at least some area; a row each."""
    rows = []
    pixel_size = store.micrographs.set_index("micrograph_id")["pixel_size_nm"]
    particles = store.particles
    whole = particles[~particles["touches_edge"] & (particles["area_px"] >= least_px)]
    for name, particles in whole.groupby("micrograph_id"):
        image, labels = filtering.prepare(store.image(name))[0], store.labels(name)
        step = float(pixel_size[name])
        for particle in particles.itertuples():
            box, _ = crop_particle(image, labels, particle.particle_id)
            margin_px = int(np.ceil(MARGIN_NM / step))
            reflections = find_reflections(
                crop_particle(image, labels, particle.particle_id, margin_px=margin_px)[0],
                pixel_size_nm=(step, step),
                spacing_range_nm=(0.1, 0.42),
                min_peak_snr=NOISE_SNR,
                min_share_of_strongest=0,
            )
            found = measure_zone_axis(
                box, pixel_size_nm=(step, step), material=particle.material, reflections=reflections
            )
            rows.append(
                {
                    "micrograph_id": name,
                    "confidence": found["zone_axis_confidence"],
                    "right": found["zone_axis"] == particle.zone_axis and particle.tilt_deg <= RIGHT_DEG,
                    "orientation": particle.orientation,
                    "size_nm": particle.equivalent_diameter_nm,
                }
            )
    return pd.DataFrame(rows)


def calibration_error(confidence: np.ndarray, right: np.ndarray, weight: np.ndarray) -> float:
    """Return the expected calibration error, weighted by the particles of each bin."""
    bins = np.clip(np.digitize(confidence, BINS) - 1, 0, len(BINS) - 2)
    difference = np.bincount(bins, weights=weight * (right - confidence), minlength=len(BINS) - 1)
    return float(np.abs(difference).sum() / weight.sum())


def errors(rows: pd.DataFrame, rng: np.random.Generator) -> tuple[float, float, float, float]:
    """Return the error, that which exact probabilities would show, and the 95 % interval over micrographs."""
    columns = ["confidence", "right", "weight"]
    confidence, right, weight = rows[columns].to_numpy(float).T
    exact = [calibration_error(confidence, rng.random(len(rows)) < confidence, weight) for _ in range(300)]
    groups = [part[columns].to_numpy(float) for _, part in rows.groupby("micrograph_id")]
    drawn = [
        calibration_error(*np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))]).T)
        for _ in range(300)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return calibration_error(confidence, right, weight), float(np.mean(exact)), float(low), float(high)


def print_tables(rows: pd.DataFrame) -> None:
    """Print reliability and errors in Markdown."""
    given = rows.dropna(subset=["confidence"])
    shares = given["orientation"].value_counts(normalize=True)
    given = given.assign(weight=given["orientation"].map(SHARES) / given["orientation"].map(shares))
    print(f"{len(rows)} particles, {len(given)} with a zone axis, {given['micrograph_id'].nunique()} micrographs\n")
    print("| confidence | particles | mean confidence | right | right, weighted |\n|---|---|---|---|---|")
    bins = np.clip(np.digitize(given["confidence"], BINS) - 1, 0, 9)
    for i, part in given.groupby(bins):
        middle = f"{BINS[i]:.1f}–{BINS[i + 1]:.1f}"
        weighted = np.average(part["right"], weights=part["weight"])
        numbers = f"{part['confidence'].mean():.3f} | {part['right'].mean():.3f} | {weighted:.3f}"
        print(f"| {middle} | {len(part)} | {numbers} |")
    print("\n| particles | n | mean confidence | right | ECE | exact probabilities would show | 95 % interval |")
    print("|---|---|---|---|---|---|---|")
    sizes = pd.cut(given["size_nm"], [0, 2.5, 4, 6, np.inf], right=False)
    parts = [("weighted", given), ("as they come", given.assign(weight=1.0))]
    parts += [(f"{size.left:g} to {size.right:g} nm", part) for size, part in given.groupby(sizes, observed=True)]
    rng = np.random.default_rng(0)
    for name, part in parts:
        means = [np.average(part[column], weights=part["weight"]) for column in ("confidence", "right")]
        error, exact, low, high = errors(part, rng)
        numbers = f"{means[0]:.3f} | {means[1]:.3f} | {error:.3f} | {exact:.3f} | {low:.3f}–{high:.3f}"
        print(f"| {name} | {len(part)} | {numbers} |")


def main() -> None:
    """Measure a store and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stores", nargs="+", help="folders that `hrtem-dask simulate` wrote, of the regime lattice")
    parser.add_argument("--least-px", type=int, default=100, help="smallest area of a particle (px)")
    parser.add_argument("--rows", help="write the rows to this CSV file")
    arguments = parser.parse_args()
    rows = pd.concat([measured(open_simulated(store), arguments.least_px) for store in arguments.stores])
    if arguments.rows:
        rows.to_csv(arguments.rows, index=False)
    print_tables(rows)


if __name__ == "__main__":
    main()
