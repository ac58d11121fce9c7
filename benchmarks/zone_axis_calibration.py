"""How often a zone axis is right at each confidence, on simulated micrographs.

    hrtem-dask simulate TEST -n 300 --seed 202 --ranges pipelines/simulation/defects_test.toml
    python benchmarks/zone_axis_calibration.py TEST                 # about 10 ms per particle on one core

Measures every whole particle of the store inside its true outline, on zone axes and off them together. An axis is right
if it is of the family of the true one and the crystal is tilted from it by at most 5.5°. Prints a table of reliability
and the expected calibration error (ECE, ten bins of equal width). Few particles give an error even if the probabilities
are exact: that is printed beside it, from simulated outcomes with exactly the stated probabilities. The interval is by
bootstrap over micrographs.
"""

import argparse

import numpy as np
import pandas as pd

from hrtem_dask import filtering
from hrtem_dask.fourier import measure_zone_axis
from hrtem_dask.particles import crop_particle
from hrtem_dask.storage.simulated import SimulatedStore, open_simulated

RIGHT_DEG = 5.5
BINS = np.linspace(0, 1, 11)


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
            crop, _ = crop_particle(image, labels, particle.particle_id)
            found = measure_zone_axis(crop, pixel_size_nm=(step, step), material=particle.material)
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


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error, weighted by the particles of each bin."""
    bins = np.clip(np.digitize(confidence, BINS) - 1, 0, len(BINS) - 2)
    difference = np.bincount(bins, weights=right - confidence, minlength=len(BINS) - 1)
    return float(np.abs(difference).sum() / len(right))


def intervals(rows: pd.DataFrame, rng: np.random.Generator) -> tuple[float, float, float]:
    """Return the error that exact probabilities would show, and the 95 % interval over micrographs."""
    confidence = rows["confidence"].to_numpy(float)
    exact = [calibration_error(confidence, rng.random(len(rows)) < confidence) for _ in range(300)]
    groups = [part[["confidence", "right"]].to_numpy(float) for _, part in rows.groupby("micrograph_id")]
    errors = []
    for _ in range(300):
        drawn = np.concatenate([groups[i] for i in rng.integers(0, len(groups), len(groups))])
        errors.append(calibration_error(drawn[:, 0], drawn[:, 1]))
    low, high = np.percentile(errors, [2.5, 97.5])
    return float(np.mean(exact)), float(low), float(high)


def print_tables(rows: pd.DataFrame) -> None:
    """Print reliability and errors in Markdown."""
    given = rows.dropna(subset=["confidence"])
    print(f"{len(rows)} particles, {len(given)} with a zone axis, {given['micrograph_id'].nunique()} micrographs\n")
    print("| confidence | particles | mean confidence | right |\n|---|---|---|---|")
    bins = np.clip(np.digitize(given["confidence"], BINS) - 1, 0, 9)
    for i, part in given.groupby(bins):
        middle = f"{BINS[i]:.1f}–{BINS[i + 1]:.1f}"
        print(f"| {middle} | {len(part)} | {part['confidence'].mean():.3f} | {part['right'].mean():.3f} |")
    print(
        "\n| particles | n | right | ECE | exact probabilities would show | 95 % interval |\n|---|---|---|---|---|---|"
    )
    edges = [0, 2.5, 4, 6, np.inf]
    parts = [("all", given), *((name, part) for name, part in given.groupby("orientation"))]
    sizes = pd.cut(given["size_nm"], edges, right=False)
    parts += [(f"{size.left:g} to {size.right:g} nm", part) for size, part in given.groupby(sizes, observed=True)]
    rng = np.random.default_rng(0)
    for name, part in parts:
        error = calibration_error(part["confidence"].to_numpy(float), part["right"].to_numpy(float))
        exact, low, high = intervals(part, rng)
        print(
            f"| {name} | {len(part)} | {part['right'].mean():.3f} | {error:.3f} | {exact:.3f} | {low:.3f}–{high:.3f} |"
        )


def main() -> None:
    """Measure a store and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", help="folder that `hrtem-dask simulate` wrote, of the regime lattice")
    parser.add_argument("--least-px", type=int, default=100, help="smallest area of a particle (px)")
    parser.add_argument("--rows", help="write the rows to this CSV file")
    arguments = parser.parse_args()
    rows = measured(open_simulated(arguments.store), arguments.least_px)
    if arguments.rows:
        rows.to_csv(arguments.rows, index=False)
    print_tables(rows)


if __name__ == "__main__":
    main()
