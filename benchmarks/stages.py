"""Processor time of each stage of one micrograph in one process, beside the time of the fastest way that is known.

    python benchmarks/stages.py --micrographs 8                                # all defaults, 13 particles per 1024²
    python benchmarks/stages.py --micrographs 8 --settings pipelines/groschner2021.toml --particles 17

Times are processor times of one thread, the smallest of three rounds for each micrograph, and hardly depend on other
load. The limits are the fastest exact ways that are known for the main operation of a stage alone, on one quiet core;
the stages do more. Stages without a limit have no simpler form to compare with.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMITS_MS = {"preparation": 3.2, "network": 106.0, "particles": 4.3}
"""1.05 Mpx at 330 Mpx/s: spikes and scaling fused in Numba. At 9.9 Mpx/s: the network of the paper in OpenVINO, on
one thread, float32. At 333 and 1,332 Mpx/s: opening, closing and labels by OpenCV, and one pass over runs in Numba."""


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--micrographs", type=int, default=8)
    parser.add_argument("--particles", type=float, default=13, help="particles per 1024²")
    parser.add_argument("--settings", type=Path, help="settings (TOML); default: all defaults")
    parser.add_argument("--folder", type=Path, help="keep the micrographs here for the next run")
    options = parser.parse_args()
    if os.environ.get("OMP_NUM_THREADS") != "1":  # read when NumPy is imported: this program starts again
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, "OMP_NUM_THREADS": "1"})
    with tempfile.TemporaryDirectory(prefix="hrtem-dask-benchmark-") as scratch:
        print(_measured(options, options.folder or Path(scratch)))


def _measured(options: argparse.Namespace, folder: Path) -> str:
    """Return the table."""
    import cv2
    import tifffile
    import torch
    from micrographs import PIXEL_SIZE_NM, write_micrographs

    from hrtem_dask import analysis, backend
    from hrtem_dask.analysis.segmenters import make_segmenter
    from hrtem_dask.analysis.stages import judge_quality, segment
    from hrtem_dask.defects import make_classifier
    from hrtem_dask.loading.content import judge_content
    from hrtem_dask.loading.similarity import make_fingerprint
    from hrtem_dask.settings import Settings

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    backend.keep_freed_memory()
    settings = Settings() if options.settings is None else Settings.from_file(options.settings)
    settings = settings.updated({"execution": {"device": "cpu", "overlays": "none"}})
    segmenter, classifier = make_segmenter(settings), make_classifier(settings.defects)
    pixel = (PIXEL_SIZE_NM, PIXEL_SIZE_NM)
    density = options.particles / 1.048576
    files = write_micrographs(folder, n=options.micrographs, size_px=1024, particles_per_mpx=density)
    clock = _Clock()
    n_particles = 0
    for image in map(tifffile.imread, files):
        for _ in range(3):
            field = clock.timed("burnt-in marks", analysis.visible_field, image, settings).image
            metrics, _ = clock.timed("quality", judge_quality, field, settings, pixel_size_nm=pixel)
            clock.timed("kind of image", judge_content, image)
            clock.timed("fingerprint", make_fingerprint, image, content_hash=metrics["image_hash"])  # hashed once
            prepared, _ = clock.timed("preparation", analysis.prepare, field, settings)
            mask = clock.timed("network", segment, prepared, segmenter, pixel_size_nm=pixel)
            found = clock.timed("particles", analysis.label, field, mask, settings, pixel_size_nm=pixel)
            searched = clock.timed(
                "reflections", analysis.particle_reflections, prepared, found, settings, pixel_size_nm=pixel
            )
            clock.timed(
                "lattice, zone axis",
                *(analysis.measure_lattices, prepared, found, settings, searched),
                pixel_size_nm=pixel,
            )
            clock.timed(
                "classes",
                *(analysis.classify, prepared, found, settings, classifier),
                pixel_size_nm=pixel,
                reflections=searched,
            )
        clock.next_micrograph()
        n_particles += len(found.particles)
    milliseconds = {name: 1000 * sum(times) / len(times) for name, times in clock.times.items()}
    lines = [
        f"{n_particles / len(files):.1f} particles per micrograph",
        "",
        "| stage | ms | limit, ms |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {ms:.1f} | {LIMITS_MS.get(name, '–')} |" for name, ms in milliseconds.items()]
    lines.append(f"| all | {sum(milliseconds.values()):.0f} | |")
    return "\n".join(lines)


class _Clock:
    """Smallest processor time of each stage, for one micrograph after the other."""

    def __init__(self) -> None:
        self.times: dict[str, list[float]] = {}
        self._now: dict[str, float] = {}

    def timed(self, name: str, work: Callable[..., Any], *inputs: Any, **keywords: Any) -> Any:
        """Call a stage and note its time (s)."""
        began = time.process_time()
        result = work(*inputs, **keywords)
        spent = time.process_time() - began
        self._now[name] = min(spent, self._now.get(name, spent))
        return result

    def next_micrograph(self) -> None:
        """Keep what was noted."""
        for name, spent in self._now.items():
            self.times.setdefault(name, []).append(spent)
        self._now = {}


if __name__ == "__main__":
    main()
