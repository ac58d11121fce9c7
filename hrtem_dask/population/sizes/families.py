"""Normal, lognormal and Weibull distributions as location–scale families.

With y = x (normal) or y = ln x (lognormal, Weibull), all three have the density g((y − a)/b)/b, where g is the standard
normal density, or for Weibull the density exp(z − eᶻ) of the smallest extreme value (J. F. Lawless, Statistical Models
and Methods for Lifetime Data, 2003, chapter 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.special

__all__ = [
    "FAMILIES",
    "Family",
    "LocationScale",
    "cdf",
    "log_density",
    "ppf",
    "to_y",
]

Family = Literal["lognormal", "normal", "weibull"]
FAMILIES: tuple[Family, ...] = ("lognormal", "normal", "weibull")


@dataclass(frozen=True)
class LocationScale:
    """A fitted distribution."""

    family: Family
    """Family of the distribution."""
    a: float
    """Location, on the axis of `to_y`."""
    scale: float
    """Logarithm λ of the scale b."""


def to_y(values: np.ndarray, family: Family) -> np.ndarray:
    """Transform sizes to the axis on which the family has a location and a scale.

    Parameters
    ----------
    values : numpy.ndarray of float
        Sizes (nm), any shape; for lognormal and Weibull 0 becomes −∞.
    family : {"lognormal", "normal", "weibull"}
        The family.

    Returns
    -------
    numpy.ndarray of float
        The same shape: y, which is x or ln x.
    """
    if family == "normal":
        return np.where(values > 0, values, -np.inf)  # a limit of 0 stands for no limit
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(values))


def cdf(z: np.ndarray, family: Family) -> np.ndarray:
    """Return the standard cumulative distribution function.

    Parameters
    ----------
    z : numpy.ndarray of float
        (y − a)/b, any shape.
    family : {"lognormal", "normal", "weibull"}
        The family.

    Returns
    -------
    numpy.ndarray of float
        Shape of `z`, 0 to 1.

    Examples
    --------
    >>> cdf(np.array([0.0]), "lognormal"), cdf(np.array([0.0]), "weibull").round(3)
    (array([0.5]), array([0.632]))
    """
    if family == "weibull":
        return np.asarray(-np.expm1(-np.exp(np.minimum(z, 700.0))))
    return np.asarray(scipy.special.ndtr(z))


def ppf(probability: np.ndarray, family: Family) -> np.ndarray:
    """Return the inverse of `cdf`, the percent point function.

    Parameters
    ----------
    probability : numpy.ndarray of float
        Between 0 and 1.
    family : {"lognormal", "normal", "weibull"}
        The family.

    Returns
    -------
    numpy.ndarray of float
        Shape of `probability`: z.
    """
    if family == "weibull":
        return np.asarray(np.log(-np.log1p(-probability)))
    return np.asarray(scipy.special.ndtri(probability))


def log_density(z: np.ndarray, family: Family) -> np.ndarray:
    """Return the logarithm of the standard density.

    Parameters
    ----------
    z : numpy.ndarray of float
        (y − a)/b, any shape.
    family : {"lognormal", "normal", "weibull"}
        The family.

    Returns
    -------
    numpy.ndarray of float
        The natural logarithm of g(z).
    """
    if family == "weibull":
        return np.asarray(z - np.exp(z))
    return np.asarray(-(z**2) / 2 - np.log(2 * np.pi) / 2)
