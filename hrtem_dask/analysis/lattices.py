"""Lattice, zone axis and published features of particles, on reflections that are searched once for each of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from hrtem_dask import backend, fourier, particles
from hrtem_dask.backend import Array
from hrtem_dask.fourier import Reflection
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.settings import Settings

__all__ = ["measure", "measure_lattices", "particle_reflections", "windows_with_margin"]


def particle_reflections(
    prepared: Array, found: particles.Particles, settings: Settings, *, pixel_size_nm: PixelSize | None
) -> list[list[Reflection]] | None:
    """Find the reflections of each particle, weak ones too; lattice, zone axis and classes are measured on these.

    Parameters
    ----------
    prepared : numpy.ndarray or cupy.ndarray
        From `prepare`.
    found : particles.Particles
        From `label`.
    settings : Settings
        Of these, `fourier`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm.

    Returns
    -------
    list of list of Reflection or None
        For each particle, in the order of its row, the reflections of its bounding box with a margin, largest SNR
        first; None where lattices are not measured, or no pixel size is known.
    """
    limits = settings.fourier
    if pixel_size_nm is None or not limits.lattice:
        return None
    image = backend.to_numpy(prepared)
    return [
        fourier.find_reflections(
            image[window],
            pixel_size_nm=pixel_size_nm,
            spacing_range_nm=limits.spacing_range_nm,
            min_peak_snr=min(fourier.NOISE_SNR, fourier.MIN_PEAK_SNR, limits.min_peak_snr),
            min_share_of_strongest=0,
        )
        for window in windows_with_margin(found.particle_rows.boxes(), pixel_size_nm)
    ]


def windows_with_margin(boxes: np.ndarray, pixel_size_nm: PixelSize) -> Iterator[tuple[slice, slice]]:
    """Return the windows in which the lattice of particles or regions is measured.

    Parameters
    ----------
    boxes : numpy.ndarray of int
        Shape (n, 4): bounding boxes.
    pixel_size_nm : tuple of float
        (y, x) in nm.

    Yields
    ------
    tuple of slice
        Rows and columns of a box with a margin of `fourier.MARGIN_NM`, which may reach beyond the image at its end.
    """
    y, x = (int(np.ceil(fourier.MARGIN_NM / size)) for size in pixel_size_nm)
    for y0, x0, y1, x1 in boxes.tolist():
        yield slice(max(y0 - y, 0), y1 + y), slice(max(x0 - x, 0), x1 + x)


def measure(
    prepared: Array, found: particles.Particles, settings: Settings, *, pixel_size_nm: PixelSize | None
) -> pd.DataFrame:
    """Add each particle's power-spectrum features to its row.

    Parameters
    ----------
    prepared : numpy.ndarray or cupy.ndarray
        From `prepare`.
    found : particles.Particles
        From `label`.
    settings : Settings
        Of these, `fourier`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; without one the lattice columns stay null.

    Returns
    -------
    pandas.DataFrame
        Rows of `tables.PARTICLES`.
    """
    reflections = particle_reflections(prepared, found, settings, pixel_size_nm=pixel_size_nm)
    return measure_lattices(prepared, found, settings, reflections, pixel_size_nm=pixel_size_nm).particles


def measure_lattices(
    prepared: Array,
    found: particles.Particles,
    settings: Settings,
    reflections: Sequence[Sequence[Reflection]] | None,
    *,
    pixel_size_nm: PixelSize | None,
) -> particles.Particles:
    """Add each particle's power-spectrum features to its row, without a table.

    Parameters
    ----------
    prepared : numpy.ndarray or cupy.ndarray
        From `prepare`.
    found : particles.Particles
        From `label`.
    settings : Settings
        Of these, `fourier`.
    reflections : sequence of sequence of Reflection or None
        From `particle_reflections`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; without one the lattice columns stay null.

    Returns
    -------
    particles.Particles
        The same, with more columns.
    """
    if not len(found.particle_rows):
        return found
    rows: list[dict[str, float | int | str | None]] = []
    for i, crop in enumerate(_crops(prepared, found)):
        row: dict[str, float | int | str | None] = {**fourier.groschner2021_features(crop)}
        if reflections is None or pixel_size_nm is None:
            row |= dict.fromkeys((*fourier.LATTICE_COLUMNS, *fourier.ZONE_AXIS_COLUMNS))
        else:
            row |= _lattice_row(crop, reflections[i], settings, pixel_size_nm)
        rows.append(row)
    columns = {name: _column([row[name] for row in rows]) for name in rows[0]}
    return replace(found, particle_rows=found.particle_rows.filled(columns))


def _crops(prepared: Array, found: particles.Particles) -> list[np.ndarray]:
    """Return the bounding box of each particle."""
    return list(particles.box_crops(backend.to_numpy(prepared), found.particle_rows.boxes()))


def _column(values: Sequence[float | int | str | None]) -> np.ndarray:
    """Return measured values as an array; None is missing."""
    is_text = any(isinstance(value, str) for value in values)
    return np.array(values, dtype=object if is_text else float)  # of numbers, None becomes NaN


def _lattice_row(
    crop: np.ndarray, reflections: Sequence[Reflection], settings: Settings, pixel_size_nm: PixelSize
) -> dict[str, float | int | str | None]:
    """Measure lattice and zone axis of one particle."""
    limits = settings.fourier
    lattice = fourier.describe_lattice(fourier.stronger_reflections(reflections, min_peak_snr=limits.min_peak_snr))
    return lattice | fourier.measure_zone_axis(
        crop,
        pixel_size_nm=pixel_size_nm,
        material=limits.material,
        spacing_range_nm=limits.spacing_range_nm,
        reflections=[r for r in reflections if r.snr >= fourier.NOISE_SNR],
    )
