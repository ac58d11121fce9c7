"""Confidence intervals over micrographs: the bootstrap, and Wilson's interval of a share.

Particles of one micrograph share its focus, dose and neighborhood, so they are not independent samples. The bootstrap
therefore draws micrographs, never particles. A resample is a row of numbers that states how often each micrograph is
in it, so that a statistic is computed for all resamples at once. These numbers are small, and are kept in one byte each
where they fit: with 100,000 micrographs and 1,000 resamples, floats would take 0.8 GB.
"""

from __future__ import annotations

import numpy as np
import scipy.special  # not scipy.stats, whose functions call these: half a second to import

__all__ = [
    "BOOTSTRAP_METHOD",
    "MIN_EFFECTIVE_MICROGRAPHS",
    "MIN_MICROGRAPHS",
    "bootstrap_interval",
    "bootstrap_standard_error",
    "resample_counts",
    "resample_sums",
    "resamples",
    "too_few_micrographs",
    "wilson_interval",
]

MIN_MICROGRAPHS = 5
"""With fewer micrographs no interval is given: it would contain the true value far less often than stated."""
MIN_EFFECTIVE_MICROGRAPHS = 3.0
"""One or two micrographs with nearly all particles say nothing about how micrographs differ."""
_MAX_ENTRIES = 500_000
"""Numbers that are drawn, or converted to floats, at once."""
_FEW, _ENTRIES_OF_FEW = 1000, 2**13
"""So few micrographs are added up in pieces that BLAS multiplies on one thread: to wake the others takes longer."""
BOOTSTRAP_METHOD = "expanded percentile bootstrap over micrographs (Hesterberg 2015)"


def resamples(
    n: int, *, n_resamples: int, seed: int, size: int | None = None, strata: np.ndarray | None = None
) -> np.ndarray:
    """Draw micrographs with replacement, as floats.

    Parameters
    ----------
    n : int
        Number of micrographs.
    n_resamples : int
        Number of resamples.
    seed : int
        Seed of the random numbers.
    size : int, optional
        Micrographs per resample; `n` by default.
    strata : numpy.ndarray of int, optional
        Shape (n,): sample of each micrograph. As many micrographs are then drawn of each sample as it has; not with
        `size`.

    Returns
    -------
    numpy.ndarray of float
        Shape (n_resamples + 1, n), from `resample_counts`.

    Examples
    --------
    >>> resamples(3, n_resamples=2, seed=0).sum(axis=1)
    array([3., 3., 3.])
    """
    return resample_counts(n, n_resamples=n_resamples, seed=seed, size=size, strata=strata).astype(float)


def resample_counts(
    n: int, *, n_resamples: int, seed: int, size: int | None = None, strata: np.ndarray | None = None
) -> np.ndarray:
    """Draw micrographs with replacement.

    Parameters
    ----------
    n : int
        Number of micrographs.
    n_resamples : int
        Number of resamples.
    seed : int
        Seed of the random numbers.
    size : int, optional
        Micrographs per resample; `n` by default.
    strata : numpy.ndarray of int, optional
        Shape (n,): sample of each micrograph. As many micrographs are then drawn of each sample as it has; not with
        `size`.

    Returns
    -------
    numpy.ndarray of unsigned int
        Shape (n_resamples + 1, n): how often each micrograph is drawn, in the smallest type that holds all of them.
        The first row is 1 throughout: the micrographs themselves. Use `resample_sums`: sums and products of these
        numbers themselves can exceed their type.
    """
    counts = np.ones((n_resamples + 1, n), dtype=np.uint8)
    rng = np.random.default_rng(seed)
    kinds = np.zeros(n, dtype=np.int64) if strata is None or size is not None else strata
    for one in np.unique(kinds):
        here = np.flatnonzero(kinds == one)
        share = np.full(len(here), 1 / len(here))
        step = max(1, _MAX_ENTRIES // len(here))
        for start in range(1, n_resamples + 1, step):  # piece by piece, which gives the same random numbers
            n_rows = min(step, n_resamples + 1 - start)
            drawn = rng.multinomial(len(here) if size is None else size, share, size=n_rows)
            counts = counts.astype(np.promote_types(counts.dtype, np.min_scalar_type(drawn.max())), copy=False)
            counts[start : start + n_rows, here] = drawn
    return counts


def resample_sums(counts: np.ndarray, sums: np.ndarray) -> np.ndarray:
    """Add up what micrographs have, in each resample.

    Parameters
    ----------
    counts : numpy.ndarray of unsigned int
        Shape (resamples, n), from `resample_counts`.
    sums : numpy.ndarray of float
        Shape (n, ...): sums over the particles of each micrograph.

    Returns
    -------
    numpy.ndarray of float
        Shape (resamples, ...).

    Examples
    --------
    >>> resample_sums(np.array([[1, 1], [2, 0]], dtype=np.uint8), np.array([10.0, 300.0]))
    array([310.,  20.])
    """
    n = max(counts.shape[1], 1)
    step = max(1, (_ENTRIES_OF_FEW if n <= _FEW else _MAX_ENTRIES) // n)
    pieces = [counts[start : start + step].astype(float) @ sums for start in range(0, len(counts), step)]
    return np.concatenate(pieces)


def bootstrap_interval(statistics: np.ndarray, n: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the expanded percentile interval of a statistic.

    Parameters
    ----------
    statistics : numpy.ndarray of float
        Shape (resamples + 1,): the statistic of the micrographs themselves, then of each resample.
    n : int
        Number of micrographs that contribute to the statistic.
    confidence : float
        Probability, 0 to 1, that the interval contains the true value.

    Returns
    -------
    tuple of float
        Lower and upper end: the quantiles α' and 1 − α' of the resamples, α' = Φ(−√(n/(n − 1)) t(1 − α/2; n − 1)).
        This corrects for the variance of the bootstrap, which is too small by (n − 1)/n, and for its quantiles, which
        are normal rather than Student's (T. C. Hesterberg, Am. Stat. 69 (2015) 371, section 5.3). NaN with fewer than
        `MIN_MICROGRAPHS` micrographs, and where fewer than half of the resamples have a value.

    Notes
    -----
    Measured coverage of 95 % intervals with 5, 8, 12 and 20 micrographs (1,500 simulated studies each): mean size 92,
    92, 94, 94 %; median of an error 91, 93, 94, 94 %; pooled F1 85, 87, 85, 89 %; mean Dice, where one micrograph in
    eight fails and few studies contain one, 71, 75, 78, 86 %. The plain percentile interval reaches 83, 87, 90, 92 %;
    83, 86, 90, 92 %; 75, 80, 81, 87 % and 61, 69, 75, 84 %.

    Examples
    --------
    >>> values = np.arange(12.0)
    >>> counts = resamples(12, n_resamples=1000, seed=0)
    >>> low, high = bootstrap_interval(counts @ values / 12, 12)
    >>> bool(low < values.mean() < high)
    True
    """
    drawn = statistics[1:][np.isfinite(statistics[1:])]
    if n < MIN_MICROGRAPHS or len(drawn) == 0 or 2 * len(drawn) < len(statistics) - 1:
        return np.nan, np.nan
    tail = scipy.special.ndtr(-np.sqrt(n / (n - 1)) * scipy.special.stdtrit(n - 1, (1 + confidence) / 2))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def bootstrap_standard_error(statistics: np.ndarray, n: int) -> float:
    """Return the standard error of a statistic.

    Parameters
    ----------
    statistics : numpy.ndarray of float
        Shape (resamples + 1,): the statistic of the micrographs themselves, then of each resample.
    n : int
        Number of micrographs.

    Returns
    -------
    float
        Standard deviation of the resamples × √(n/(n − 1)); NaN for fewer than two micrographs.
    """
    drawn = statistics[1:][np.isfinite(statistics[1:])]
    if n < 2 or len(drawn) < 2:
        return np.nan
    return float(drawn.std(ddof=1) * np.sqrt(n / (n - 1)))


def wilson_interval(share: float, n: float, *, df: float = np.inf, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval of a share, which stays inside 0 to 1 and has a width even for 0 and 1.

    Parameters
    ----------
    share : float
        Observed share, 0 to 1.
    n : float
        Number of independent observations, or the number of them that would be as informative.
    df : float
        Degrees of freedom of Student's t, which takes the place of the normal quantile; infinite by default.
    confidence : float
        Probability, 0 to 1, that the interval contains the true share.

    Returns
    -------
    tuple of float
        Lower and upper end (E. Wilson, J. Am. Stat. Assoc. 22 (1927) 209); NaN without observations.

    Examples
    --------
    >>> low, high = wilson_interval(1.0, 20)
    >>> round(low, 3), high
    (0.839, 1.0)
    """
    if not n > 0:
        return np.nan, np.nan
    t2 = scipy.special.stdtrit(df, (1 + confidence) / 2) ** 2 / n
    middle = (share + t2 / 2) / (1 + t2)
    half = np.sqrt(t2 * (share * (1 - share) + t2 / 4)) / (1 + t2)
    return float(max(middle - half, 0)), float(min(middle + half, 1))


def too_few_micrographs(n: int, shares: np.ndarray | None = None) -> str | None:
    """Explain why there is no interval.

    Parameters
    ----------
    n : int
        Number of micrographs that contribute to the statistic.
    shares : numpy.ndarray of float, optional
        Shape (n,): share of each micrograph in the particles, or in their weights.

    Returns
    -------
    str or None
        The reason, or None where there are at least `MIN_MICROGRAPHS`, which tell as much as at least
        `MIN_EFFECTIVE_MICROGRAPHS` with equally many particles.

    Examples
    --------
    >>> too_few_micrographs(1)
    'no interval: 1 micrograph, at least 5 are needed'
    >>> too_few_micrographs(5, np.array([0.8, 0.05, 0.05, 0.05, 0.05]))[:51]
    'no interval: one of the 5 micrographs has 80% of th'
    """
    if n < MIN_MICROGRAPHS:
        return f"no interval: {n} micrograph{'' if n == 1 else 's'}, at least {MIN_MICROGRAPHS} are needed"
    if shares is None or (effective := float(1 / (shares**2).sum())) >= MIN_EFFECTIVE_MICROGRAPHS:
        return None
    return (
        f"no interval: one of the {n} micrographs has {shares.max():.0%} of the counted particles, so they "
        f"tell as much as {effective:.1f} micrographs with equally many, and {MIN_EFFECTIVE_MICROGRAPHS:g} are needed"
    )
