"""What one fault of imaging costs: Dice of the U-Net on simulated micrographs, with and without the fault planted.

    hrtem-dask simulate store --seed 31 -n 24
    python benchmarks/imaging_faults.py store

Prints the mean Dice of micrographs that hold particles, for three strengths of each fault, with the preparation of
Groschner et al. (2021) and with the default one. Everything is simulated.
"""

import argparse
import dataclasses
from collections.abc import Callable

import numpy as np

from hrtem_dask import analysis
from hrtem_dask.evaluation import dice
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.settings import FilteringSettings, Settings
from hrtem_dask.storage.simulated import SimulatedStore, open_simulated

Fault = Callable[[np.ndarray, np.random.Generator], np.ndarray]
PREPARATIONS = {
    "2021 paper": FilteringSettings(spike_threshold_sd=5.0, spike_scale="image", flatten=False),
    "default": FilteringSettings(),
}


def gradient(change: float) -> Fault:
    """Light the field unevenly: a plane that changes by this share of its mean."""

    def plant(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        y, x = (np.linspace(-0.5, 0.5, n) for n in image.shape)
        direction = rng.uniform(0, 2 * np.pi)
        return image * (1 + change * (np.sin(direction) * y[:, None] + np.cos(direction) * x[None]))

    return plant


def vignette(loss: float) -> Fault:
    """Darken the corners by this share."""

    def plant(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        del rng
        y, x = (np.linspace(-0.5, 0.5, n) for n in image.shape)
        return image * (1 - 2 * loss * (y[:, None] ** 2 + x[None] ** 2))

    return plant


def spikes(n: int) -> Fault:
    """Add X-ray spikes."""

    def plant(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        spiked = image.copy()
        spiked.flat[rng.choice(image.size, n, replace=False)] += image.max() * rng.lognormal(1, 0.7, n)
        return spiked

    return plant


def saturation(share: float) -> Fault:
    """Clip the brightest share of the pixels."""

    def plant(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        del rng
        return np.minimum(image, np.quantile(image, 1 - share))

    return plant


FAULTS: dict[str, dict[str, Fault]] = {
    "gradient": {"20 %": gradient(0.2), "45 %": gradient(0.45), "90 %": gradient(0.9)},
    "vignetting": {"15 %": vignette(0.15), "30 %": vignette(0.3), "60 %": vignette(0.6)},
    "X-ray spikes": {"20": spikes(20), "200": spikes(200), "1000": spikes(1000)},
    "saturation": {"1 %": saturation(0.01), "10 %": saturation(0.1), "30 %": saturation(0.3)},
}


def mean_dice(store: SimulatedStore, plant: Fault, settings: Settings) -> float:
    """Return the mean Dice of the network's own masks over the micrographs that hold particles."""
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    scores = []
    for index, row in enumerate(store.micrographs.itertuples()):
        truth = store.labels(row.micrograph_id) > 0
        if truth.any():
            image = plant(store.image(row.micrograph_id).astype(np.float32), np.random.default_rng(index))
            prepared, _ = analysis.prepare(image, settings)
            found = segmenter(prepared, pixel_size_nm=(row.pixel_size_nm, row.pixel_size_nm))
            scores.append(dice(found.mask, truth))
    return float(np.mean(scores))


def main() -> None:
    """Plant each fault, segment, and print a row per fault and strength."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("store", help="a simulated store")
    parser.add_argument("--model", help="weights of a U-Net; the bundled one otherwise")
    arguments = parser.parse_args()
    store = open_simulated(arguments.store)
    print(f"{'fault':<14}{'strength':<10}" + "".join(f"{name:>14}" for name in PREPARATIONS))
    faults = {"none": {"": spikes(0)}} | FAULTS
    for fault, strengths in faults.items():
        for strength, plant in strengths.items():
            row = []
            for filtering in PREPARATIONS.values():
                settings = Settings(filtering=filtering)
                if arguments.model:
                    chosen = dataclasses.replace(settings.segmentation, model=arguments.model)
                    settings = dataclasses.replace(settings, segmentation=chosen)
                row.append(mean_dice(store, plant, settings))
            print(f"{fault:<14}{strength:<10}" + "".join(f"{value:14.3f}" for value in row), flush=True)


if __name__ == "__main__":
    main()
