"""The instances that a run with a detector found, read from its tables."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances
from hrtem_dask.storage.results import Results

__all__ = ["found_instances"]

BOX = ["box_x_px", "box_y_px", "box_length_px", "box_width_px", "box_angle_deg"]


def found_instances(results: Results) -> dict[str, Instances]:
    """Read what a detector found, the instances that are not counted included.

    Parameters
    ----------
    results : Results
        Of a run with a detector.

    Returns
    -------
    dict of str to Instances
        ``micrograph_id`` of each micrograph that was analyzed → its instances with masks, in the order of
        ``particle_id``; those of labels that were corrected by hand have no score and are left out.
    """
    micrographs = results.micrographs
    analyzed = micrographs[micrographs["status"].isin(["done", "empty"])]
    particles = results.particles
    particles = particles[particles["detection_score"].notna()].sort_values("particle_id")
    rows = {str(name): part for name, part in particles.groupby("micrograph_id")}
    runs = {str(name): part for name, part in results.instance_runs.groupby("micrograph_id")}
    names, shapes = analyzed["micrograph_id"].astype(str), analyzed[["height_px", "width_px"]].to_numpy(dtype=np.int64)
    return {
        name: _instances(rows.get(name, particles.iloc[:0]), runs.get(name), (int(height), int(width)))
        for name, (height, width) in zip(names, shapes, strict=True)
    }


def _instances(rows: pd.DataFrame, runs: pd.DataFrame | None, shape: tuple[int, int]) -> Instances:
    """Return the instances of one micrograph."""
    of_particle = {} if runs is None else dict(list(runs.groupby("particle_id")))
    return Instances.from_rotated_boxes(
        rows[BOX].to_numpy(dtype=np.float64),
        shape=shape,
        class_names=rows["instance_class"].to_numpy(dtype=str),
        scores=rows["detection_score"].to_numpy(dtype=np.float64),
        masks=[_mask(of_particle[number]) for number in rows["particle_id"]],
    )


def _mask(runs: pd.DataFrame) -> InstanceMask:
    """Return the mask of the runs of one instance."""
    row, start, stop = runs[["row_px", "start_px", "stop_px"]].to_numpy(dtype=np.int64).T
    y0, x0 = int(row.min()), int(start.min())
    crop = np.zeros((int(row.max()) - y0 + 1, int(stop.max()) - x0), dtype=bool)
    for y, first, last in zip(row - y0, start - x0, stop - x0, strict=True):
        crop[y, first:last] = True
    return InstanceMask(crop, y0, x0)
