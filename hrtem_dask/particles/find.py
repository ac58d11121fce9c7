"""The particles stage as a whole: a mask or corrected labels in, particle labels and tables out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from hrtem_dask import backend, tables
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.assembly import particle_rows, region_rows
from hrtem_dask.particles.certainty import certain_pieces
from hrtem_dask.particles.components import label_pieces, renumber
from hrtem_dask.particles.counting import counting_limit_px
from hrtem_dask.particles.holes import fill_particle_holes, fill_within_particles
from hrtem_dask.particles.morphology import clean_mask
from hrtem_dask.particles.outlines.half_way import move_outlines_half_way
from hrtem_dask.particles.regions import bridge_gaps, join_regions, label_regions
from hrtem_dask.particles.runs import Runs, find_runs
from hrtem_dask.particles.small_particles import keep_small_particles
from hrtem_dask.particles.split import particle_core, split_touching
from hrtem_dask.settings import ParticleSettings

__all__ = ["Particles", "find_particles", "measure_labels"]


@dataclass(frozen=True)
class Particles:
    """Regions and particles of one micrograph."""

    labels: np.ndarray
    """Particle labels, int32, shape (y, x), 0 is background; particles numbered from 1 in raster order."""
    region_rows: tables.Rows
    """One row per region, as `tables.REGIONS` defines it; micrograph, sample and probabilities are null."""
    particle_rows: tables.Rows
    """One row per particle, as `tables.PARTICLES` defines it; micrograph, sample and lattice columns are null."""
    n_removed: int = 0
    """Objects below the counting limit that the cleaning removed whole: they have no row, see `n_too_small`."""
    n_uncertain: int = 0
    """Objects from the counting limit on that the network is not sure of: they have no row."""

    @property
    def n_too_small(self) -> int:
        """Number of objects below the counting limit, with and without a row."""
        return self.n_removed + int((self.particle_rows.texts("exclusion_reason") == "too_small").sum())

    @property
    def regions(self) -> pd.DataFrame:
        """`region_rows` as a table; it takes milliseconds to make."""
        return self.region_rows.table()

    @property
    def particles(self) -> pd.DataFrame:
        """`particle_rows` as a table; it takes milliseconds to make."""
        return self.particle_rows.table()


def find_particles(
    mask: np.ndarray,
    image: np.ndarray,
    settings: ParticleSettings | None = None,
    *,
    pixel_size_nm: PixelSize | None,
    probability: np.ndarray | None = None,
    marks: np.ndarray | None = None,
    outside: np.ndarray | None = None,
) -> Particles:
    """Find, split and measure the particles of one mask, and decide which of them are counted.

    The mask is cleaned on the device where it is. Labels and tables are made on the host, because cuCIM has no
    watershed and copying one mask costs little.

    Parameters
    ----------
    mask : numpy.ndarray or cupy.ndarray of bool
        Shape (y, x), True on particles.
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype: the raw image.
    settings : ParticleSettings, optional
        Radii of the cleaning, limits of size, whether holes are filled and touching particles are split, and where
        outlines run. By default
        ``ParticleSettings()``.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm). Without it (None) the ``*_nm`` columns are null, no gap is bridged, and
        limits in nm² do not apply.
    probability : numpy.ndarray or cupy.ndarray, optional
        Shape (y, x), 0 to 1: particle probability.
    marks : numpy.ndarray of bool, optional
        Shape (y, x): burnt-in marks. They hold no particle, and a particle that reaches one is not
        counted, as at the border of the image.
    outside : numpy.ndarray of bool, optional
        Shape (y, x): pixels that are no image, from `filtering.find_outside`. They hold no particle, and a particle
        that reaches them reaches the edge.

    Returns
    -------
    Particles
        Labels, region table and particle table; for an empty mask the tables are empty, with the same columns and
        dtypes.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    The true mask of a simulated micrograph holds two particles, both of them counted:

    >>> from hrtem_dask.particles import find_particles
    >>> from hrtem_dask.simulation import simulate_scene
    >>> scene = simulate_scene(seed=1, shape=(256, 256), n_particles=2)
    >>> found = find_particles(scene.labels > 0, scene.image, pixel_size_nm=(0.03, 0.03))
    >>> len(found.particles), int(found.labels.max())
    (2, 2)
    >>> bool(found.particles["counted"].all())
    True
    """
    settings = settings or ParticleSettings()
    _check_shapes("the mask has", mask, image, probability, marks)
    closed = marks if outside is None else outside if marks is None else marks | outside
    if closed is not None:
        mask = mask & ~backend.array_namespace(mask).asarray(closed)
    host_mask = backend.to_numpy(mask).astype(bool, copy=False)  # each array is copied from a GPU once
    probability = None if probability is None else backend.to_numpy(probability)
    core = None
    if probability is not None and settings.split_by_probability:
        core = particle_core(probability, host_mask)
    cleaned, n_removed = _cleaned(mask, host_mask, settings, pixel_size_nm)
    pieces, runs_of_pieces = label_pieces(cleaned)
    n_uncertain = 0
    if probability is not None and settings.min_mean_probability:
        pieces, runs_of_pieces, n_uncertain, n_small = certain_pieces(
            pieces,
            runs_of_pieces,
            probability,
            host_mask,
            min_mean_probability=settings.min_mean_probability,
            min_area_px=counting_limit_px(settings, pixel_size_nm),
        )
        n_removed += n_small
    labels, regions, confidence = _split(pieces, runs_of_pieces, core, settings, pixel_size_nm)
    if settings.fill_holes:
        labels, regions = fill_within_particles(labels, regions)
    if settings.outline == "half":
        region_of = np.zeros(int(labels.max(initial=0)) + 1, dtype=regions.dtype)
        region_of[labels] = regions
        labels = move_outlines_half_way(labels, backend.to_numpy(image))
        regions = region_of[labels]
    if closed is not None:
        labels, regions, confidence = _without_marks(labels, regions, confidence, closed)
    runs = runs_of_pieces if labels is pieces else find_runs(labels)
    particles = particle_rows(
        labels,
        backend.to_numpy(image),
        runs=runs,
        regions=regions,
        split_confidence=confidence,
        pixel_size_nm=pixel_size_nm,
        probability=probability,
        settings=settings,
        marks=marks,
        outside=outside,
    )
    if regions is not labels:
        runs = runs_of_pieces if regions is pieces else find_runs(regions)
    found = _with_regions(labels, particles, regions, runs, settings, pixel_size_nm=pixel_size_nm)
    return replace(found, n_removed=n_removed, n_uncertain=n_uncertain)


def measure_labels(
    labels: np.ndarray,
    image: np.ndarray,
    settings: ParticleSettings | None = None,
    *,
    pixel_size_nm: PixelSize | None,
    probability: np.ndarray | None = None,
    marks: np.ndarray | None = None,
    outside: np.ndarray | None = None,
) -> Particles:
    """Measure particles whose labels are given, such as those corrected by hand, and decide which are counted.

    Each value of the labels is one particle, exactly as it is drawn: nothing is cleaned, filled, split or joined. The
    numbering of particles and regions, the measurements and the rule of what is counted are those of `find_particles`.

    Parameters
    ----------
    labels : numpy.ndarray of int
        Shape (y, x), 0 is background; the numbers of particles need not be consecutive.
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype: the raw image.
    settings : ParticleSettings, optional
        Its `bridge_gap_nm` and the limits of size are used. By default ``ParticleSettings()``.
    pixel_size_nm : tuple of float or None
        Height and width of a pixel (nm); see `find_particles`.
    probability : numpy.ndarray or cupy.ndarray, optional
        Shape (y, x), 0 to 1: particle probability.
    marks : numpy.ndarray of bool, optional
        Shape (y, x): burnt-in marks. The labels stay as they are drawn; a particle that reaches a mark
        is not counted.
    outside : numpy.ndarray of bool, optional
        Shape (y, x): pixels that are no image. A particle that reaches them reaches the edge.

    Returns
    -------
    Particles
        Labels renumbered from 1 in raster order, and the tables; ``split_confidence`` is null, because no watershed
        made the cuts.

    Raises
    ------
    ValueError
        If the shapes differ or a label is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.particles import measure_labels
    >>> labels = np.zeros((60, 60), dtype=int)
    >>> labels[10:30, 10:40] = 7  # a particle drawn by hand, 20 px high and 30 px wide
    >>> found = measure_labels(labels, np.zeros((60, 60)), pixel_size_nm=(0.1, 0.1))
    >>> found.particles[["particle_id", "area_px", "counted"]].values.tolist()
    [[1, 600, True]]
    """
    settings = settings or ParticleSettings()
    _check_shapes("the labels have", labels, image, probability, marks)
    if labels.min(initial=0) < 0:
        raise ValueError(f"labels must be 0 (background) or above, got {labels.min()}")
    labels = renumber(labels)
    regions = label_regions(labels > 0, pixel_size_nm=pixel_size_nm, bridge_gap_nm=settings.bridge_gap_nm)
    regions = join_regions(regions, labels)
    particles = particle_rows(
        labels,
        backend.to_numpy(image),
        runs=find_runs(labels),
        regions=regions,
        split_confidence=np.full(int(labels.max(initial=0)), np.nan),
        pixel_size_nm=pixel_size_nm,
        probability=None if probability is None else backend.to_numpy(probability),
        settings=settings,
        marks=marks,
        outside=outside,
    )
    return _with_regions(labels, particles, regions, find_runs(regions), settings, pixel_size_nm=pixel_size_nm)


def _cleaned(
    mask: np.ndarray, host_mask: np.ndarray, settings: ParticleSettings, pixel_size_nm: PixelSize | None
) -> tuple[np.ndarray, int]:
    """Return the cleaned mask, on the host, and the number of objects below the limit that are not in it."""
    cleaned = clean_mask(
        mask,
        opening_radius_px=settings.opening_radius_px,
        closing_radius_px=settings.closing_radius_px,
        fill_holes=False,
    )
    cleaned, n_removed = keep_small_particles(
        host_mask,
        backend.to_numpy(cleaned),
        min_area_px=counting_limit_px(settings, pixel_size_nm),
        max_area_px=settings.min_shape_area_px,
    )
    if settings.fill_holes:
        cleaned = fill_particle_holes(
            cleaned,
            min_confidence=settings.split_min_confidence,
            min_part_area_px=_part_px(settings),
            pixel_size_nm=pixel_size_nm,
        )
    return cleaned, n_removed


def _split(
    pieces: np.ndarray,
    runs: Runs,
    core: np.ndarray | None,
    settings: ParticleSettings,
    pixel_size_nm: PixelSize | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the particles of a cleaned mask, the regions that they belong to, and the confidence of their cuts."""
    regions = bridge_gaps(pieces, runs, pixel_size_nm=pixel_size_nm, gap_nm=settings.bridge_gap_nm)
    if not settings.split_touching:
        return regions, regions, np.full(int(regions.max(initial=0)), np.nan)
    labels, confidence = split_touching(
        regions,
        min_confidence=settings.split_min_confidence,
        min_part_area_px=_part_px(settings),
        pixel_size_nm=pixel_size_nm,
        core=core,
        min_core_part_area_px=min(counting_limit_px(settings, pixel_size_nm), _part_px(settings)),
        pieces=pieces,
        runs=runs,
    )
    return labels, regions, confidence


def _part_px(settings: ParticleSettings) -> float:
    """Return the smallest area (px) of a part that is cut off where the outline alone shows a neck."""
    return max(settings.min_area_px, settings.min_shape_area_px)


def _without_marks(
    labels: np.ndarray, regions: np.ndarray, confidence: np.ndarray, marks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take out again what closing and filling have grown into (`marks`: also what is no image), and number the rest."""
    labels, regions = np.where(marks, 0, labels), np.where(marks, 0, regions)
    renumbered = renumber(labels)
    runs = find_runs(renumbered)
    earlier = labels[runs.row[runs.first], runs.start[runs.first]]
    return renumbered, renumber(regions), confidence[earlier - 1]


def _check_shapes(
    subject: str, first: np.ndarray, image: np.ndarray, probability: np.ndarray | None, marks: np.ndarray | None
) -> None:
    """Raise ValueError where the image, the probability or the marks have another shape."""
    for name, other in (("image", image), ("probability", probability), ("marks", marks)):
        if other is not None and other.shape != first.shape:
            raise ValueError(f"{subject} shape {first.shape} and the {name} {other.shape}: they must be equal")


def _with_regions(
    labels: np.ndarray,
    particles: tables.Rows,
    regions: np.ndarray,
    runs: Runs,
    settings: ParticleSettings,
    *,
    pixel_size_nm: PixelSize | None,
) -> Particles:
    """Add the regions, whose runs are given, to the particles."""
    rows = region_rows(
        regions, particles, runs=runs, pixel_size_nm=pixel_size_nm, max_region_area_nm2=settings.max_region_area_nm2
    )
    return Particles(labels=labels, region_rows=rows, particle_rows=particles)
