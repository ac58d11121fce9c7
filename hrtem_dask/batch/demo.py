"""A demonstration: simulated micrographs with known truth, taken through the main job, and compared with the truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile

from hrtem_dask.batch.run import run
from hrtem_dask.evaluation import dice
from hrtem_dask.simulation import simulate_scene
from hrtem_dask.storage.results import open_results

__all__ = ["demo", "write_demo_micrographs"]

PIXEL_SIZE_NM = 0.03
SEED = 2021


def write_demo_micrographs(folder: Path, n: int) -> dict[str, np.ndarray]:
    """Write simulated micrographs as ImageJ TIFF with their pixel size.

    Parameters
    ----------
    folder : Path
        Where to; made where it is absent.
    n : int
        How many; the last of four or more is an empty field.

    Returns
    -------
    dict
        File name → true labels, shape (y, x).
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth: dict[str, np.ndarray] = {}
    for i in range(n):
        empty = n >= 4 and i == n - 1
        scene = simulate_scene(seed=(SEED, i), pixel_size_nm=PIXEL_SIZE_NM, n_particles=0 if empty else 8)
        name = f"au_{i:02d}.tif"
        tifffile.imwrite(
            folder / name,
            scene.image,
            imagej=True,
            resolution=(1 / PIXEL_SIZE_NM, 1 / PIXEL_SIZE_NM),
            metadata={"unit": "nm"},
        )
        truth[name] = scene.labels
    return truth


def demo(
    out: Path,
    *,
    n_micrographs: int = 4,
    scheduler: str | None = None,
    workers: int | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Simulate micrographs, analyse them, compare with the truth.

    Parameters
    ----------
    out : Path
        Folder for ``micrographs`` and ``results``.
    n_micrographs : int
        How many.
    scheduler : str, optional
        As for `run`.
    workers : int, optional
        As for `run`.
    say : callable
        Takes lines for the user.
    """
    truth = write_demo_micrographs(out / "micrographs", n_micrographs)
    say(f"{n_micrographs} simulated micrographs (analytic lattice scenes, no multislice) in {out / 'micrographs'}")
    # the files just written, and not what an earlier demonstration left in the folder
    files = [out / "micrographs" / name for name in truth]
    summary = run(files, out / "results", scheduler=scheduler, workers=workers, say=say)
    results = open_results(out / "results")
    say("file         particles (true)   Dice   status")
    for row in results.micrographs.itertuples():
        labels = truth[Path(str(row.source)).name]
        n_true = int(labels.max())
        status = str(row.status)
        analysed = status in ("done", "empty")
        score = dice(results.labels(str(row.micrograph_id)) > 0, labels > 0) if n_true and analysed else float("nan")
        said = status if analysed else f"{status}: {row.reason!s}"
        n_found = str(row.n_particles) if analysed else "-"
        say(f"{Path(str(row.source)).name:12} {n_found:>9} ({n_true})      {score:6.3f}   {said}")
    say(f"tables and overlays: {summary.results}")
