"""Label images and truth tables, from the particles and their positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.simulation.imaging.camera import Camera
from hrtem_dask.simulation.imaging.optics import Optics
from hrtem_dask.simulation.particles import inside_hull
from hrtem_dask.simulation.placement import Placed
from hrtem_dask.simulation.regions import region_rows, true_regions
from hrtem_dask.simulation.truth import (
    TRUTH_MICROGRAPHS,
    TRUTH_PARTICLES,
    TRUTH_REGIONS,
    SimulatedMicrograph,
    Values,
)

__all__ = ["Conditions", "is_ordinary_imaging", "with_truth"]

EXPERT_RESOLUTION_NM = 0.2
"""Side of the squares in which shot noise is compared with contrast."""
MIN_ORDINARY_DEFOCUS_NM = 15.0
MAX_ORDINARY_DRIFT_NM = 0.08
_OPTICS = ("voltage_kv", "defocus_nm", "cs_mm", "astigmatism_nm", "coma_nm", "focal_spread_nm", "aperture_per_nm")
_CAMERA = ("vibration_nm", "drift_nm", "dose_per_nm2", "electrons_per_px", "gradient", "n_spikes")


def is_ordinary_imaging(*, defocus_nm: float, drift_nm: float) -> bool:
    """Decide whether imaging is ordinary; only then regions can be clear.

    Parameters
    ----------
    defocus_nm : float
        Defocus (nm), of either sign.
    drift_nm : float
        Drift of the specimen during the exposure (nm).

    Returns
    -------
    bool
        True for at least 15 nm of defocus and at most 0.08 nm of drift.
    """
    return abs(defocus_nm) >= MIN_ORDINARY_DEFOCUS_NM and drift_nm <= MAX_ORDINARY_DRIFT_NM


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Imaging conditions of a micrograph."""

    optics: Optics
    """Settings of the lens."""
    camera: Camera
    """Settings of the camera."""
    carbon_thickness_nm: float
    """Mean thickness of the film (nm)."""
    carbon_contrast: float
    """Standard deviation of the noise-free image of the film over its mean."""

    @property
    def is_ordinary(self) -> bool:
        """Whether the imaging is ordinary: some defocus, little drift."""
        return is_ordinary_imaging(defocus_nm=self.optics.defocus_nm, drift_nm=self.camera.drift_nm)

    @property
    def noise(self) -> float:
        """Standard deviation of carbon contrast and shot noise together, relative to the mean."""
        return float(np.sqrt(self.carbon_contrast**2 + 1 / (self.camera.dose_per_nm2 * EXPERT_RESOLUTION_NM**2)))


def with_truth(
    image: np.ndarray,
    placed: Sequence[Placed],
    bare: np.ndarray | None,
    conditions: Conditions,
    row: Values,
) -> SimulatedMicrograph:
    """Draw the labels and make the truth tables.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), uint16.
    placed : sequence of Placed
        Particles and their positions; a later particle covers earlier ones.
    bare : numpy.ndarray or None
        Shape (y, x): image of the particles without carbon and noise; None for an empty field.
    conditions : Conditions
        Imaging conditions.
    row : dict
        Values of the columns micrograph_id, seed, index and material.

    Returns
    -------
    SimulatedMicrograph
        Image, labels and tables.
    """
    pixel = conditions.camera.pixel_size_nm
    labels, particles = _particles(image.shape, placed, bare, conditions)
    region_labels = true_regions(labels > 0, pixel)
    regions = pd.DataFrame()
    if len(particles):
        particles = _with_regions(particles, labels, region_labels)
        regions = region_rows(region_labels, particles, pixel_size_nm=pixel, ordinary=conditions.is_ordinary)
    micrograph: Values = {
        **row,
        "material": row["material"] if len(particles) else None,
        "height_px": image.shape[0],
        "width_px": image.shape[1],
        "pixel_size_nm": pixel,
        "n_particles": len(particles),
        "n_regions": len(regions),
        "coverage": float((labels > 0).mean()),
        **{name: getattr(conditions.optics, name) for name in _OPTICS},
        **{name: getattr(conditions.camera, name) for name in _CAMERA},
        "carbon_thickness_nm": conditions.carbon_thickness_nm,
        "carbon_contrast": conditions.carbon_contrast,
    }
    name = str(row["micrograph_id"])
    return SimulatedMicrograph(
        micrograph_id=name,
        image=image,
        pixel_size_nm=pixel,
        labels=labels,
        region_labels=region_labels,
        micrograph=_table(pd.DataFrame([micrograph]), TRUTH_MICROGRAPHS, name),
        particles=_table(particles, TRUTH_PARTICLES, name),
        regions=_table(regions, TRUTH_REGIONS, name),
    )


def _table(table: pd.DataFrame, schema: tables.Schema, micrograph_id: str) -> pd.DataFrame:
    """Bring a table to its schema."""
    if table.empty:
        return tables.empty(schema)
    named = table.assign(micrograph_id=micrograph_id)[[c.name for c in schema]]
    return tables.conform(named.reset_index(drop=True), schema)


def _particles(
    shape: tuple[int, ...], placed: Sequence[Placed], bare: np.ndarray | None, conditions: Conditions
) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the instance labels, and a row per particle that reaches into the image."""
    pixel = conditions.camera.pixel_size_nm
    labels = np.zeros(shape, np.int32)
    rows: list[Values] = []
    for one in placed:
        window, inside = inside_hull(one.particle, one.center_nm, (shape[0], shape[1]), pixel)
        area = int(inside.sum())
        if area == 0 or bare is None:
            continue  # the box of the particle reaches into the image, its outline does not
        labels[window][inside] = len(rows) + 1
        rows.append(
            {
                **one.particle.truth,
                "particle_id": len(rows) + 1,
                "centre_y_nm": one.center_nm[0],
                "centre_x_nm": one.center_nm[1],
                "area_px": area,
                "area_nm2": area * pixel**2,
                "equivalent_diameter_nm": 2 * np.sqrt(area / np.pi) * pixel,
                "touches_edge": _touches_edge(window, inside, shape),
                "visibility": float(bare[window][inside].std() / conditions.noise),
            }
        )
    return labels, pd.DataFrame(rows)


def _touches_edge(window: tuple[slice, slice], inside: np.ndarray, shape: tuple[int, ...]) -> bool:
    """Return whether a particle reaches the border of the image."""
    rows, columns = np.asarray(inside.any(1)), np.asarray(inside.any(0))
    first = (rows[0] and window[0].start == 0) or (columns[0] and window[1].start == 0)
    last = (rows[-1] and window[0].stop == shape[0]) or (columns[-1] and window[1].stop == shape[1])
    return bool(first or last)


def _with_regions(particles: pd.DataFrame, labels: np.ndarray, region_labels: np.ndarray) -> pd.DataFrame:
    """Add the region of each particle; leave out particles that others cover completely."""
    region_of = {i: _main_region(region_labels, labels == i) for i in particles["particle_id"]}
    regions = particles["particle_id"].map(region_of)
    seen = particles[regions > 0].assign(region_id=regions[regions > 0])
    return seen.assign(is_agglomerated=seen.groupby("region_id")["particle_id"].transform("size") > 1)


def _main_region(region_labels: np.ndarray, inside: np.ndarray) -> int:
    """Return the region of the visible part of a particle; 0 if nothing of it is visible."""
    values = region_labels[inside]
    return int(np.bincount(values).argmax()) if values.size else 0
