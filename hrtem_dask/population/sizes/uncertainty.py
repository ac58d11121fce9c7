"""Uncertainty budget of a size: pixel size, segmentation, split, bias and sampling give the expanded uncertainty.

According to JCGM 100:2008 (GUM), the squares of the standard uncertainties of independent sources are added, and a
quantity that is uniformly distributed within ±a has the standard uncertainty a/√3. The coverage factor is Student's t
at the effective degrees of freedom (annex G.4): few micrographs know their own spread badly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.special

from hrtem_dask.population.options import PopulationOptions
from hrtem_dask.population.particle_table import numbers
from hrtem_dask.population.sizes.size_sample import Sizes

__all__ = [
    "STATISTICS",
    "SizeStatistic",
    "edge_positions",
    "effective_degrees_of_freedom",
    "pixel_size_uncertainty",
    "uncertainty_budget",
]

_ASSUMED = {"lattice": 0.005, "user": 0.01, "metadata": 0.01, "file": 0.02}
_UNKNOWN = 0.03
_LATTICE_KNOWN_TO = 0.002
"""Relative standard uncertainty of a lattice constant: small particles differ by some tenths of a percent."""
STATISTICS = ("mean_nm", "median_nm", "d10_nm", "d90_nm", "d43_nm")
"""Statistics that have a budget."""
_KINDS = {"mean_nm": "mean", "median_nm": "median", "d10_nm": "D10", "d90_nm": "D90", "d43_nm": "D[4,3]"}
_SAME_SETTING = 0.005
"""Largest relative difference of pixel sizes of one setting of the microscope."""


@dataclass(frozen=True, kw_only=True)
class SizeStatistic:
    """A statistic of a size, with what the data show about its uncertainty."""

    name: str
    """Name of the statistic, one of `STATISTICS`."""
    value: float
    """Value (nm)."""
    sampling: float | None
    """Standard error (nm), clustered by micrograph; None with too few of them."""
    sampling_basis: str
    """How that was computed, in words."""
    degrees_of_freedom: float
    """Degrees of freedom of the sampling uncertainty: micrographs of equal weight that are as informative, less 1."""
    without_split: float | None
    """Value (nm) without particles that were split from others; None where no particle, or every one, was split."""
    sampling_reason: str | None = None
    """Why there is no standard error although there are enough micrographs, in words."""


def pixel_size_uncertainty(
    frames: pd.DataFrame | None, rows: pd.DataFrame, options: PopulationOptions
) -> tuple[float, str]:
    """Return the relative standard uncertainty of the pixel size.

    Parameters
    ----------
    frames : pandas.DataFrame or None
        Rows of `tables.MICROGRAPHS`.
    rows : pandas.DataFrame
        Counted particles, with ``micrograph_id``.
    options : PopulationOptions
        Options of the statistics; ``pixel_size_relative_uncertainty`` is used.

    Returns
    -------
    uncertainty : float
        The value of the user; or that of the lattice, where particles confirm it for every pixel size that is used:
        their measured ratio r to the known spacing is taken as uniform within ± |r − 1|, and its spread between
        micrographs, or 0.5 % of a single one, is added. Else one assumed by the source of the pixel size: 0.5 % for a
        lattice, 1 % for the user, 2 % for a file, 3 % where the source is not known. Of several sources the largest
        value is used, since all micrographs of a source share its scale error.
    basis : str
        Origin of the value, in words.
    """
    if options.pixel_size_relative_uncertainty is not None:
        return options.pixel_size_relative_uncertainty, "given by the user"
    if frames is None or "pixel_size_source" not in frames:
        return _UNKNOWN, f"assumed {_UNKNOWN:.1%}: the source of the pixel size is not known"
    frames = frames[frames["micrograph_id"].isin(rows["micrograph_id"].unique())]
    if (measured := _by_lattice(frames)) is not None:
        return measured
    kinds = sorted({str(s).split(":")[0] for s in frames["pixel_size_source"].dropna()} - {"none", ""})
    if not kinds:
        return _UNKNOWN, f"assumed {_UNKNOWN:.1%}: the source of the pixel size is not known"
    value, kind = max((_ASSUMED.get(kind, _UNKNOWN), kind) for kind in kinds)
    return (
        value,
        f"assumed {value:.1%} for a pixel size from {kind!r}, not measured: give your own value",
    )


def _by_lattice(frames: pd.DataFrame) -> tuple[float, str] | None:
    """Return the uncertainty by the measured lattice, None where it does not cover every pixel size."""
    if not {"lattice_scale_ratio", "pixel_size_y_nm"} <= set(frames):
        return None
    ratio, size = (numbers(frames, name) for name in ("lattice_scale_ratio", "pixel_size_y_nm"))
    known = np.isfinite(ratio) & (size > 0)
    if not known.any() or not (size > 0).all():
        return None
    apart = np.abs(np.log(np.unique(size)[:, None] / np.unique(size[known]))).min(axis=1)
    if apart.max() > _SAME_SETTING:
        return None
    middle = float(np.mean(ratio[known]))
    n = int(known.sum())
    spread = float(ratio[known].std(ddof=1) / np.sqrt(n)) if n > 2 else _ASSUMED["lattice"]
    value = float(np.sqrt((middle - 1) ** 2 / 3 + spread**2 + _LATTICE_KNOWN_TO**2))
    return value, (
        f"measured lattice: {middle:.4f} of the known spacing on {n} micrographs, not corrected: uniform within ± the "
        f"difference; spread {spread:.2%}; lattice constant known to {_LATTICE_KNOWN_TO:.1%}"
    )


def edge_positions(rows: pd.DataFrame, frames: pd.DataFrame | None) -> np.ndarray | None:
    """Return how far outlines may lie further in or out, by the slope of the probability of the network.

    Parameters
    ----------
    rows : pandas.DataFrame
        Counted particles, with ``micrograph_id``.
    frames : pandas.DataFrame or None
        Rows of `tables.MICROGRAPHS`.

    Returns
    -------
    numpy.ndarray of float or None
        Shape (rows,): ``edge_position_px`` of the micrograph of each particle; None where some are not known.
    """
    if frames is None or "edge_position_px" not in frames:
        return None
    columns = frames[["micrograph_id", "edge_position_px"]]
    by_id = columns.drop_duplicates("micrograph_id").set_index("micrograph_id")
    found = numbers(by_id.reindex(rows["micrograph_id"]), "edge_position_px")
    return found if len(found) and np.isfinite(found).all() else None


def effective_degrees_of_freedom(combined: float, sampling: float, degrees_of_freedom: float) -> float:
    """Return the effective degrees of freedom of a combined uncertainty by the formula of Welch and Satterthwaite.

    Parameters
    ----------
    combined : float
        Combined standard uncertainty.
    sampling : float
        Its component that is estimated from the micrographs, in the same unit; all others count as known.
    degrees_of_freedom : float
        Degrees of freedom of that component, above 0.

    Returns
    -------
    float
        The number u⁴ ν / u_s⁴ (JCGM 100:2008, G.2b); infinite where the component is 0.

    Examples
    --------
    >>> effective_degrees_of_freedom(0.2, 0.1, 4.0)
    64.0
    """
    return float("inf") if sampling == 0 else degrees_of_freedom * (combined / sampling) ** 4


def uncertainty_budget(
    sizes: Sizes,
    statistic: SizeStatistic,
    *,
    pixel_sizes_nm: np.ndarray,
    edges: np.ndarray | None = None,
    pixel_size: tuple[float, str],
    options: PopulationOptions,
) -> dict[str, Any]:
    """Combine the sources of uncertainty of a size.

    Parameters
    ----------
    sizes : Sizes
        Sizes of the particles.
    statistic : SizeStatistic
        The statistic whose uncertainty is computed.
    pixel_sizes_nm : numpy.ndarray of float
        Shape (n,): pixel size (nm) of the micrograph of each particle.
    edges : numpy.ndarray of float, optional
        Shape (n,): from `edge_positions` (px); without it the outline is known to `boundary_uncertainty_px`.
    pixel_size : tuple of float and str
        Relative standard uncertainty and its basis, from `pixel_size_uncertainty`.
    options : PopulationOptions
        Options of the statistics; the uncertainties of the outline and of a bias are used.

    Returns
    -------
    dict
        ``value_nm``; ``sources``, a list of ``source``, ``standard_uncertainty_nm``, ``relative``, ``basis``;
        ``combined_standard_uncertainty_nm``, ``degrees_of_freedom`` (effective; None where infinite),
        ``coverage_factor`` (Student's t at them and the confidence of the options), ``expanded_uncertainty_nm``,
        ``expanded_relative``. The combined numbers are None, with ``reason``, where the sampling uncertainty is not
        known.
    """
    if options.boundary_uncertainty_nm is not None:
        shift, basis = options.boundary_uncertainty_nm, f"outline known to ±{options.boundary_uncertainty_nm:g} nm"
    elif edges is not None:
        shift = float(np.average(edges * pixel_sizes_nm, weights=sizes.weights))
        middle = float(np.average(edges, weights=sizes.weights))
        basis = f"probability between 1/4 and 3/4 within ±{middle:.2g} px = ±{shift:.3g} nm of the outline (measured)"
    else:
        shift = options.boundary_uncertainty_px * float(np.average(pixel_sizes_nm, weights=sizes.weights))
        basis = f"outline known to ±{options.boundary_uncertainty_px:g} px = ±{shift:.3g} nm"
    value, sampling, without_split = statistic.value, statistic.sampling, statistic.without_split
    split = 0.0 if without_split is None else abs(value - without_split) / np.sqrt(3)
    rows = [
        ("pixel size", value * pixel_size[0], pixel_size[1]),
        ("segmentation", 2 * shift / np.sqrt(3), f"{basis} everywhere: diameter uniform within ±2 × that"),
        (
            "split",
            split,
            "no particle, or every one, was split from another"
            if without_split is None
            else f"{_KINDS[statistic.name]} without split particles {without_split:.4g} nm: "
            "uniform within ± the difference",
        ),
        ("sampling", sampling, statistic.sampling_basis),
    ]
    if options.bias_uncertainty_nm is not None:
        rows.insert(-1, ("bias", options.bias_uncertainty_nm, "measured with a reference material, not corrected"))
    combined = None if sampling is None else float(np.sqrt(sum(float(u or 0) ** 2 for _, u, _ in rows)))
    freedom, factor = None, None
    if combined is not None and sampling is not None:
        freedom = effective_degrees_of_freedom(combined, sampling, statistic.degrees_of_freedom)
        factor = float(scipy.special.stdtrit(freedom, (1 + options.confidence) / 2))
    expanded = None if combined is None or factor is None else factor * combined
    return {
        "value_nm": value,
        "sources": [
            {
                "source": name,
                "standard_uncertainty_nm": None if u is None else float(u),
                "relative": None if u is None else float(u / value),
                "basis": text,
            }
            for name, u, text in rows
        ],
        "combined_standard_uncertainty_nm": combined,
        "degrees_of_freedom": freedom if freedom is not None and np.isfinite(freedom) else None,
        "coverage_factor": factor,
        "expanded_uncertainty_nm": expanded,
        "expanded_relative": None if expanded is None else expanded / value,
        "reason": None if combined is not None else _why_not(statistic.sampling_reason),
    }


def _why_not(reason: str | None) -> str:
    """Return why a combined uncertainty is not known."""
    known = "" if reason is None else f" ({reason.removeprefix('no interval: ')})"
    return f"too few micrographs for the uncertainty of sampling{known}"
