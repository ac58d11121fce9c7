"""The truth of scenes as tables: one row per scene, and one per instance with its box and its mask as run lengths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances
from hrtem_dask.tables import Column, Schema

__all__ = ["SCENE_INSTANCES", "SCENE_MICROGRAPHS", "instance_rows", "mask_of_runs", "runs_of_mask", "scene_row"]

_ID = Column("micrograph_id", "str", "name of the scene: rod-<seed>-<index> or ves-<seed>-<index>")

SCENE_MICROGRAPHS: Schema = (
    _ID,
    Column("seed", "int", "seed of the series"),
    Column("index", "int", "number in the series; seed and index alone decide the scene"),
    Column("regime", "str", "rods or vesicles"),
    Column("polarity", "str", "dark: instances darker than the support; bright: brighter; mixed: both"),
    Column("imaging", "str", "haadf, bright_field or sem"),
    Column("height_px", "int", "image height", "px"),
    Column("width_px", "int", "image width", "px"),
    Column("pixel_size_nm", "float", "pixel height and width, for information", "nm"),
    Column("n_particles", "int", "instances, cut and ignored ones included"),
    Column("support", "str", "carbon, graphene, lacey, holey, thick or wrinkled"),
    Column("arrangement", "str", "random, crossed, bundled, aligned, raft or clusters; null for vesicles"),
    Column("profile", "str", "cross section of the rods; null for vesicles"),
    Column("has_neighbors", "bool", "cubes and spheres lie among the rods; null for vesicles"),
    Column("length_px", "float", "median length that was drawn from; null for vesicles", "px"),
    Column("aspect", "float", "median length over width that was drawn from; null for vesicles"),
    Column("membrane_contrast", "float", "contrast of the membranes of large vesicles; null for rods"),
    Column("interior_contrast", "float", "by how much large vesicles are lighter; null for rods"),
    Column("noise", "float", "standard deviation of a background pixel over its mean"),
    Column("coarse_noise_px", "float", "grain size of correlated noise, 0 for none", "px"),
    Column("blur_px", "float", "standard deviation of the lens's blur", "px"),
)

SCENE_INSTANCES: Schema = (
    _ID,
    Column("particle_id", "int", "number of the instance from 1; a larger one lies above"),
    Column("class_name", "str", "rod, end_on_rod; large_vesicle, small_vesicle, hole"),
    Column("x_center_px", "float", "center of its rotated box; centers of pixels are whole numbers", "px"),
    Column("y_center_px", "float", "the same along y", "px"),
    Column("length_px", "float", "length of the box, of the part in the image", "px"),
    Column("width_px", "float", "width of the box", "px"),
    Column("angle_deg", "float", "direction of the length, counter-clockwise on the screen, −90 to 90", "°"),
    Column("full_length_px", "float", "length before the border cut it", "px"),
    Column("full_width_px", "float", "width before the border cut it", "px"),
    Column("visible_area_px", "int", "pixels that neither an opaque instance nor a burnt-in mark hides", "px"),
    Column("touches_edge", "bool", "cut by the image's border"),
    Column("is_ignored", "bool", "so little of it is seen that it need not be found"),
    Column("mask_runs", "str", "its mask as COCO's run lengths: column by column, beginning with background"),
)


def scene_row(
    micrograph_id: str, shape: tuple[int, int], pixel_size_nm: float, n_instances: int, conditions: Mapping[str, Any]
) -> pd.DataFrame:
    """Make the row of a scene.

    Parameters
    ----------
    micrograph_id : str
        Name of the scene.
    shape : tuple of int
        Height and width (px).
    pixel_size_nm : float
        Pixel size (nm).
    n_instances : int
        Number of instances.
    conditions : mapping
        What was drawn.

    Returns
    -------
    pandas.DataFrame
        One row, schema `SCENE_MICROGRAPHS`.
    """
    known = {
        **conditions,
        "micrograph_id": micrograph_id,
        "height_px": shape[0],
        "width_px": shape[1],
        "pixel_size_nm": pixel_size_nm,
        "n_particles": n_instances,
    }
    return pd.DataFrame([{c.name: known.get(c.name) for c in SCENE_MICROGRAPHS}])


def instance_rows(
    micrograph_id: str, instances: Instances, full_sizes_px: np.ndarray, is_cut: np.ndarray
) -> pd.DataFrame:
    """Make the rows of the instances of a scene.

    Parameters
    ----------
    micrograph_id : str
        Name of the scene.
    instances : Instances
        With masks.
    full_sizes_px : numpy.ndarray
        Shape (n, 2): length and width before the border cut them (px).
    is_cut : numpy.ndarray of bool
        Shape (n,).

    Returns
    -------
    pandas.DataFrame
        Schema `SCENE_INSTANCES`.
    """
    masks = instances.masks or ()
    table = pd.DataFrame(instances.rotated_boxes, columns=["x_center_px", "y_center_px", "length_px", "width_px",
                                                           "angle_deg"])  # fmt: skip
    table["micrograph_id"] = micrograph_id
    table["particle_id"] = np.arange(1, len(instances) + 1)
    table["class_name"] = instances.class_names.astype(object)
    table["full_length_px"], table["full_width_px"] = full_sizes_px[:, 0], full_sizes_px[:, 1]
    table["visible_area_px"] = np.array([mask.area_px for mask in masks], np.int64)
    table["touches_edge"], table["is_ignored"] = is_cut, instances.ignored
    runs = [" ".join(map(str, runs_of_mask(mask, instances.shape))) for mask in masks]
    table["mask_runs"] = np.array(runs, dtype=object)
    return table[[c.name for c in SCENE_INSTANCES]]


def runs_of_mask(mask: InstanceMask, shape: tuple[int, int]) -> list[int]:
    """Return a mask as COCO's run lengths.

    Parameters
    ----------
    mask : InstanceMask
        A mask.
    shape : tuple of int
        (height, width) of the image.

    Returns
    -------
    list of int
        Numbers of pixels, column by column, in turn background and instance, beginning with background.

    Examples
    --------
    >>> runs_of_mask(InstanceMask(np.ones((2, 1), bool), y0_px=1, x0_px=1), (4, 3))
    [5, 2, 5]
    """
    changes = np.diff(mask.crop.astype(np.int8), axis=0, prepend=0, append=0)
    column, row = np.nonzero(changes.T)
    edges = (mask.x0_px + column) * shape[0] + mask.y0_px + row
    # an end at the lower border and a start at the upper border of the next column cancel
    edges, counts = np.unique(edges, return_counts=True)
    edges = edges[counts == 1]
    runs = np.diff(np.concatenate([[0], edges, [shape[0] * shape[1]]]))
    return [int(r) for r in (runs if runs[-1] > 0 or len(runs) == 1 else runs[:-1])]


def mask_of_runs(runs: list[int], shape: tuple[int, int]) -> InstanceMask:
    """Return the mask of COCO's run lengths.

    Parameters
    ----------
    runs : list of int
        As `runs_of_mask` returns them.
    shape : tuple of int
        (height, width) of the image.

    Returns
    -------
    InstanceMask
        The mask.

    Raises
    ------
    ValueError
        If they cover more or fewer pixels than the image has.
    """
    if sum(runs) != shape[0] * shape[1]:
        raise ValueError(f"run lengths cover {sum(runs)} pixels of {shape[0] * shape[1]}")
    edges = np.cumsum(runs)
    starts, ends = edges[:-1:2], edges[1::2]
    if not len(starts):
        return InstanceMask(np.zeros((0, 0), bool), 0, 0)
    x0, x1 = int(starts[0]) // shape[0], int(ends[-1] - 1) // shape[0] + 1
    flat = np.zeros((x1 - x0) * shape[0], bool)
    for start, end in zip(starts - x0 * shape[0], ends - x0 * shape[0], strict=True):
        flat[start:end] = True
    return InstanceMask.from_image(flat.reshape(-1, shape[0]).T, y0_px=0, x0_px=x0)
