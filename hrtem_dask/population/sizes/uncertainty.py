"""Uncertainty budget of a size: pixel size, threshold, split, sampling → expanded uncertainty (k = 2).

After JCGM 100:2008 (GUM): standard uncertainties of independent sources are added in squares; a quantity known to lie
within ±a, evenly, has the standard uncertainty a/√3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.population.options import PopulationOptions
from hrtem_dask.population.sizes.size_sample import Sizes

__all__ = ["COVERAGE_FACTOR", "pixel_size_uncertainty", "uncertainty_budget"]

COVERAGE_FACTOR = 2.0
_ASSUMED = {"lattice": 0.005, "user": 0.01, "metadata": 0.01, "file": 0.02}
_UNKNOWN = 0.03
_KINDS = {"mean_nm": "mean", "median_nm": "median"}


def pixel_size_uncertainty(sources: pd.Series | None, options: PopulationOptions) -> tuple[float, str]:
    """Return the relative standard uncertainty of the pixel size.

    Parameters
    ----------
    sources : pandas.Series of str or None
        ``pixel_size_source`` of the micrographs.
    options : PopulationOptions
        Of these, ``pixel_size_relative_uncertainty``.

    Returns
    -------
    uncertainty : float
        The user's, or one assumed by the source: 0.5 % for a lattice, 1 % where the user gave the pixel size, 2 % for
        what a file states, 3 % where the source is not known; of several the largest, since one scale error is shared
        by all micrographs of a source.
    basis : str
        Where it comes from, in words.
    """
    if options.pixel_size_relative_uncertainty is not None:
        return options.pixel_size_relative_uncertainty, "given by the user"
    kinds = [] if sources is None else sorted({str(s).split(":")[0] for s in sources.dropna()} - {"none", ""})
    if not kinds:
        return _UNKNOWN, f"assumed {_UNKNOWN:.1%}: the source of the pixel size is not known"
    value, kind = max((_ASSUMED.get(kind, _UNKNOWN), kind) for kind in kinds)
    return value, f"assumed {value:.1%} for a pixel size from {kind!r}, not measured: give yours"


def uncertainty_budget(
    sizes: Sizes,
    statistic: str,
    *,
    value: float,
    sampling: float | None,
    without_split: float | None,
    pixel_sizes_nm: np.ndarray,
    pixel_size: tuple[float, str],
    options: PopulationOptions,
) -> dict[str, Any]:
    """Combine what makes a size uncertain.

    Parameters
    ----------
    sizes : Sizes
        The particles.
    statistic : {"mean_nm", "median_nm"}
        What the budget is of.
    value : float
        Its value (nm).
    sampling : float or None
        Standard error by bootstrap over micrographs (nm); None where they are too few.
    without_split : float or None
        The statistic (nm) without particles that were split from others; None where none or all were.
    pixel_sizes_nm : numpy.ndarray of float
        Shape (n,): pixel size of each particle's micrograph.
    pixel_size : tuple of float and str
        Of `pixel_size_uncertainty`.
    options : PopulationOptions
        Of these, the uncertainty of the outline.

    Returns
    -------
    dict
        ``value_nm``; ``sources``, a list of ``source``, ``standard_uncertainty_nm``, ``relative``, ``basis``;
        ``combined_standard_uncertainty_nm``, ``coverage_factor``, ``expanded_uncertainty_nm``,
        ``expanded_relative``; None, with ``reason``, where sampling is not known.
    """
    if options.boundary_uncertainty_nm is not None:
        shift, basis = options.boundary_uncertainty_nm, f"outline known to ±{options.boundary_uncertainty_nm:g} nm"
    else:
        shift = options.boundary_uncertainty_px * float(np.average(pixel_sizes_nm, weights=sizes.weights))
        basis = f"outline known to ±{options.boundary_uncertainty_px:g} px = ±{shift:.3g} nm"
    split = 0.0 if without_split is None else abs(value - without_split) / np.sqrt(3)
    rows = [
        ("pixel size", value * pixel_size[0], pixel_size[1]),
        ("threshold", 2 * shift / np.sqrt(3), f"{basis} all around: ±2 × that in diameter, evenly"),
        (
            "split",
            split,
            "no particle, or every one, was split from another"
            if without_split is None
            else f"{_KINDS[statistic]} without split particles {without_split:.4g} nm: ± the difference, evenly",
        ),
        ("sampling", sampling, "standard error by bootstrap over micrographs"),
    ]
    combined = None if sampling is None else float(np.sqrt(sum(float(u or 0) ** 2 for _, u, _ in rows)))
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
        "coverage_factor": COVERAGE_FACTOR,
        "expanded_uncertainty_nm": None if combined is None else COVERAGE_FACTOR * combined,
        "expanded_relative": None if combined is None else COVERAGE_FACTOR * combined / value,
        "reason": None if combined is not None else "too few micrographs for the uncertainty of sampling",
    }
