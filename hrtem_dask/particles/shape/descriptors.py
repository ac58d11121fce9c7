"""Size, shape and intensity of particles; the formulas are written in `tables.PARTICLES`."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask import backend, tables
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.runs import Runs, find_runs
from hrtem_dask.particles.shape.calipers import feret_diameters
from hrtem_dask.particles.shape.hulls import convex_hulls, hull_pixels
from hrtem_dask.particles.shape.perimeters import convex_exits, crofton_perimeters, outline_exits
from hrtem_dask.particles.shape.surroundings import intensities, means

__all__ = ["measure_particles", "measured_columns"]

_SHAPE_COLUMNS = (
    *(
        f"{name}_{unit}"
        for name in ("feret_max", "feret_min", "perimeter", "convex_perimeter")
        for unit in ("px", "nm")
    ),
    *("aspect_ratio", "circularity", "roundness", "compactness", "solidity", "convexity"),
    *("eccentricity", "extent", "orientation_deg"),
)
_ROUND = 1e-9
"""Relative difference of the second moments below which a particle has no longest axis."""


def measure_particles(
    labels: np.ndarray,
    image: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    probability: np.ndarray | None = None,
    min_shape_area_px: float = 0,
) -> pd.DataFrame:
    """Measure every particle of a label image.

    Parameters
    ----------
    labels : numpy.ndarray or cupy.ndarray of int
        Shape (y, x), 0 is background; labels need not be consecutive.
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype: the raw image.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm). Ratios (aspect ratio, circularity …) are those of the true shape where
        it is known, else of square pixels; None leaves ``*_nm`` NaN.
    probability : numpy.ndarray or cupy.ndarray, optional
        Shape (y, x), 0 to 1: particle probability.
    min_shape_area_px : float
        Smaller particles (px) are measured by size alone: Feret diameters, perimeters, ratios of shape and the
        orientation are NaN. Of disks of 6 px the aspect ratio is 1.18 instead of 1, and the roundness 0.73.

    Returns
    -------
    pandas.DataFrame
        One row per label, ascending, with the columns of `tables.PARTICLES` that describe size, shape and
        intensity; plain NumPy dtypes, NaN where a value does not exist.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.particles import measure_particles
    >>> y, x = np.mgrid[:64, :64]
    >>> labels = ((y - 32) ** 2 + (x - 32) ** 2 < 20**2).astype(np.int32)  # a disk of 40 px, 4 nm, across
    >>> table = measure_particles(labels, np.zeros((64, 64)), pixel_size_nm=(0.1, 0.1))
    >>> table[["equivalent_diameter_nm", "circularity"]].round(2).to_numpy().tolist()
    [[3.98, 1.01]]
    """
    return pd.DataFrame(
        measured_columns(
            labels,
            image,
            pixel_size_nm=pixel_size_nm,
            probability=probability,
            min_shape_area_px=min_shape_area_px,
        )
    )


def measured_columns(
    labels: np.ndarray,
    image: np.ndarray,
    *,
    pixel_size_nm: PixelSize | None,
    probability: np.ndarray | None = None,
    min_shape_area_px: float = 0,
    runs: Runs | None = None,
) -> dict[str, np.ndarray]:
    """Measure every particle of a label image, without a DataFrame.

    Parameters
    ----------
    labels : numpy.ndarray or cupy.ndarray of int
        Shape (y, x), 0 is background.
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype: the raw image.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm).
    probability : numpy.ndarray or cupy.ndarray, optional
        Shape (y, x), 0 to 1: particle probability.
    min_shape_area_px : float
        See `measure_particles`.
    runs : Runs, optional
        Runs of the labels, where they are known already.

    Returns
    -------
    dict of str to numpy.ndarray
        The columns of `measure_particles`, shape (n,) each.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    labels, image = backend.to_numpy(labels), backend.to_numpy(image)
    runs = find_runs(labels) if runs is None else runs
    for name, other in (("image", image), ("probability", probability)):
        if other is not None and other.shape != labels.shape:
            raise ValueError(f"labels have shape {labels.shape} and {name} {other.shape}: they must be equal")
    columns: dict[str, np.ndarray] = {"particle_id": runs.ids}
    columns |= dict(zip(tables.BOX_COLUMNS, runs.boxes.T, strict=True))
    columns |= _moments(runs, pixel_size_nm)
    columns |= _shape(runs, pixel_size_nm)
    columns["mean_intensity"], columns["contrast"] = intensities(labels, image, runs=runs)
    columns["mean_probability"] = (
        np.full(runs.ids.size, np.nan)
        if probability is None
        else means(labels, backend.to_numpy(probability), runs=runs)
    )
    few = runs.area_px < min_shape_area_px
    return columns | {name: np.where(few, np.nan, columns[name]) for name in _SHAPE_COLUMNS}


def _moments(runs: Runs, pixel_size_nm: PixelSize | None) -> dict[str, np.ndarray]:
    """Return centroids and what follows from second moments, pixels taken as rectangles."""
    y, x, yy, xx, yx = runs.moments()
    height, width = pixel_size_nm or (1.0, 1.0)
    yy, xx, yx = yy * height**2, xx * width**2, yx * height * width
    spread = np.hypot(xx - yy, 2 * yx)
    # rows count downwards, angles upwards
    angle = np.rad2deg(np.arctan2(-2 * yx, xx - yy)) / 2
    scale = pixel_size_nm or (np.nan, np.nan)
    return {
        "centroid_y_px": y,
        "centroid_y_nm": y * scale[0],
        "centroid_x_px": x,
        "centroid_x_nm": x * scale[1],
        "eccentricity": np.sqrt(2 * spread / (xx + yy + spread)),
        "orientation_deg": np.where(spread > _ROUND * (xx + yy), angle, np.nan),
    }


def _shape(runs: Runs, pixel_size_nm: PixelSize | None) -> dict[str, np.ndarray]:
    """Return sizes in px and nm, and ratios of the true shape."""
    hulls = convex_hulls(runs)
    exits = outline_exits(runs), convex_exits(runs)
    pixels = _sizes(runs, hulls, *exits, scale=(1.0, 1.0))
    if pixel_size_nm is None:
        true, nm = pixels, {name: np.full(runs.ids.size, np.nan) for name in pixels}
    elif pixel_size_nm[0] == pixel_size_nm[1]:
        size = pixel_size_nm[0]
        true = nm = {name: v * (size**2 if name == "area" else size) for name, v in pixels.items()}
    else:
        true = nm = _sizes(runs, hulls, *exits, scale=pixel_size_nm)
    area, diameter, perimeter = true["area"], true["equivalent_diameter"], true["perimeter"]
    columns = {"area_px": runs.area_px, "area_nm2": nm["area"]}
    for name in ("equivalent_diameter", "feret_max", "feret_min", "perimeter", "convex_perimeter"):
        columns |= {f"{name}_px": pixels[name], f"{name}_nm": nm[name]}
    return columns | {
        "aspect_ratio": true["feret_max"] / true["feret_min"],
        "circularity": 4 * np.pi * area / perimeter**2,
        "roundness": 4 * area / (np.pi * true["feret_max"] ** 2),
        "compactness": diameter / true["feret_max"],
        "solidity": runs.area_px / hull_pixels(runs, hulls),
        "convexity": true["convex_perimeter"] / perimeter,
        "extent": area / (true["feret_max"] * true["feret_min"]),
    }


def _sizes(
    runs: Runs,
    hulls: list[np.ndarray],
    exits: np.ndarray,
    hull_exits: np.ndarray,
    *,
    scale: tuple[float, float],
) -> dict[str, np.ndarray]:
    """Return areas and lengths with pixels of the given height and width."""
    area = runs.area_px * (scale[0] * scale[1])
    feret_max, feret_min = feret_diameters(runs, hulls, scale=scale)
    return {
        "area": area,
        "equivalent_diameter": np.sqrt(4 * area / np.pi),
        "feret_max": feret_max,
        "feret_min": feret_min,
        "perimeter": crofton_perimeters(exits, scale=scale),
        "convex_perimeter": crofton_perimeters(hull_exits, scale=scale),
    }
