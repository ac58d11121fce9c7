"""Compare single operations with their straightforward implementation in one run.

    python benchmarks/operations.py --size 2048

The two implementations of a pair alternate, so that other load of the machine affects both equally; ratios are taken
within a round.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import scipy.ndimage
import torch
from baselines import PROPERTIES, rings_by_masks
from main_job import find_weights
from micrographs import PARTICLES_PER_MPX, PIXEL_SIZE_NM
from skimage import filters, measure, morphology

from hrtem_dask import filtering, fourier, particles
from hrtem_dask.segmentation.engines import make_engine
from hrtem_dask.segmentation.threshold import fourier_mask
from hrtem_dask.segmentation.weights import load_model
from hrtem_dask.simulation import simulate_scene


class Pair(NamedTuple):
    """One operation in two implementations."""

    operation: str
    straightforward: Callable[[], Any]
    optimized: Callable[[], Any]
    compare: Callable[[Any, Any], str]
    """Describes the difference of the two results."""


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=2048, help="height and width in px, a multiple of 16")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--radius", type=int, default=5, help="radius of opening and closing (px)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    n = max(1, round(PARTICLES_PER_MPX * options.size**2 / 1e6))
    scene = simulate_scene(
        seed=1, shape=(options.size, options.size), pixel_size_nm=PIXEL_SIZE_NM, n_particles=n, n_spikes=4 * n
    )
    print(f"one thread, {options.size}², {len(scene.truth)} particles, {options.rounds} rounds\n")
    print("| operation | straightforward, ms | hrtem_dask, ms | ratio (range) | results |\n|---|---|---|---|---|")
    for pair in _pairs(scene.image, scene.labels, options.radius):
        print(_measure(pair, options.rounds), flush=True)


def _measure(pair: Pair, rounds: int) -> str:
    """Return the row of the table for one pair."""
    difference = pair.compare(pair.straightforward(), pair.optimized())
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        pair.straightforward()
        between = time.perf_counter()
        pair.optimized()
        times.append((between - began, time.perf_counter() - between))
    slow, fast = (1000 * statistics.median(column) for column in zip(*times, strict=True))
    ratios = [a / b for a, b in times]
    ratio = f"{statistics.median(ratios):.1f} ({min(ratios):.1f}–{max(ratios):.1f})"
    return f"| {pair.operation} | {slow:.1f} | {fast:.1f} | {ratio} | {difference} |"


def _pairs(image: np.ndarray, labels: np.ndarray, radius_px: int) -> list[Pair]:
    """Return the operations in the order of the main job."""
    prepared = filtering.prepare(image)[0]
    rng = np.random.default_rng(0)
    mask = (labels > 0) ^ (rng.random(labels.shape) < 0.01)
    crop = prepared[:100, :100]
    with tempfile.TemporaryDirectory() as scratch:
        network = load_model(find_weights(Path(scratch)))
    engine = make_engine(network, device="cpu", threads=1)
    rules: dict[str, Any] = {"opening_radius_px": radius_px, "closing_radius_px": radius_px, "fill_holes": False}
    return [
        Pair("spikes by 3×3 median (SciPy)", lambda: _spikes(image), lambda: filtering.replace_spikes(image), _largest),
        Pair(
            "U-Net on the whole image (torch eager)",
            lambda: _eager(network, prepared),
            lambda: engine(prepared[None])[0] >= 0,
            _flipped,
        ),
        Pair(
            "Fourier filter (numpy fft2, SciPy's Gaussian)",
            lambda: _fourier_filter(prepared),
            lambda: fourier_mask(prepared, pixel_size_nm=(PIXEL_SIZE_NM, PIXEL_SIZE_NM)),
            _flipped,
        ),
        Pair(
            f"opening and closing, disk {radius_px} (scikit-image)",
            lambda: morphology.closing(
                morphology.opening(mask, morphology.disk(radius_px), mode="ignore"),
                morphology.disk(radius_px),
                mode="constant",
            ),
            lambda: particles.clean_mask(mask, **rules),
            _flipped,
        ),
        Pair(
            "measurements (regionprops_table)",
            lambda: measure.regionprops_table(
                labels, image, properties=(*PROPERTIES, "feret_diameter_max", "area_convex")
            ),
            lambda: particles.measure_particles(labels, image, pixel_size_nm=None),
            lambda a, b: f"areas differ by {np.abs(a['area'] - b['area_px']).max():g} px; hrtem_dask measures more",
        ),
        Pair(
            "ring features of a 100² crop (a mask per ring)",
            lambda: rings_by_masks(crop),
            lambda: fourier.ring_integrals(crop),
            _largest,
        ),
    ]


def _largest(a: np.ndarray, b: np.ndarray) -> str:
    """Return the largest difference relative to the largest value."""
    return f"differ by {np.abs(a - b).max() / np.abs(a).max():.1e} of the largest"


def _flipped(a: np.ndarray, b: np.ndarray) -> str:
    """Return the share of pixels that differ."""
    return "equal" if np.array_equal(a, b) else f"{100 * np.mean(a != b):.3g} % of pixels differ"


def _spikes(image: np.ndarray) -> np.ndarray:
    values = image.astype(np.float32)
    median = scipy.ndimage.median_filter(values, size=3, mode="mirror")
    return np.where(np.abs(values - median) > 5 * values.std(), median, values)


def _eager(network: Any, prepared: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return (torch.softmax(network(torch.from_numpy(prepared)[None, None]), dim=1)[0, 1] >= 0.5).numpy()


def _fourier_filter(prepared: np.ndarray) -> np.ndarray:
    y, x = (np.fft.fftfreq(n, PIXEL_SIZE_NM) for n in prepared.shape)
    k = np.hypot(y[:, None], x)
    filtered = np.fft.ifft2(np.fft.fft2(prepared) * ((k >= 2.4) & (k < 6.0))).real
    amplitude = np.sqrt(scipy.ndimage.gaussian_filter(filtered**2, 0.8 / PIXEL_SIZE_NM))
    return amplitude > filters.threshold_otsu(amplitude)


if __name__ == "__main__":
    main()
