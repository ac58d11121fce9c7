"""Particle table and region table of one micrograph, as `hrtem_dask.tables` defines them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.counting import apply_population_rule, touches_edge, touches_mark, touches_outside
from hrtem_dask.particles.runs import find_runs
from hrtem_dask.particles.shape.descriptors import measure_particles
from hrtem_dask.settings import ParticleSettings

__all__ = ["particle_table", "region_table"]


def particle_table(
    labels: np.ndarray,
    image: np.ndarray,
    *,
    regions: np.ndarray,
    split_confidence: np.ndarray,
    pixel_size_nm: PixelSize | None,
    probability: np.ndarray | None = None,
    settings: ParticleSettings,
    marks: np.ndarray | None = None,
    outside: np.ndarray | None = None,
) -> pd.DataFrame:
    """Measure particles and mark those that are counted.

    Parameters
    ----------
    labels : numpy.ndarray of int32
        Shape (y, x), 0 is background, particles numbered from 1.
    image : numpy.ndarray
        Shape (y, x): the raw image.
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
    pandas.DataFrame
        `tables.PARTICLES`; micrograph, sample and lattice columns are null, the fault state unknown.
    """
    table = measure_particles(
        labels,
        image,
        pixel_size_nm=pixel_size_nm,
        probability=probability,
        min_shape_area_px=settings.min_shape_area_px,
    )
    particle_ids = table["particle_id"].to_numpy(dtype=np.int64)
    table = apply_population_rule(
        table,
        settings,
        shape=(labels.shape[0], labels.shape[1]),
        at_mark=touches_mark(labels, marks, particle_ids=particle_ids),
        at_outside=touches_outside(labels, outside, label_ids=particle_ids),
    )
    runs = find_runs(labels)
    table = table.assign(
        region_id=regions[runs.row[runs.first], runs.start[runs.first]],
        split_confidence=split_confidence[runs.ids - 1],
        fault_state="unknown",
    )
    return tables.conform(table, tables.PARTICLES)


def region_table(
    regions: np.ndarray,
    particles: pd.DataFrame,
    *,
    pixel_size_nm: PixelSize | None,
    max_region_area_nm2: float | None,
) -> pd.DataFrame:
    """Describe regions.

    Parameters
    ----------
    regions : numpy.ndarray of int32
        Shape (y, x), 0 is background, regions numbered from 1.
    particles : pandas.DataFrame
        From `particle_table`.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm); None leaves ``area_nm2`` null.
    max_region_area_nm2 : float or None
        A larger region is an agglomeration; None sets no limit.

    Returns
    -------
    pandas.DataFrame
        `tables.REGIONS`; micrograph, sample and probabilities are null. The class is ``agglomeration`` where the
        region holds two or more particles that are not too small, or is larger than the limit, else ``unsure``.
        A speck beside a particle does not make an agglomeration.
    """
    runs = find_runs(regions)
    box = dict(zip(tables.BOX_COLUMNS, runs.boxes.T, strict=True))
    table = pd.DataFrame({"region_id": runs.ids, **box, "area_px": runs.area_px})
    # a region reaches what its particles reach
    cut = particles.loc[particles["touches_edge"].fillna(False).to_numpy(dtype=bool), "region_id"]
    at_border = touches_edge(table, shape=(regions.shape[0], regions.shape[1]))
    table["touches_edge"] = at_border | table["region_id"].isin(cut.to_numpy(dtype=np.int64)).to_numpy()
    pixel_nm2 = np.nan if pixel_size_nm is None else pixel_size_nm[0] * pixel_size_nm[1]
    table["area_nm2"] = table["area_px"] * pixel_nm2
    region_of_particle = particles["region_id"].to_numpy(dtype=np.int64)
    sizable = region_of_particle[(particles["exclusion_reason"] != "too_small").fillna(True).to_numpy(dtype=bool)]
    length = int(runs.ids.max(initial=0)) + 1
    table["n_particles"] = np.bincount(region_of_particle, minlength=length)[runs.ids]
    several = np.bincount(sizable, minlength=length)[runs.ids] >= 2
    large = table["area_nm2"].to_numpy() > (np.inf if max_region_area_nm2 is None else max_region_area_nm2)
    table["region_class"] = np.where(several | large, "agglomeration", "unsure")
    return tables.conform(table, tables.REGIONS)
