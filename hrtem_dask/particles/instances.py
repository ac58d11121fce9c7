"""Instances of a detector as particles: each measured on its own mask, so that they may overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.assembly import particle_rows, region_rows
from hrtem_dask.particles.find import Particles
from hrtem_dask.particles.regions import join_regions, label_regions
from hrtem_dask.settings import ParticleSettings

__all__ = ["MeasuredInstances", "instance_layers", "instance_runs", "measure_instances"]


@dataclass(frozen=True)
class MeasuredInstances:
    """Particles that may overlap."""

    particles: Particles
    """Labels (the surest instance on top), regions and particles; numbered from 1 by rising score."""
    runs: pd.DataFrame
    """Rows of `tables.INSTANCE_RUNS` without the micrograph: the whole mask of each particle."""


def measure_instances(
    instances: Instances,
    image: np.ndarray,
    settings: ParticleSettings | None = None,
    *,
    pixel_size_nm: PixelSize | None,
    marks: np.ndarray | None = None,
    outside: np.ndarray | None = None,
) -> MeasuredInstances:
    """Measure the instances of a detector, and decide which are counted.

    Nothing is cleaned, split or joined. Size and shape are those of each mask, and the columns ``box_*`` those of the
    rotated box. A region is a connected piece of the union of all masks.

    Parameters
    ----------
    instances : Instances
        With masks, none of them empty.
    image : numpy.ndarray
        Shape (y, x), any real dtype: the raw image.
    settings : ParticleSettings, optional
        Its `bridge_gap_nm` and the limits of size are used. By default ``ParticleSettings()``.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm); None leaves ``*_nm`` null.
    marks : numpy.ndarray of bool, optional
        Shape (y, x): burnt-in marks; instances that reach one are not counted.
    outside : numpy.ndarray of bool, optional
        Shape (y, x): pixels that are no image.

    Returns
    -------
    MeasuredInstances
        Labels, tables and runs.

    Raises
    ------
    ValueError
        If instances have no masks, or an empty one.
    """
    settings = settings or ParticleSettings()
    if instances.masks is None or not all(mask.area_px for mask in instances.masks):
        raise ValueError("every instance needs a mask with at least one pixel to be measured")
    instances = instances.select(np.argsort(instances.scores, kind="stable"))
    masks = instances.masks or ()
    labels, layers = np.zeros(image.shape, np.int32), instance_layers(masks, (image.shape[0], image.shape[1]))
    covered = np.zeros(image.shape, np.int32)
    for number, mask in enumerate(masks, 1):
        mask.paint(labels, number)
        covered[mask.window] += mask.crop
    regions = label_regions(labels > 0, pixel_size_nm=pixel_size_nm, bridge_gap_nm=settings.bridge_gap_nm)
    for layer in layers:
        regions = join_regions(regions, layer)
    rows = [
        particle_rows(
            layer,
            image,
            regions=regions,
            split_confidence=np.full(len(masks), np.nan),
            pixel_size_nm=pixel_size_nm,
            settings=settings,
            marks=marks,
            outside=outside,
        ).table()
        for layer in layers
    ]
    table = pd.concat(rows, ignore_index=True) if rows else tables.empty(tables.PARTICLES)
    table = table.sort_values("particle_id", ignore_index=True)
    shared = [float(np.mean(covered[mask.window][mask.crop] > 1)) for mask in masks]
    particles = tables.Rows.of_table(_with_boxes(table, instances, np.array(shared), pixel_size_nm), tables.PARTICLES)
    found = region_rows(
        regions, particles, pixel_size_nm=pixel_size_nm, max_region_area_nm2=settings.max_region_area_nm2
    )
    return MeasuredInstances(Particles(labels=labels, region_rows=found, particle_rows=particles), instance_runs(masks))


def _with_boxes(
    table: pd.DataFrame, instances: Instances, shared: np.ndarray, pixel_size_nm: PixelSize | None
) -> pd.DataFrame:
    """Add what the detector says of each instance; rows are in the order of the instances."""
    x, y, length, width, angle = instances.rotated_boxes.T
    turn = np.deg2rad(angle)
    nm_y, nm_x = (np.nan, np.nan) if pixel_size_nm is None else pixel_size_nm
    length_nm = length * np.hypot(np.cos(turn) * nm_x, np.sin(turn) * nm_y)
    width_nm = width * np.hypot(np.sin(turn) * nm_x, np.cos(turn) * nm_y)
    added = table.assign(
        instance_class=instances.class_names.astype(object),
        detection_score=instances.scores,
        box_x_px=x,
        box_y_px=y,
        box_length_px=length,
        box_length_nm=length_nm,
        box_width_px=width,
        box_width_nm=width_nm,
        box_aspect_ratio=length / width,
        box_angle_deg=angle,
        overlap_fraction=shared,
    )
    return tables.conform(added, tables.PARTICLES)


def instance_layers(masks: Sequence[InstanceMask], shape: tuple[int, int]) -> np.ndarray:
    """Return label images in which no instance hides another: the first layer has as many as fit, and so on.

    Parameters
    ----------
    masks : sequence of InstanceMask
        Instances 1, 2, and so on.
    shape : tuple of int
        (height, width) of the image (px).

    Returns
    -------
    numpy.ndarray of int32
        Shape (layer, y, x), 0 is background: a stack of labels, as napari shows one.
    """
    layers: list[np.ndarray] = []
    for number, mask in enumerate(masks, 1):
        free = next((layer for layer in layers if not layer[mask.window][mask.crop].any()), None)
        if free is None:
            free = np.zeros(shape, np.int32)
            layers.append(free)
        mask.paint(free, number)
    return np.stack(layers) if layers else np.zeros((0, *shape), np.int32)


def instance_runs(masks: Sequence[InstanceMask]) -> pd.DataFrame:
    """Return the stretches of pixels of each mask along the rows.

    Parameters
    ----------
    masks : sequence of InstanceMask
        Instances 1, 2, and so on.

    Returns
    -------
    pandas.DataFrame
        Rows of `tables.INSTANCE_RUNS`; micrograph and sample are null.
    """
    found = [np.zeros((0, 4), dtype=np.int64)]
    for number, mask in enumerate(masks, 1):
        padded = np.pad(mask.crop.astype(np.int8), ((0, 0), (1, 1)))
        row, start = np.nonzero(np.diff(padded, axis=1) == 1)
        stop = np.nonzero(np.diff(padded, axis=1) == -1)[1]
        found.append(np.column_stack([np.full(row.size, number), row + mask.y0_px, start + mask.x0_px,
                                      stop + mask.x0_px]))  # fmt: skip
    columns = ["particle_id", "row_px", "start_px", "stop_px"]
    return tables.conform(pd.DataFrame(np.concatenate(found), columns=columns), tables.INSTANCE_RUNS)
