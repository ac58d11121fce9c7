"""Rows of particles and of regions of one micrograph, as `hrtem_dask.tables` defines them."""

from __future__ import annotations

import numpy as np

from hrtem_dask import tables
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.counting import population_rule, touches_edge, touches_mark, touches_outside
from hrtem_dask.particles.runs import Runs, find_runs
from hrtem_dask.particles.shape.descriptors import measured_columns
from hrtem_dask.settings import ParticleSettings

__all__ = ["particle_rows", "region_rows", "unclassified_regions"]


def particle_rows(
    labels: np.ndarray,
    image: np.ndarray,
    *,
    runs: Runs | None = None,
    regions: np.ndarray,
    split_confidence: np.ndarray,
    pixel_size_nm: PixelSize | None,
    probability: np.ndarray | None = None,
    settings: ParticleSettings,
    marks: np.ndarray | None = None,
    outside: np.ndarray | None = None,
) -> tables.Rows:
    """Measure particles and mark those that are counted.

    Parameters
    ----------
    labels : numpy.ndarray of int32
        Shape (y, x), 0 is background, particles numbered from 1.
    image : numpy.ndarray
        Shape (y, x): the raw image.
    runs : Runs, optional
        Runs of the labels, where they are known already.
    regions : numpy.ndarray of int32
        Shape (y, x): number of the region that each pixel belongs to.
    split_confidence : numpy.ndarray of float64
        Shape (n,), for particles 1, 2, …, from `split_touching`.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm); None leaves ``*_nm`` null.
    probability : numpy.ndarray, optional
        Shape (y, x), 0 to 1: particle probability.
    settings : ParticleSettings
        Its `min_area_px`, `min_area_nm2` and `max_region_area_nm2` decide which particles are counted, and
        `min_shape_area_px` which have shape descriptors.
    marks : numpy.ndarray of bool, optional
        Shape (y, x): burnt-in marks.
    outside : numpy.ndarray of bool, optional
        Shape (y, x): pixels that are no image.

    Returns
    -------
    tables.Rows
        Of `tables.PARTICLES`; micrograph, sample and lattice columns are null, the fault state unknown.
    """
    runs = find_runs(labels) if runs is None else runs
    columns = measured_columns(
        labels,
        image,
        pixel_size_nm=pixel_size_nm,
        probability=probability,
        min_shape_area_px=settings.min_shape_area_px,
        runs=runs,
    )
    columns |= population_rule(
        columns,
        settings,
        shape=(labels.shape[0], labels.shape[1]),
        at_mark=touches_mark(labels, marks, particle_ids=runs.ids),
        at_outside=touches_outside(labels, outside, label_ids=runs.ids),
    )
    columns |= {
        "region_id": regions[runs.row[runs.first], runs.start[runs.first]].astype(np.int64),
        "split_confidence": split_confidence[runs.ids - 1],
        "fault_state": np.full(runs.ids.size, "unknown", dtype=object),
    }
    return tables.Rows(tables.PARTICLES, runs.ids.size).filled(columns)


def region_rows(
    regions: np.ndarray,
    particles: tables.Rows,
    *,
    runs: Runs | None = None,
    pixel_size_nm: PixelSize | None,
    max_region_area_nm2: float | None,
) -> tables.Rows:
    """Describe regions.

    Parameters
    ----------
    regions : numpy.ndarray of int32
        Shape (y, x), 0 is background, regions numbered from 1.
    particles : tables.Rows
        From `particle_rows`.
    runs : Runs, optional
        Runs of the regions, where they are known already.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm); None leaves ``area_nm2`` null.
    max_region_area_nm2 : float or None
        A larger region is an agglomeration; None sets no limit.

    Returns
    -------
    tables.Rows
        Of `tables.REGIONS`; micrograph, sample and probabilities are null. The class is ``agglomeration`` where the
        region holds two or more particles that are not too small, or is larger than the limit, else ``unsure``.
        A speck beside a particle does not make an agglomeration.
    """
    runs = find_runs(regions) if runs is None else runs
    box = dict(zip(tables.BOX_COLUMNS, runs.boxes.T, strict=True))
    region_of_particle = particles.integers("region_id")
    # a region reaches what its particles reach
    cut = region_of_particle[particles.flags("touches_edge")]
    at_border = touches_edge(box, shape=(regions.shape[0], regions.shape[1]))
    area_nm2 = runs.area_px * (np.nan if pixel_size_nm is None else pixel_size_nm[0] * pixel_size_nm[1])
    length = int(runs.ids.max(initial=0)) + 1
    columns = {
        "region_id": runs.ids,
        **box,
        "area_px": runs.area_px,
        "touches_edge": at_border | np.isin(runs.ids, cut),
        "area_nm2": area_nm2,
        "n_particles": np.bincount(region_of_particle, minlength=length)[runs.ids],
        "region_class": unclassified_regions(runs.ids, area_nm2, particles, max_region_area_nm2=max_region_area_nm2),
    }
    return tables.Rows(tables.REGIONS, runs.ids.size).filled(columns)


def unclassified_regions(
    region_ids: np.ndarray, area_nm2: np.ndarray, particles: tables.Rows, *, max_region_area_nm2: float | None
) -> np.ndarray:
    """Return the classes of regions before a classifier has looked at them.

    Parameters
    ----------
    region_ids : numpy.ndarray of int
        Shape (n,), numbers of the regions.
    area_nm2 : numpy.ndarray of float
        Shape (n,), their areas (nm²), NaN where the pixel size is not known.
    particles : tables.Rows
        From `particle_rows`.
    max_region_area_nm2 : float or None
        A larger region is an agglomeration; None sets no limit.

    Returns
    -------
    numpy.ndarray of object
        Shape (n,): ``agglomeration`` or ``unsure``.
    """
    sizable = particles.integers("region_id")[particles.texts("exclusion_reason") != "too_small"]
    several = np.bincount(sizable, minlength=int(region_ids.max(initial=0)) + 1)[region_ids] >= 2
    large = area_nm2 > (np.inf if max_region_area_nm2 is None else max_region_area_nm2)
    return np.where(several | large, "agglomeration", "unsure").astype(object)
