"""Means, ratios and medians over micrographs, with their bootstrap intervals.

A resample is a row of numbers that states how often each micrograph is drawn (`intervals.resamples`), so that a
statistic is computed for all resamples at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hrtem_dask.intervals import bootstrap_interval

__all__ = [
    "Estimate",
    "estimate",
    "mean_estimate",
    "median_estimate",
    "ratio_estimate",
    "weighted_mean",
    "weighted_median",
    "weighted_ratio",
]

_MAX_ENTRIES = 4_000_000  # of a matrix resamples × particles


class Estimate(NamedTuple):
    """A statistic with the ends of its 95 % interval; NaN where there is no value or no interval."""

    value: float
    low: float = np.nan
    high: float = np.nan


def estimate(statistics: np.ndarray, n: int) -> Estimate:
    """Return the value and the interval of a statistic.

    Parameters
    ----------
    statistics : numpy.ndarray of float
        Shape (resamples + 1,): the statistic of the micrographs themselves, then of each resample.
    n : int
        Number of micrographs that contribute to it.

    Returns
    -------
    Estimate
        The value and the ends of `intervals.bootstrap_interval`.
    """
    return Estimate(float(statistics[0]), *bootstrap_interval(statistics, n))


def mean_estimate(values: np.ndarray, draws: np.ndarray) -> Estimate:
    """Return the mean over micrographs.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,): one value per micrograph; NaN is left out.
    draws : numpy.ndarray of float
        Shape (resamples + 1, n), from `intervals.resamples`.

    Returns
    -------
    Estimate
        The mean and its interval.
    """
    return estimate(weighted_mean(values, draws), int(np.isfinite(values).sum()))


def ratio_estimate(numerators: np.ndarray, denominators: np.ndarray, draws: np.ndarray) -> Estimate:
    """Return the ratio of two sums over micrographs.

    Parameters
    ----------
    numerators, denominators : numpy.ndarray of float
        Shape (n,): the terms of each micrograph.
    draws : numpy.ndarray of float
        Shape (resamples + 1, n), from `intervals.resamples`.

    Returns
    -------
    Estimate
        The ratio and its interval. Micrographs with a denominator of 0 do not contribute.
    """
    return estimate(weighted_ratio(numerators, denominators, draws), int(np.count_nonzero(denominators)))


def median_estimate(values: np.ndarray, owners: np.ndarray, draws: np.ndarray) -> Estimate:
    """Return the median over particles.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (m,): one value per particle.
    owners : numpy.ndarray of int
        Shape (m,): the micrograph of each particle, 0 to n − 1.
    draws : numpy.ndarray of float
        Shape (resamples + 1, n), from `intervals.resamples`.

    Returns
    -------
    Estimate
        The median and its interval.
    """
    return estimate(weighted_median(values, owners, draws), len(np.unique(owners)))


def weighted_mean(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the mean over micrographs in each resample.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (n,): one value per micrograph; NaN is left out.
    draws : numpy.ndarray of float
        Shape (resamples + 1, n), from `intervals.resamples`.

    Returns
    -------
    numpy.ndarray of float
        Shape (resamples + 1,); NaN where no micrograph of a resample has a value.
    """
    known = np.isfinite(values)
    return weighted_ratio(np.where(known, values, 0), known.astype(float), draws)


def weighted_ratio(numerators: np.ndarray, denominators: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the ratio of two sums over micrographs in each resample.

    Parameters
    ----------
    numerators, denominators : numpy.ndarray of float
        Shape (n,): the terms of each micrograph.
    draws : numpy.ndarray of float
        Shape (resamples + 1, n), from `intervals.resamples`.

    Returns
    -------
    numpy.ndarray of float
        Shape (resamples + 1,); NaN where the denominator is 0.
    """
    over, under = draws @ numerators, draws @ denominators
    ratio: np.ndarray = np.divide(over, under, out=np.full(len(draws), np.nan), where=under != 0)
    return ratio


def weighted_median(values: np.ndarray, owners: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return the median over particles in each resample of micrographs.

    Parameters
    ----------
    values : numpy.ndarray of float
        Shape (m,): one value per particle.
    owners : numpy.ndarray of int
        Shape (m,): the micrograph of each particle, 0 to n − 1.
    draws : numpy.ndarray of float
        Shape (resamples + 1, n), from `intervals.resamples`.

    Returns
    -------
    numpy.ndarray of float
        Shape (resamples + 1,): what `numpy.median` gives where each particle is repeated as often as its micrograph is
        drawn; NaN where a resample has no particle.
    """
    medians = np.full(len(draws), np.nan)
    if not len(values):
        return medians
    order = np.argsort(values, kind="stable")
    values, owners = values[order], owners[order]
    step = max(1, _MAX_ENTRIES // len(values))
    for start in range(0, len(draws), step):
        cumulative = np.cumsum(draws[start : start + step, owners], axis=1)
        half = cumulative[:, -1:] / 2
        lower, upper = (cumulative >= half).argmax(axis=1), (cumulative > half).argmax(axis=1)
        present = cumulative[:, -1] > 0
        medians[start : start + step] = np.where(present, (values[lower] + values[upper]) / 2, np.nan)
    return medians
