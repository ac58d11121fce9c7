"""One size of the counted particles, and its statistics in all resamples of micrographs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hrtem_dask.intervals import resample_sums
from hrtem_dask.population.inference import moments
from hrtem_dask.population.inference.clusters import usable_strata
from hrtem_dask.population.inference.jackknife_moments import jackknife_interval
from hrtem_dask.population.inference.quantiles import quantile_statistics

__all__ = ["Sizes", "moment_intervals", "select_sizes", "size_statistics"]

_QUANTILES = {"d10_nm": 0.1, "median_nm": 0.5, "d90_nm": 0.9}


@dataclass(frozen=True)
class Sizes:
    """Sizes of counted particles, with the weight and the micrograph of each."""

    values: np.ndarray
    """Shape (n,), float: sizes (nm)."""
    weights: np.ndarray
    """Shape (n,), float: edge weights."""
    owners: np.ndarray
    """Shape (n,), int: number of the micrograph, 0 to `n_micrographs` − 1."""
    n_micrographs: int
    """Number of micrographs with a counted particle that has this size."""
    strata: np.ndarray | None = None
    """Shape (n_micrographs,), int: sample of each micrograph; None for one sample. Samples are fixed: intervals are
    about these samples, weighted by their particles, and not about others that might have been made."""

    @property
    def usable_strata(self) -> np.ndarray | None:
        """The strata where each has at least two micrographs, else None."""
        return usable_strata(self.strata)

    @property
    def particle_strata(self) -> np.ndarray | None:
        """Shape (n,), int: sample of each particle, or None."""
        found = self.usable_strata
        return None if found is None else found[self.owners]

    @property
    def effective_n(self) -> float:
        """Number of equally weighted particles that are as informative: (Σw)²/Σw² (L. Kish, Survey Sampling, 1965)."""
        return float(self.weights.sum() ** 2 / (self.weights**2).sum())

    @property
    def shares(self) -> np.ndarray:
        """Shape (n_micrographs,): the share of each micrograph in the sum of the weights."""
        return np.asarray(np.bincount(self.owners, self.weights, self.n_micrographs) / self.weights.sum())

    @property
    def effective_micrographs(self) -> float:
        """Number of micrographs of equal weight that are as informative, by the same formula."""
        return float(1 / (self.shares**2).sum())


def select_sizes(counted: pd.DataFrame, column: str, weights: np.ndarray) -> tuple[Sizes, np.ndarray]:
    """Select one size from the table of counted particles.

    Parameters
    ----------
    counted : pandas.DataFrame
        Rows of `Population.counted`.
    column : str
        Column of a size (nm).
    weights : numpy.ndarray of float
        Shape (rows,): edge weights.

    Returns
    -------
    sizes : Sizes
        Sizes of the particles that have one.
    known : numpy.ndarray of bool
        Shape (rows,): whether the particle has this size.
    """
    values = counted[column].to_numpy(dtype=float)
    known = np.isfinite(values) & (values > 0)
    # a micrograph belongs to one sample, but two samples may use the same name
    names = pd.MultiIndex.from_frame(counted.loc[known, ["sample", "micrograph_id"]])
    owners, unique = pd.factorize(names)
    samples = pd.factorize(unique.get_level_values(0))[0] if len(unique) else np.zeros(0, dtype=np.int64)
    strata = np.asarray(samples, dtype=np.int64) if len(unique) and samples.max() > 0 else None
    return Sizes(values[known], weights[known], owners.astype(np.int64), len(unique), strata), known


def size_statistics(sizes: Sizes, counts: np.ndarray, *, only_main: bool = False) -> dict[str, np.ndarray]:
    """Return every statistic of a size in each resample.

    Parameters
    ----------
    sizes : Sizes
        At least one particle.
    counts : numpy.ndarray of int
        Shape (resamples + 1, micrographs), from `intervals.resample_counts`.
    only_main : bool
        Whether to leave out the quantiles of the volume-weighted distribution.

    Returns
    -------
    dict of str to numpy.ndarray
        Shape (resamples + 1,) each: those of `moments.NAMES`, number-weighted ``d10_nm``, ``median_nm``, ``d90_nm``,
        ``span`` = (D90 − D10)/D50, and the same of the volume-weighted distribution, named ``volume_…``.
    """
    sums, scale = _sums(sizes)
    found = dict(zip(moments.NAMES, np.exp(moments.log_moments(resample_sums(counts, sums), scale)).T, strict=True))
    for name in ("geometric_sd", "volume_geometric_sd"):
        found[name] = np.exp(found[name])
    found["volume_mean_nm"] = found["d43_nm"]
    kinds = {"": sizes.weights, "volume_": sizes.weights * sizes.values**3}
    for prefix, weights in list(kinds.items())[: 1 if only_main else 2]:
        quantiles = quantile_statistics(sizes.values, weights, sizes.owners, counts, list(_QUANTILES.values()))
        found |= {f"{prefix}{name}": q for name, q in zip(_QUANTILES, quantiles, strict=True)}
        found[f"{prefix}span"] = (quantiles[2] - quantiles[0]) / quantiles[1]
    return found


def moment_intervals(sizes: Sizes, *, confidence: float) -> dict[str, tuple[float, float]]:
    """Return the intervals of the moments.

    Parameters
    ----------
    sizes : Sizes
        At least two micrographs.
    confidence : float
        Probability, 0 to 1, that an interval contains the true value.

    Returns
    -------
    dict
        Names in `moments.NAMES` and ``volume_mean_nm`` → lower and upper end, by `jackknife_interval` of the logarithm.
    """
    sums, scale = _sums(sizes)
    ends = jackknife_interval(
        sums, lambda total: moments.log_moments(total, scale), confidence=confidence, strata=sizes.usable_strata
    )
    low, high = (dict(zip(moments.NAMES, np.exp(end).tolist(), strict=True)) for end in ends)
    found = {name: (low[name], high[name]) for name in moments.NAMES}
    found["geometric_sd"] = (float(np.exp(low["geometric_sd"])), float(np.exp(high["geometric_sd"])))
    found["volume_mean_nm"] = found["d43_nm"]
    return found


def _sums(sizes: Sizes) -> tuple[np.ndarray, float]:
    """Return the sums per micrograph of the sizes over their mean, and that mean (nm)."""
    scale = float(np.average(sizes.values, weights=sizes.weights))
    return moments.micrograph_sums(sizes.values / scale, sizes.weights, sizes.owners, sizes.n_micrographs), scale
