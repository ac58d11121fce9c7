"""Measure a run with all defaults: the bundled network, lattice, zone axis, phase steps and the forest.

    python benchmarks/everything_on.py --micrographs 64 --rounds 3            # 5 minutes on 2 cores
    python benchmarks/everything_on.py --micrographs 64 --many 640            # and memory with ten times as many

The first table is the processor time of one micrograph in one process, stage by stage; it is started with
OMP_NUM_THREADS=1, as workers are. The second is that of whole runs
with one and with two workers: what they take beyond the stages is Dask, files, tables and the start of the run. Workers
have started and warmed up before the measurement. Rounds alternate, and ratios are taken within a round.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import psutil
import tifffile
import torch
from micrographs import PIXEL_SIZE_NM, write_micrographs

from hrtem_dask import analysis
from hrtem_dask.batch.cluster.cluster import connect
from hrtem_dask.batch.run.run import run
from hrtem_dask.cluster_settings import Cluster
from hrtem_dask.defects import make_classifier
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.settings import Settings
from hrtem_dask.storage.results import open_results

PIXEL = (PIXEL_SIZE_NM, PIXEL_SIZE_NM)
STAGES = ("read", "filter", "segment", "particles", "fourier", "defects", "write")


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--micrographs", type=int, default=64)
    parser.add_argument("--many", type=int, help="number of micrographs of one more run, for its memory")
    parser.add_argument("--size", type=int, default=1024, help="height and width in px")
    parser.add_argument("--particles", type=int, default=13, help="particles per 1024²")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="keep the micrographs here for the next run")
    options = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":  # read when NumPy is imported: this program starts again
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1"})
    with tempfile.TemporaryDirectory(prefix="hrtem-dask-benchmark-") as scratch:
        n = max(options.micrographs, options.many or 0)
        folder = options.folder or Path(scratch) / "images"
        files = write_micrographs(folder, n=n, size_px=options.size, particles_per_mpx=options.particles / 1.048576)
        print(_in_one_process(files[: options.micrographs], options.rounds))
        print(_runs(files, options, Path(scratch)))


def _settings(precision: str = "float32") -> Settings:
    """Return the defaults, without pictures."""
    return Settings().updated(
        {"execution": {"device": "cpu", "overlays": "none"}, "segmentation": {"precision": precision}}
    )


def _in_one_process(files: Sequence[Path], rounds: int) -> str:
    """Return the processor time of each stage, per micrograph."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    images = [tifffile.imread(path) for path in files[:8]]
    measured: dict[str, list[dict[str, float]]] = {"float32": [], "bfloat16": []}
    n_particles = 0
    for _ in range(rounds + 1):  # the first round warms up
        for precision, found in measured.items():
            times, n_particles = _stage_times(images, _settings(precision))
            found.append(times)
    names = list(measured["float32"][0])
    lines = [
        f"{n_particles / len(images):.1f} particles per micrograph; its processor time (ms), median of {rounds} rounds",
        f"| precision | {' | '.join(names)} | all |",
        "|---" * (len(names) + 2) + "|",
    ]
    for precision, found in measured.items():
        values = [statistics.median(times[name] for times in found[1:]) for name in names]
        lines.append(f"| {precision} | {' | '.join(f'{v:.0f}' for v in values)} | {sum(values):.0f} |")
    return "\n".join(lines) + "\n"


def _stage_times(images: Sequence[Any], settings: Settings) -> tuple[dict[str, float], int]:
    """Return the processor time (ms) of each stage per micrograph, and the number of all particles."""
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    classifier = make_classifier(settings.defects)
    times = dict.fromkeys(("image to mask", "particles", "lattice, zone axis", "features, forest"), 0.0)
    n_particles = 0
    for image in images:
        clock = time.process_time()
        segmented = analysis.segment_micrograph(image, pixel_size_nm=PIXEL, settings=settings, segmenter=segmenter)
        clock = _add(times, "image to mask", clock)
        assert segmented.segmentation is not None
        found = analysis.label(segmented.image, segmented.segmentation, settings, pixel_size_nm=PIXEL)
        clock = _add(times, "particles", clock)
        reflections = analysis.particle_reflections(segmented.prepared, found, settings, pixel_size_nm=PIXEL)
        analysis.measure_lattices(segmented.prepared, found, settings, reflections, pixel_size_nm=PIXEL)
        clock = _add(times, "lattice, zone axis", clock)
        analysis.classify(segmented.prepared, found, settings, classifier, pixel_size_nm=PIXEL, reflections=reflections)
        _add(times, "features, forest", clock)
        n_particles += len(found.particle_rows)
    return {name: 1000 * seconds / len(images) for name, seconds in times.items()}, n_particles


def _add(times: dict[str, float], name: str, since: float) -> float:
    """Add the time since a clock's reading; return the new reading."""
    now = time.process_time()
    times[name] += now - since
    return now


def _runs(files: Sequence[Path], options: argparse.Namespace, scratch: Path) -> str:
    """Return the table of whole runs."""
    plans = {"1 worker": (1, options.micrographs), "2 workers": (2, options.micrographs)}
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in plans}
    for i in range(options.rounds):
        for name, (workers, n) in plans.items():
            measured[name].append(_one_run(files[:n], workers, scratch / f"{i}-{workers}"))
    if options.many:
        plans[f"2 workers, {options.many}"] = (2, options.many)
        measured[f"2 workers, {options.many}"] = [_one_run(files[: options.many], 2, scratch / "many")]
    lines = [
        "| run | micrographs/s | ÷ 1 worker | core-ms per micrograph | of these in stages | largest worker, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, results in measured.items():
        rate = statistics.median(r["rate"] for r in results)
        ratio = statistics.median(
            r["rate"] / one["rate"] for r, one in zip(results, measured["1 worker"], strict=False)
        )
        core, stages = (statistics.median(r[key] for r in results) for key in ("core_ms", "stage_ms"))
        memory = max(r["memory_mib"] for r in results)
        lines.append(f"| {name} | {rate:.2f} | {ratio:.2f} | {core:.0f} | {stages:.0f} | {memory:.0f} |")
    return "\n".join(lines) + "\n"


def _one_run(files: Sequence[Path], workers: int, folder: Path) -> dict[str, float]:
    """Measure one run of a cluster that has warmed up."""
    with connect(Cluster(workers=workers, device="cpu")) as client:
        run(files[: 2 * workers], folder / "warm_up", settings=_settings(), cluster=client)
        worked, began = _worked(), time.perf_counter()
        summary = run(files, folder / "results", settings=_settings(), cluster=client)
        seconds, core = time.perf_counter() - began, _worked() - worked
    if summary.analysed != len(files):
        raise SystemExit(f"{len(files)} micrographs, but {summary.counts}")
    execution = open_results(folder / "results").table("execution")
    stages = sum(float(execution[f"seconds_{name}"].mean()) for name in STAGES if f"seconds_{name}" in execution)
    return {
        "rate": len(files) / seconds,
        "core_ms": 1000 * core / len(files),
        "stage_ms": 1000 * stages,
        "memory_mib": float(execution["peak_memory_mib"].max()),
    }


def _worked() -> float:
    """Return the processor time of this process and its children (s)."""
    me = psutil.Process(os.getpid())
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(t.user + t.system for t in times)


if __name__ == "__main__":
    main()
