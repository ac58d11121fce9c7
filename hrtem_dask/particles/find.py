"""The particles stage as a whole: mask, or labels corrected by hand, in; labels and tables out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask import backend
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.assembly import particle_table, region_table
from hrtem_dask.particles.components import renumber
from hrtem_dask.particles.holes import fill_particle_holes, fill_within_particles
from hrtem_dask.particles.morphology import clean_mask
from hrtem_dask.particles.regions import join_regions, label_regions
from hrtem_dask.particles.split import split_touching

__all__ = ["Particles", "find_particles", "measure_labels"]


@dataclass(frozen=True)
class Particles:
    """What was found in one micrograph."""

    labels: np.ndarray
    """Particle labels, int32, shape (y, x), 0 is background; particles numbered from 1 in raster order."""
    regions: pd.DataFrame
    """One row per region, as `tables.REGIONS` says; micrograph, sample and probabilities are null."""
    particles: pd.DataFrame
    """One row per particle, as `tables.PARTICLES` says; micrograph, sample and lattice columns are null."""


def find_particles(
    mask: Any,
    image: Any,
    *,
    pixel_size_nm: PixelSize | None,
    probability: Any | None = None,
    opening_radius_px: int = 2,
    closing_radius_px: int = 2,
    fill_holes: bool = True,
    bridge_gap_nm: float = 0.4,
    min_area_px: int = 100,
    min_area_nm2: float = 0.5,
    max_region_area_nm2: float | None = None,
    split_touching: bool = True,
    split_min_confidence: float = 0.2,
) -> Particles:
    """Find, split, measure and judge the particles of one mask.

    The mask is cleaned where it is; labels and tables are made on the host, since the watershed has no GPU twin
    (cuCIM offers none) and one copy of a mask costs little.

    Parameters
    ----------
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x), True where particle.
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype: the raw image.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm). None leaves ``*_nm`` null, bridges no gap and passes over limits in nm².
    probability : numpy.ndarray or cupy.ndarray, optional
        Shape (y, x), 0 to 1: particle probability.
    opening_radius_px, closing_radius_px : int
        Radii (px) of the disks of opening and closing; 0 turns either off.
    fill_holes : bool
        Fill holes that are enclosed by one particle; the gaps that a cluster of particles encloses stay open.
    bridge_gap_nm : float
        Pieces nearer than this (nm) are one region.
    min_area_px, min_area_nm2 : float
        Smaller particles are kept, not counted; nor is a smaller part than `min_area_px` split off.
    max_region_area_nm2 : float or None
        Limit (nm²) beyond which a region is an agglomeration, and a particle that could not be split below it is
        not counted; None sets none.
    split_touching : bool
        Split touching particles; otherwise each region is one particle.
    split_min_confidence : float
        Least confidence of a split, 0 to 1.

    Returns
    -------
    Particles
        Labels, region table and particle table; empty tables of the same columns and dtypes for an empty mask.

    Raises
    ------
    ValueError
        If shapes differ or a setting is out of its range.
    """
    for name, other in (("image", image), ("probability", probability)):
        if other is not None and other.shape != mask.shape:
            raise ValueError(f"the mask has shape {mask.shape} and the {name} {other.shape}: they must be equal")
    cleaned = clean_mask(
        mask, opening_radius_px=opening_radius_px, closing_radius_px=closing_radius_px, fill_holes=False
    )
    if fill_holes:
        cleaned = fill_particle_holes(
            backend.to_numpy(cleaned),
            min_confidence=split_min_confidence,
            min_part_area_px=min_area_px,
            pixel_size_nm=pixel_size_nm,
        )
    regions = label_regions(cleaned, pixel_size_nm=pixel_size_nm, bridge_gap_nm=bridge_gap_nm)
    if split_touching:
        labels, confidence = _split(
            regions,
            min_confidence=split_min_confidence,
            min_part_area_px=min_area_px,
            pixel_size_nm=pixel_size_nm,
        )
    else:
        labels, confidence = regions, np.full(int(regions.max(initial=0)), np.nan)
    if fill_holes:
        labels, regions = fill_within_particles(labels, regions)
    return _measured(
        labels,
        image,
        regions=regions,
        split_confidence=confidence,
        pixel_size_nm=pixel_size_nm,
        probability=probability,
        min_area_px=min_area_px,
        min_area_nm2=min_area_nm2,
        max_region_area_nm2=max_region_area_nm2,
    )


def measure_labels(
    labels: np.ndarray,
    image: Any,
    *,
    pixel_size_nm: PixelSize | None,
    probability: Any | None = None,
    bridge_gap_nm: float = 0.4,
    min_area_px: int = 100,
    min_area_nm2: float = 0.5,
    max_region_area_nm2: float | None = None,
) -> Particles:
    """Measure and judge particles that are given, such as those corrected by hand.

    Each value is one particle as it is drawn: nothing is cleaned, filled, split or joined. Numbers of particles and
    regions, measures and the rule of what is counted are those of `find_particles`.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x), 0 is background, any numbers above.
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype: the raw image.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm); see `find_particles`.
    probability : numpy.ndarray or cupy.ndarray, optional
        Shape (y, x), 0 to 1: particle probability.
    bridge_gap_nm : float
        Pieces nearer than this (nm) are one region.
    min_area_px, min_area_nm2 : float
        Smaller particles are kept, not counted.
    max_region_area_nm2 : float or None
        As for `find_particles`.

    Returns
    -------
    Particles
        Labels renumbered from 1 in raster order, and the tables; ``split_confidence`` is null, since who cut was no
        watershed.

    Raises
    ------
    ValueError
        If shapes differ or a label is negative.
    """
    for name, other in (("image", image), ("probability", probability)):
        if other is not None and other.shape != labels.shape:
            raise ValueError(f"the labels have shape {labels.shape} and the {name} {other.shape}: they must be equal")
    if labels.min(initial=0) < 0:
        raise ValueError(f"labels must be 0 (background) or above, got {labels.min()}")
    labels = renumber(labels)
    regions = label_regions(labels > 0, pixel_size_nm=pixel_size_nm, bridge_gap_nm=bridge_gap_nm)
    return _measured(
        labels,
        image,
        regions=join_regions(regions, labels),
        split_confidence=np.full(int(labels.max(initial=0)), np.nan),
        pixel_size_nm=pixel_size_nm,
        probability=probability,
        min_area_px=min_area_px,
        min_area_nm2=min_area_nm2,
        max_region_area_nm2=max_region_area_nm2,
    )


def _measured(
    labels: np.ndarray,
    image: Any,
    *,
    regions: np.ndarray,
    split_confidence: np.ndarray,
    pixel_size_nm: PixelSize | None,
    probability: Any | None,
    min_area_px: int,
    min_area_nm2: float,
    max_region_area_nm2: float | None,
) -> Particles:
    """Make the tables of labelled particles and regions."""
    particles = particle_table(
        labels,
        backend.to_numpy(image),
        regions=regions,
        split_confidence=split_confidence,
        pixel_size_nm=pixel_size_nm,
        probability=None if probability is None else backend.to_numpy(probability),
        min_area_px=min_area_px,
        min_area_nm2=min_area_nm2,
        max_region_area_nm2=max_region_area_nm2,
    )
    table = region_table(regions, particles, pixel_size_nm=pixel_size_nm, max_region_area_nm2=max_region_area_nm2)
    return Particles(labels=labels, regions=table, particles=particles)


_split = split_touching  # under another name, since a setting bears this one
