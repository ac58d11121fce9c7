"""A field that one crystal fills: whether it is one, and its rows of windows and fault traces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hrtem_dask import backend, fourier, tables
from hrtem_dask.analysis.stages import prepare
from hrtem_dask.errors import CalibrationError
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.settings import Settings

__all__ = ["CrystalAnalysis", "analyse_crystal", "crystal_rows", "is_one_crystal"]


@dataclass(frozen=True)
class CrystalAnalysis:
    """Lattice and faults of a field that one crystal fills."""

    windows: pd.DataFrame
    """Rows of `tables.WINDOWS`, without the columns that the caller knows (micrograph_id, sample)."""
    fault_traces: pd.DataFrame
    """Rows of `tables.FAULT_TRACES`, without the columns that the caller knows."""

    @property
    def summary(self) -> str:
        """What the field holds, in words."""
        n_faulted = int(self.windows["fault_kind"].notna().sum())
        return f"one crystal: {len(self.windows)} windows, {n_faulted} with a fault"


def analyse_crystal(
    image: np.ndarray, *, pixel_size_nm: PixelSize | float, settings: Settings | None = None
) -> CrystalAnalysis:
    """Measure lattice spacings, zone axis and faults over a field of one crystal.

    The field is taken as one crystal without a check; `fourier.crystal_cover` checks it, as a run does.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype, as it is in the file; not modified.
    pixel_size_nm : tuple of float or float
        Height and width of a pixel (nm); one number for square pixels.
    settings : Settings, optional
        Of these, `filtering`, `fourier` and `execution.device`; ``fourier.material`` gives the zone axis.

    Returns
    -------
    CrystalAnalysis
        One row per window, and one per fault.

    Raises
    ------
    CalibrationError
        If a pixel size is not positive and finite, or coarser than half of the largest lattice spacing.
    ValueError
        If no pixel is finite.

    Examples
    --------
    A square lattice whose right part is displaced by half a spacing:

    >>> import numpy as np
    >>> import hrtem_dask as hd
    >>> y, x = 0.04 * np.mgrid[:200, :200]
    >>> image = np.cos(2 * np.pi * x / 0.3) + np.cos(2 * np.pi * y / 0.3 + np.pi * (x > 4.0))
    >>> image += np.random.default_rng(0).normal(0, 0.5, image.shape)
    >>> found = hd.analyse_crystal(image, pixel_size_nm=0.04)
    >>> found.summary
    'one crystal: 9 windows, 9 with a fault'
    >>> found.fault_traces[["fault_kind", "end_1_x_nm", "length_nm"]].round(1)
           fault_kind  end_1_x_nm  length_nm
    0  stacking_fault         4.0        8.0
    """
    pixel = (float(pixel_size_nm),) * 2 if isinstance(pixel_size_nm, int | float) else pixel_size_nm
    chosen = settings or Settings()
    coarsest = chosen.fourier.spacing_range_nm[1] / 2
    if not all(0 < size <= coarsest for size in pixel):
        raise CalibrationError(
            f"a lattice of {chosen.fourier.spacing_range_nm} nm needs pixels of at most {coarsest:g} nm, got (y, x) = "
            f"{pixel} nm: state the right pixel size, or change fourier.spacing_range_nm"
        )
    prepared, _ = prepare(image, chosen)
    return crystal_rows(backend.to_numpy(prepared), chosen, pixel_size_nm=(pixel[0], pixel[1]))


def is_one_crystal(prepared: np.ndarray, settings: Settings, *, pixel_size_nm: PixelSize | None) -> bool:
    """Judge whether one crystal fills a micrograph.

    Parameters
    ----------
    prepared : numpy.ndarray
        Shape (y, x), float32: the prepared image.
    settings : Settings
        Of these, `fourier`.
    pixel_size_nm : tuple of float or None
        (y, x) in nm; without it the answer is no.

    Returns
    -------
    bool
        Whether it does.
    """
    return fourier.crystal_cover(
        prepared, pixel_size_nm=pixel_size_nm, spacing_range_nm=settings.fourier.spacing_range_nm
    ).is_one_crystal


def crystal_rows(prepared: np.ndarray, settings: Settings, *, pixel_size_nm: PixelSize) -> CrystalAnalysis:
    """Measure a field of one crystal.

    Parameters
    ----------
    prepared : numpy.ndarray
        Shape (y, x), float32: the prepared image.
    settings : Settings
        Of these, `fourier`.
    pixel_size_nm : tuple of float
        (y, x) in nm.

    Returns
    -------
    CrystalAnalysis
        One row per window, and one per fault.
    """
    windows = fourier.measure_windows(
        prepared,
        pixel_size_nm=pixel_size_nm,
        spacing_range_nm=settings.fourier.spacing_range_nm,
        min_peak_snr=settings.fourier.min_peak_snr,
        material=settings.fourier.material,
    )
    traces = fourier.joined_traces(windows, pixel_size_nm=pixel_size_nm)
    return CrystalAnalysis(_window_rows(windows, traces), _trace_rows(traces, pixel_size_nm))


def _window_rows(windows: list[fourier.MeasuredWindow], traces: list[fourier.FaultTrace]) -> pd.DataFrame:
    """Return the rows of the windows."""
    fault_of = {i: n for n, trace in enumerate(traces, 1) for i in trace.windows}
    rows: list[dict[str, object]] = []
    for i, one in enumerate(windows):
        row: dict[str, object] = {"window_id": i + 1, **dict(zip(tables.BOX_COLUMNS, one.window.box, strict=True))}
        row |= {**one.lattice, **one.zone_axis}
        if (step := one.step) is not None:
            row |= {
                "phase_step_gain": step.gain,
                "phase_step_rad": step.step_rad,
                "phase_step_amplitude_asymmetry": step.amplitude_asymmetry,
                "row_displacement_nm": abs(step.row_displacement.displacement_nm),
            }
        if step is not None and one.fault_kind is not None:
            fault = fault_of.get(i)
            row |= {
                "fault_kind": one.fault_kind if fault is None else traces[fault - 1].kind,
                "fault_trace_deg": step.angle_deg,
                "fault_offset_nm": step.offset_nm,
                "fault_id": fault,
            }
        rows.append(row)
    table = tables.conform(pd.DataFrame(rows), tables.WINDOWS)
    return table[[column.name for column in tables.WINDOWS]]


def _trace_rows(traces: list[fourier.FaultTrace], pixel_size_nm: PixelSize) -> pd.DataFrame:
    """Return the rows of the fault traces."""
    rows: list[dict[str, object]] = []
    for number, trace in enumerate(traces, 1):
        row: dict[str, object] = {
            "fault_id": number,
            "fault_kind": trace.kind,
            "length_nm": trace.length_nm,
            "fault_trace_deg": trace.trace_deg,
            "n_windows": len(trace.windows),
            "phase_step_gain": trace.gain,
            "phase_step_rad": trace.step_rad,
            "phase_step_amplitude_asymmetry": trace.amplitude_asymmetry,
        }
        for end, (y, x) in enumerate(trace.ends_px, 1):
            row |= {f"end_{end}_y_px": y, f"end_{end}_x_px": x}
            row |= {f"end_{end}_y_nm": y * pixel_size_nm[0], f"end_{end}_x_nm": x * pixel_size_nm[1]}
        rows.append(row)
    return tables.conform(pd.DataFrame(rows), tables.FAULT_TRACES)
