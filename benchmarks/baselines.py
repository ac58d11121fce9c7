"""Four baselines of the main job, written by hand with increasing optimization, to compare hrtem_dask with.

``paper`` is the method of Groschner et al. (2021), in one process. Keras is not a dependency, so **torch in eager mode
replaces the predict function of Keras**: the same network with the same weights, called tile by tile. ``script`` is a
typical script with a process pool. ``tuned`` does the same with the fastest library for each operation. ``limit`` is
the fastest known implementation, with the kernels of hrtem_dask but without Dask, ledger, quality gate, splitting,
lattice and label store.

Each baseline analyses one file at a time: read, remove spikes and scale, segment, label and measure, compute the ring
features of the crop of each particle, and optionally classify by a random forest of 500 trees. The forests are trained
on random numbers: their predictions are meaningless, but they take as long as those of a real forest.
"""

from __future__ import annotations

import ctypes
import functools
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import scipy.fft
import scipy.ndimage
import tifffile
import torch
from scipy.special import erf
from skimage import measure, morphology
from sklearn.ensemble import RandomForestClassifier

from hrtem_dask import filtering, fourier, particles
from hrtem_dask.segmentation.weights import load_model, load_weights

SPIKE_THRESHOLD_SD = 5.0
MIN_AREA_PX = 100
TILE_PX = 512
FEATURES = ["fft_mean", "fft_std", "image_mean", "image_std", "fft_center_of_mass"]
PROPERTIES = (
    "label", "bbox", "centroid", "area", "equivalent_diameter_area", "axis_major_length", "axis_minor_length",
    "eccentricity", "orientation", "perimeter", "solidity", "intensity_mean",
)  # fmt: skip


def stand_in_forest() -> RandomForestClassifier:
    """Train a forest of the paper's size (500 trees, gini, five features) on random numbers."""
    rng = np.random.default_rng(2021)
    forest = RandomForestClassifier(n_estimators=500, criterion="gini", random_state=0)
    return forest.fit(rng.normal(size=(300, len(FEATURES))), rng.integers(0, 2, 300))


class Script:
    """A typical script: SciPy, torch in eager mode on tiles, scikit-image, a full-size mask for every ring."""

    parallel = True
    """Whether it runs in a pool of processes."""
    classifies_each = True
    """Whether the forest is called once per micrograph; otherwise once for all."""

    def __init__(self, weights: Path, *, radius_px: int, forest: bool) -> None:
        self.network = load_model(weights)
        self.disk = morphology.disk(radius_px)
        self.forest = stand_in_forest() if forest and self.classifies_each else None

    def __call__(self, path: Path) -> pd.DataFrame:
        """Analyse one file; `attrs` of the table contains the seconds of each stage."""
        laps: dict[str, float] = {}
        started = time.perf_counter()

        def lap(stage: str) -> None:
            nonlocal started
            laps[stage], started = time.perf_counter() - started, time.perf_counter()

        image = tifffile.imread(path)
        lap("read")
        prepared = self.prepare(image)
        lap("filter")
        mask = self.segment(prepared)
        lap("segment")
        table = self.measure(mask, image)
        lap("particles")
        rows = [self.features(crop) for crop in crops(prepared, table)]
        table[FEATURES] = np.array(rows, dtype=float).reshape(len(table), len(FEATURES))
        lap("fourier")
        if self.forest is not None and len(table):
            table["class"] = self.forest.predict(table[FEATURES].to_numpy())
        lap("forest")
        table.insert(0, "file", path.name)
        table.attrs["seconds"] = laps
        return table

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Replace spikes by the 3×3 median, scale to [0, 1]."""
        values = image.astype(np.float32)
        median = scipy.ndimage.median_filter(values, size=3)
        spikes = np.abs(values - median) > SPIKE_THRESHOLD_SD * values.std()
        values[spikes] = median[spikes]
        return (values - values.min()) / (values.max() - values.min())

    def segment(self, prepared: np.ndarray) -> np.ndarray:
        """Run the network on tiles, without a halo."""
        mask = np.empty(prepared.shape, bool)
        for tile in tiles(prepared.shape):
            with torch.no_grad():
                logits = self.network(torch.from_numpy(np.ascontiguousarray(prepared[tile]))[None, None])
                mask[tile] = (torch.softmax(logits, dim=1)[0, 1] >= 0.5).numpy()
        return mask

    def measure(self, mask: np.ndarray, image: np.ndarray) -> pd.DataFrame:
        """Open, close, label, remove small objects, measure."""
        mask = morphology.closing(morphology.opening(mask, self.disk), self.disk)
        mask = morphology.remove_small_objects(mask, max_size=MIN_AREA_PX - 1, connectivity=2)
        labels = measure.label(mask, connectivity=2)
        return pd.DataFrame(measure.regionprops_table(labels, image, properties=PROPERTIES))

    def features(self, crop: np.ndarray) -> list[float]:
        """Compute the five features of the paper with its hundred ring masks."""
        return ring_statistics(crop, rings_by_masks(crop))


class Paper(Script):
    """The method of the paper, in one process: every tile is scaled separately, regions are measured one by one."""

    parallel = False

    def segment(self, prepared: np.ndarray) -> np.ndarray:
        """Scale each tile by its minimum and maximum, as in the code of the paper."""
        scaled = np.empty_like(prepared)
        for tile in tiles(prepared.shape):
            low, high = prepared[tile].min(), prepared[tile].max()
            scaled[tile] = (prepared[tile] - low) / (high - low)
        return super().segment(scaled)

    def measure(self, mask: np.ndarray, image: np.ndarray) -> pd.DataFrame:
        """Measure the regions one by one."""
        mask = morphology.closing(morphology.opening(mask, self.disk), self.disk)
        rows = []
        for region in measure.regionprops(measure.label(mask, connectivity=2), image):
            if region.area < MIN_AREA_PX:
                continue
            row = {name: getattr(region, name) for name in PROPERTIES if name not in ("bbox", "centroid")}
            row |= {f"bbox-{i}": value for i, value in enumerate(region.bbox)}
            row |= {f"centroid-{i}": value for i, value in enumerate(region.centroid)}
            rows.append(row)
        return pd.DataFrame(rows, columns=list(rows[0]) if rows else [f"bbox-{i}" for i in range(4)] + ["area"])


class Tuned(Script):
    """The script, tuned by hand: OpenCV, batch norm fused, channels_last, each Fourier coefficient binned once."""

    def __init__(self, weights: Path, *, radius_px: int, forest: bool) -> None:
        super().__init__(weights, radius_px=radius_px, forest=forest)
        cv2.setNumThreads(1)
        keep_freed_memory()
        self.network = fused(self.network).to(memory_format=torch.channels_last)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Do the same with the median of OpenCV."""
        median = cv2.medianBlur(image, 3).astype(np.float32)
        values = image.astype(np.float32)
        spikes = cv2.absdiff(values, median) > SPIKE_THRESHOLD_SD * cv2.meanStdDev(values)[1][0, 0]
        values[spikes] = median[spikes]
        low, high, _, _ = cv2.minMaxLoc(values)
        values -= np.float32(low)
        values *= np.float32(1 / (high - low))
        return values

    def segment(self, prepared: np.ndarray) -> np.ndarray:
        """Compare the difference of logits with zero instead of taking their softmax."""
        mask = np.empty(prepared.shape, bool)
        for tile in tiles(prepared.shape):
            x = torch.from_numpy(np.ascontiguousarray(prepared[tile]))[None, None]
            with torch.inference_mode():
                mask[tile] = (self.network(x.contiguous(memory_format=torch.channels_last))[0, 0] >= 0).numpy()
        return mask

    def measure(self, mask: np.ndarray, image: np.ndarray) -> pd.DataFrame:
        """Do the same with OpenCV up to the labels."""
        labels = self.label(mask)
        return pd.DataFrame(measure.regionprops_table(labels, image, properties=PROPERTIES))

    def label(self, mask: np.ndarray) -> np.ndarray:
        """Open, close, label, remove small objects."""
        opened = cv2.morphologyEx(mask.view(np.uint8), cv2.MORPH_OPEN, self.disk)
        _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.morphologyEx(opened, cv2.MORPH_CLOSE, self.disk))
        kept = stats[:, cv2.CC_STAT_AREA] >= MIN_AREA_PX
        kept[0] = False
        return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[labels]

    def features(self, crop: np.ndarray) -> list[float]:
        """Compute the same rings by a single binning."""
        return ring_statistics(crop, rings_by_binning(crop))


class Limit(Tuned):
    """The fastest choices without Dask: OpenVINO in float32 on the whole image, unpinned, and hrtem_dask's kernels."""

    classifies_each = False

    def __init__(self, weights: Path, *, radius_px: int, forest: bool) -> None:
        super().__init__(weights, radius_px=radius_px, forest=forest)
        self.weights = load_weights(weights).folded()

    @functools.lru_cache(maxsize=4)  # noqa: B019 - one instance per process
    def compiled(self, shape: tuple[int, int]) -> Any:
        """Compile for one shape by `openvino_graph`; the converter of OpenVINO takes seconds and sends usage data."""
        from hrtem_dask import backend
        from hrtem_dask.segmentation.openvino_graph import openvino_graph

        options = {
            "INFERENCE_PRECISION_HINT": "f32",
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        return backend.openvino().Core().compile_model(openvino_graph(self.weights, (1, 1, *shape)), "CPU", options)

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """Use the filter of hrtem_dask."""
        return filtering.prepare(image, spike_threshold_sd=SPIKE_THRESHOLD_SD, spike_scale="image", flatten=False)[0]

    def segment(self, prepared: np.ndarray) -> np.ndarray:
        """Run the whole image."""
        return self.compiled(prepared.shape)(prepared[None, None], share_inputs=True, share_outputs=True)[0][0, 0] >= 0

    def measure(self, mask: np.ndarray, image: np.ndarray) -> pd.DataFrame:
        """Use the measurement of hrtem_dask, which has more columns than the others."""
        table = particles.measure_particles(self.label(mask), image, pixel_size_nm=None)
        return table.rename(columns={f"bbox_{name}_px": f"bbox-{i}" for i, name in enumerate(("y0", "x0", "y1", "x1"))})

    def features(self, crop: np.ndarray) -> list[float]:
        """Use the binning of hrtem_dask."""
        features = fourier.groschner2021_features(crop)
        return [features[f"groschner2021_{name}"] for name in FEATURES]


BASELINES: dict[str, type[Script]] = {"paper": Paper, "script": Script, "tuned": Tuned, "limit": Limit}


def tiles(shape: tuple[int, ...]) -> Iterator[tuple[slice, slice]]:
    """Yield the windows of tiles of 512² px."""
    for y in range(0, shape[0], TILE_PX):
        for x in range(0, shape[1], TILE_PX):
            yield slice(y, y + TILE_PX), slice(x, x + TILE_PX)


def crops(image: np.ndarray, table: pd.DataFrame) -> Iterator[np.ndarray]:
    """Yield the crop of each row's bounding box."""
    for y0, x0, y1, x1 in table[[f"bbox-{i}" for i in range(4)]].to_numpy(dtype=int):
        yield image[y0:y1, x0:x1]


def fused(network: Any) -> Any:
    """Fold batch norm into the convolutions, and two classes into the difference of their logits."""
    for block in network.conv_norms():
        block.conv = torch.nn.utils.fusion.fuse_conv_bn_eval(block.conv, block.norm)
        block.norm = torch.nn.Identity()
    final = network.final
    with torch.no_grad():
        final.weight = torch.nn.Parameter(final.weight[1:2] - final.weight[0:1])
        final.bias = torch.nn.Parameter(final.bias[1:2] - final.bias[0:1])
    return network


def keep_freed_memory() -> None:
    """Let glibc keep freed buffers; otherwise torch spends half of its time on page faults."""
    if sys.platform.startswith("linux"):
        mallopt = ctypes.CDLL("libc.so.6").mallopt
        for option, value in ((-1, 2**30), (-2, 2**28), (-3, 2**30)):  # trim threshold, top pad, mmap threshold
            mallopt(option, value)


def ring_statistics(crop: np.ndarray, rings: np.ndarray) -> list[float]:
    """Return the five features of the paper from a crop and its ring integrals."""
    total = rings.sum()
    center = float(rings @ np.arange(rings.size) / total) if total else float("nan")
    return [float(rings.mean()), float(rings.std()), float(crop.mean()), float(crop.std()), center]


def flank(distance: np.ndarray) -> np.ndarray:
    """Rise from 0 to 1 over 4 px."""
    return (1 + erf(distance - 2)) / 2


def rings_by_masks(crop: np.ndarray) -> np.ndarray:
    """Integrate the Fourier magnitude over rings as in the code of the paper, with a full-size mask for each ring."""
    n = min(crop.shape)
    magnitude = np.abs(np.fft.fftshift(np.fft.fft2(crop[:n, :n].astype(float))))
    y, x = np.mgrid[:n, :n]
    radius = np.hypot(y - n / 2, x - n / 2)
    begins = np.sqrt(2) * np.arange(min(n, 100))
    return np.array([((flank(radius - b) - flank(radius - b - 14)) * magnitude).sum() for b in begins])


def rings_by_binning(crop: np.ndarray) -> np.ndarray:
    """Integrate over the same rings by binning over the radius and distributing each radius over the rings."""
    n = min(crop.shape)
    index, weight = ring_weights(n)
    magnitude = np.abs(scipy.fft.fftshift(scipy.fft.fft2(crop[:n, :n].astype(np.float32))))
    return np.bincount(index, magnitude.ravel(), minlength=len(weight)) @ weight


@functools.lru_cache(maxsize=256)
def ring_weights(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of the radius of each pixel, and the weights of shape (radius, ring)."""
    y, x = np.ogrid[:n, :n]
    radii, index = np.unique((2 * y - n) ** 2 + (2 * x - n) ** 2, return_inverse=True)
    inside = np.sqrt(radii)[:, None] / 2 - np.sqrt(2) * np.arange(min(n, 100))
    return index.ravel(), flank(inside) - flank(inside - 14)


_analyst: Script | None = None


def _start(name: str, weights: Path, radius_px: int, forest: bool, threads: int | None) -> None:
    """Load the network in a process of the pool."""
    global _analyst
    if threads:
        torch.set_num_threads(threads)
    _analyst = BASELINES[name](weights, radius_px=radius_px, forest=forest)


def _analyse(path: Path) -> pd.DataFrame:
    """Analyse one file in a process of the pool."""
    assert _analyst is not None
    return _analyst(path)


@contextmanager
def baseline(
    name: str, weights: Path, *, radius_px: int, forest: bool, workers: int
) -> Iterator[Callable[[Sequence[Path], Path], tuple[pd.DataFrame, list[dict[str, float]]]]]:
    """Start one of the baselines and yield a function that analyses files and writes a CSV file.

    Parameters
    ----------
    name : str
        Key of `BASELINES`.
    weights : Path
        Weights of the network.
    radius_px : int
        Radius of opening and closing (px).
    forest : bool
        Whether each particle is classified by a forest that was trained on random numbers.
    workers : int
        Processes of the pool, with one thread each; ``paper`` is one process with the default number of threads.

    Yields
    ------
    callable
        Takes files and the path of the CSV file; returns the table and the seconds of each stage per file.
    """
    classifier = stand_in_forest() if forest and not BASELINES[name].classifies_each else None

    def finish(tables: Sequence[pd.DataFrame], out: Path) -> tuple[pd.DataFrame, list[dict[str, float]]]:
        seconds = [table.attrs.pop("seconds") for table in tables]
        table = pd.concat(tables, ignore_index=True)
        if classifier is not None and len(table):
            table["class"] = classifier.predict(table[FEATURES].to_numpy())
        table.to_csv(out, index=False)
        return table, seconds

    if not BASELINES[name].parallel:
        _start(name, weights, radius_px, forest, None)
        yield lambda files, out: finish([_analyse(file) for file in files], out)
        return
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    arguments = (name, weights, radius_px, forest, 1)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=arguments) as pool:
        yield lambda files, out: finish(list(pool.map(_analyse, files)), out)
