"""Compare the memory that a run plans for a worker with what a worker takes at most.

    python benchmarks/memory.py
    python benchmarks/memory.py --methods otsu --sizes 4096 8192 --dtypes uint16 float32

Each case runs in a process of its own, as the only task of a worker: a mosaic of an analytic scene with about 5
particles per 512² px and white noise, from the file to the committed part, with its overlay. The exit status is 1 if a
case takes more than was planned. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

TILE_PX = 512
PIXEL_SIZE_NM = 0.05


def main() -> None:
    """Parse the command line, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", default=["otsu", "fourier", "unet"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[512, 2048, 4096], help="sides in px, multiples of 512")
    parser.add_argument("--dtypes", nargs="+", default=["uint8", "uint16", "float32"])
    parser.add_argument("--case", nargs=2, metavar=("FOLDER", "METHOD"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(Path(options.case[0]), options.case[1])))
        return
    exceeded = 0
    print("method    px        dtype     measured MiB  planned MiB")
    for side in options.sizes:
        for dtype in options.dtypes:
            with tempfile.TemporaryDirectory(prefix="hrtem-dask-memory-") as scratch:
                write_mosaic(Path(scratch), side, np.dtype(dtype))
                for method in options.methods:
                    command = [sys.executable, __file__, "--case", scratch, method]
                    done = subprocess.run(command, capture_output=True, text=True, check=True)
                    found = json.loads(done.stdout.splitlines()[-1])
                    exceeded += found["measured"] > found["planned"]
                    print(
                        f"{method:9} {side:4}²     {dtype:9} {found['measured']:12} {found['planned']:12}", flush=True
                    )
    sys.exit(1 if exceeded else 0)


def write_mosaic(folder: Path, side: int, dtype: np.dtype) -> None:
    """Write a micrograph."""
    from hrtem_dask.simulation import simulate_scene

    scene = simulate_scene(seed=(1, 1), shape=(TILE_PX, TILE_PX), pixel_size_nm=PIXEL_SIZE_NM, n_particles=5)
    low, high = float(scene.image.min()), float(scene.image.max())
    rng, scale = np.random.default_rng(0), 250 if dtype == np.uint8 else 4000
    image = np.empty((side, side), dtype)
    for y in range(0, side, TILE_PX):
        for x in range(0, side, TILE_PX):
            tile = (scene.image - low) / (high - low) * scale + rng.normal(0, scale / 50, scene.image.shape)
            image[y : y + TILE_PX, x : x + TILE_PX] = np.clip(tile, 0, scale)
    step = 1 / PIXEL_SIZE_NM
    tifffile.imwrite(folder / "mosaic.tif", image, imagej=True, resolution=(step, step), metadata={"unit": "nm"})


def measure(folder: Path, method: str) -> dict[str, int]:
    """Run the task of a worker in this process; return its peak, and what a run plans (MiB)."""
    import distributed  # noqa: F401 - a worker has it

    from hrtem_dask import backend, loading
    from hrtem_dask.batch.run.plan import make_plan, planned_memory
    from hrtem_dask.batch.run.preparation import checked_models
    from hrtem_dask.batch.run.task import run_task
    from hrtem_dask.settings import Settings
    from hrtem_dask.storage import ledger, zarr_store
    from hrtem_dask.storage.location import Location

    backend.keep_freed_memory()
    settings = Settings().updated(
        {"segmentation": {"method": method}, "execution": {"device": "cpu", "overlays": "all"}}
    )
    models = checked_models(settings)
    (source,) = loading.find_sources(folder / "mosaic.tif")
    plan = make_plan(loading.list_micrographs(source), {}, settings, models)
    results = Location.of(folder / method)
    zarr_store.create_store(results.inside(ledger.LABELS))
    (outcome,) = run_task(plan.tasks[0], settings, results, models)
    if outcome.entry.status == "failed":  # a mosaic in which a method finds nothing takes memory too
        sys.exit(f"the micrograph is {outcome.entry.status}: {outcome.reason}")
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    (peak_kib,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return {"measured": peak_kib // 1024, "planned": planned_memory(plan)[0] // 2**20}


if __name__ == "__main__":
    main()
