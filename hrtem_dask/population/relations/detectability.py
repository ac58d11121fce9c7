"""Detectability: how often a particle of a given size is found, assessable, and seen as faulted.

Small particles show fewer lattice rows, so that they are missed, called unknown and called faultless more often. A
curve of the found defect fraction against size therefore rises although the true fraction does not. How often is
measured on micrographs with known truth (`tables.DETECTABILITY`, which ``hrtem-dask evaluate`` writes), and described
by logistic curves in the logarithm of the diameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy
from scipy.special import expit

from hrtem_dask.crystals import MATERIALS, find_material
from hrtem_dask.errors import SettingsError
from hrtem_dask.population.particle_table import numbers
from hrtem_dask.tables import TRUE_STATES

__all__ = ["Conditions", "Detectability", "ShareCurve", "fit_detectability", "read_detectability"]

BUNDLED = Path(__file__).parents[2] / "models" / "detectability.csv.gz"
"""Table measured on simulated micrographs with the bundled network and forest; models/detectability.md says how."""
MIN_PARTICLES = 20
"""Fewest particles of a true state from which its detectability is measured."""
_PRIOR_SD = 2.5
"""Standard deviation of the prior of standardized slopes (A. Gelman et al., Ann. Appl. Stat. 2 (2008) 1360): a share
that is 0 or 1 in the data keeps a finite slope."""
_PRIOR_SD_LEVEL = 10.0
_STEPS = 60


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Under which conditions micrographs were taken; None where it is not known."""

    pixel_size_nm: float | None = None
    """Pixel size (nm)."""
    dose_per_nm2: float | None = None
    """Recorded electrons per nm²."""
    material: str | None = None
    """Name of a material."""

    def terms(self) -> tuple[float, float, float]:
        """Return the logarithms of pixel size and dose, and whether the material is a compound, NaN where unknown."""
        pixel, dose = (np.log(v) if v else np.nan for v in (self.pixel_size_nm, self.dose_per_nm2))
        return float(pixel), float(dose), is_compound(self.material)


@dataclass(frozen=True)
class ShareCurve:
    """A share as a logistic function of the logarithm of the diameter."""

    coefficients: np.ndarray
    """Shape (3,): of 1, u and u² − 1, with u the standardized logarithm of the diameter."""
    covariance: np.ndarray
    """Shape (3, 3)."""
    middle: float
    """Mean of the logarithm of the diameter (nm)."""
    spread: float
    """Standard deviation of the logarithm of the diameter."""

    def terms(self, diameters_nm: np.ndarray) -> np.ndarray:
        """Return the terms of the curve.

        Parameters
        ----------
        diameters_nm : numpy.ndarray of float
            Shape (n,), positive.

        Returns
        -------
        numpy.ndarray of float
            Shape (n, 3).
        """
        u = (np.log(diameters_nm) - self.middle) / self.spread
        return np.stack([np.ones_like(u), u, u**2 - 1], axis=1)

    def share(self, diameters_nm: np.ndarray, change: np.ndarray | None = None) -> np.ndarray:
        """Return the share.

        Parameters
        ----------
        diameters_nm : numpy.ndarray of float
            Shape (n,), positive.
        change : numpy.ndarray of float, optional
            Shape (3,): added to the coefficients.

        Returns
        -------
        numpy.ndarray of float
            Shape (n,), 0 to 1.
        """
        return np.asarray(expit(self.terms(diameters_nm) @ (self.coefficients + (0 if change is None else change))))

    def band(self, diameters_nm: np.ndarray, confidence: float) -> dict[str, list[float]]:
        """Return the share with its pointwise band.

        Parameters
        ----------
        diameters_nm : numpy.ndarray of float
            Shape (n,), positive.
        confidence : float
            Probability, 0 to 1, that the interval at each single point contains the true share.

        Returns
        -------
        dict
            Lists ``share``, ``low`` and ``high``.
        """
        x = self.terms(diameters_nm)
        logit, errors = x @ self.coefficients, np.sqrt(np.einsum("pi,ij,pj->p", x, self.covariance, x).clip(min=0))
        half = scipy.stats.norm.ppf((1 + confidence) / 2) * errors
        ends = {"share": logit, "low": logit - half, "high": logit + half}
        return {name: expit(value).tolist() for name, value in ends.items()}


@dataclass(frozen=True, kw_only=True)
class Detectability:
    """How particles of each size are found and judged."""

    measured_on: str
    """The data on which it was measured, in words."""
    is_measured: bool
    """Whether the user measured it for such micrographs; False for the default of the package."""
    n: int
    """Number of true particles."""
    n_micrographs: int
    """Number of micrographs that they come from."""
    range_nm: tuple[float, float]
    """1st and 99th percentile of their diameters (nm): nothing is known outside."""
    found: ShareCurve
    """Share of the true particles that are found and counted."""
    assessed: Mapping[str, ShareCurve] = field(default_factory=dict)
    """True state → share of the found particles that are called fault or no_fault."""
    called_fault: Mapping[str, ShareCurve] = field(default_factory=dict)
    """True state → share of the assessed particles that are called fault: the sensitivity, for true faults."""

    def outcomes(
        self, diameters_nm: np.ndarray, changes: Mapping[tuple[str, str], np.ndarray] | None = None
    ) -> np.ndarray:
        """Return how often counted particles of each true state are called fault, no_fault and unknown.

        Parameters
        ----------
        diameters_nm : numpy.ndarray of float
            Shape (n,), positive; clipped to `range_nm`.
        changes : mapping, optional
            (``"assessed"`` or ``"called_fault"``, true state) → change of the coefficients of that curve.

        Returns
        -------
        numpy.ndarray of float
            Shape (n, 3, 3): true state (`tables.TRUE_STATES`), outcome. The outcomes add up to 1.
        """
        d = np.clip(diameters_nm, *self.range_nm)
        changes = changes or {}
        rows = []
        for state in TRUE_STATES:
            assessed = self.assessed[state].share(d, changes.get(("assessed", state)))
            fault = self.called_fault[state].share(d, changes.get(("called_fault", state)))
            rows.append(np.stack([assessed * fault, assessed * (1 - fault), 1 - assessed], axis=1))
        return np.stack(rows, axis=1)

    def curves(self, diameters_nm: np.ndarray, *, confidence: float = 0.95) -> dict[str, Any]:
        """Return what is drawn under a curve of the defect fraction.

        Parameters
        ----------
        diameters_nm : numpy.ndarray of float
            Shape (n,), positive.
        confidence : float
            Probability, 0 to 1, that the interval at each single point contains the true share.

        Returns
        -------
        dict
            Ready for JSON: ``value`` (nm), ``found``, ``assessable`` (of found particles on a zone axis, half of them
            with a fault), ``sensitivity`` and ``false_alarms`` (each with lists ``share``, ``low``, ``high``),
            ``measured_on``, ``is_measured``, ``n``, ``n_micrographs``, ``range_nm``.
        """
        d = np.clip(diameters_nm, *self.range_nm)
        two = [self.assessed[state].band(d, confidence) for state in TRUE_STATES[:2]]
        return {
            "value": diameters_nm.tolist(),
            "found": self.found.band(d, confidence),
            "assessable": {k: ((np.array(two[0][k]) + np.array(two[1][k])) / 2).tolist() for k in two[0]},
            "sensitivity": self.called_fault["fault"].band(d, confidence),
            "false_alarms": self.called_fault["no_fault"].band(d, confidence),
            "measured_on": self.measured_on,
            "is_measured": self.is_measured,
            "n": self.n,
            "n_micrographs": self.n_micrographs,
            "range_nm": list(self.range_nm),
        }


def is_compound(material: str | None) -> float:
    """Tell compounds from elements, whose particles scatter differently.

    Parameters
    ----------
    material : str or None
        Name of a material.

    Returns
    -------
    float
        1 for a compound, 0 for an element, NaN where it is not known.
    """
    if material is None or material not in MATERIALS:
        return np.nan
    return float(len({atom[0] for atom in find_material(material).basis}) > 1)


def read_detectability(path: str | Path | None = None, *, conditions: Conditions = Conditions()) -> Detectability:
    """Read a table that ``hrtem-dask evaluate`` wrote, or the default of the package.

    Parameters
    ----------
    path : str or path-like, optional
        CSV file with the columns of `tables.DETECTABILITY`; the bundled one without it.
    conditions : Conditions
        Under which the micrographs were taken; used with the bundled table, which has many.

    Returns
    -------
    Detectability
        The curves.

    Raises
    ------
    SettingsError
        If the file has other columns, or too few particles of a true state.

    Examples
    --------
    >>> default = read_detectability(conditions=Conditions(pixel_size_nm=0.04, material="Au"))
    >>> sensitivity = default.called_fault["fault"].share(np.array([2.5, 6.0]))
    >>> bool(sensitivity[1] > sensitivity[0])
    True
    """
    if path is None:
        return fit_detectability(
            pd.read_csv(BUNDLED), measured_on=_words(conditions), is_measured=False, conditions=conditions
        )
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} is no table of detectability ({error}): give the file that evaluate wrote"
        ) from error
    return fit_detectability(table, measured_on=str(path), is_measured=True)


def fit_detectability(
    table: pd.DataFrame, *, measured_on: str, is_measured: bool = True, conditions: Conditions | None = None
) -> Detectability:
    """Fit the curves of detectability.

    Parameters
    ----------
    table : pandas.DataFrame
        Rows of `tables.DETECTABILITY`.
    measured_on : str
        The data, in words.
    is_measured : bool
        Whether the user measured it for such micrographs.
    conditions : Conditions, optional
        Conditions for which the curves hold: shares then depend on them too. Without it they are those of the table.

    Returns
    -------
    Detectability
        Logistic curves with slopes and covariances clustered by micrograph.

    Raises
    ------
    SettingsError
        If a column is missing, or fewer than `MIN_PARTICLES` particles of a true state are in the table.
    """
    needed = {"micrograph_id", "true_diameter_nm", "true_state", "found", "fault_state"}
    if missing := sorted(needed - set(table)):
        raise SettingsError(f"the table of detectability has no column {', '.join(missing)}: give evaluate's")
    diameters = numbers(table, "true_diameter_nm")
    table = table[diameters > 0].reset_index(drop=True)
    diameters = diameters[diameters > 0]
    found = table["found"].fillna(False).to_numpy(dtype=bool)
    said = table["fault_state"].astype(object).to_numpy()
    state = table["true_state"].astype(object).to_numpy()
    for name in TRUE_STATES:
        if (n := int(((state == name) & found).sum())) < MIN_PARTICLES:
            raise SettingsError(
                f"{n} found particles are truly {name}: at least {MIN_PARTICLES} are needed to measure detectability"
            )
    x = _Design.of(table, diameters, conditions)
    assessed = found & np.isin(said, ["fault", "no_fault"])
    known = {name: state == name for name in TRUE_STATES}
    return Detectability(
        measured_on=measured_on,
        is_measured=is_measured,
        n=len(table),
        n_micrographs=int(table["micrograph_id"].nunique()),
        range_nm=(float(np.quantile(diameters, 0.01)), float(np.quantile(diameters, 0.99))),
        found=x.fit(found, np.ones(len(table), dtype=bool)),
        assessed={name: x.fit(assessed, here & found) for name, here in known.items()},
        called_fault={name: x.fit(said == "fault", here & assessed) for name, here in known.items()},
    )


@dataclass(frozen=True)
class _Design:
    """Terms of the regressions of one table."""

    terms: np.ndarray
    """Shape (particles, terms): 1, u, u² − 1, and the differences from the conditions."""
    codes: np.ndarray
    """Shape (particles,): micrograph of each."""
    middle: float
    spread: float

    @classmethod
    def of(cls, table: pd.DataFrame, diameters: np.ndarray, conditions: Conditions | None) -> _Design:
        """Return the terms."""
        log = np.log(diameters)
        middle, spread = float(log.mean()), max(float(log.std()), 1e-6)
        u = (log - middle) / spread
        columns = [np.ones_like(u), u, u**2 - 1]
        if conditions is not None:
            compounds = np.array([is_compound(m) for m in table["material"].astype(object)])
            for values, wanted in zip(
                (np.log(numbers(table, "pixel_size_nm")), np.log(numbers(table, "dose_per_nm2")), compounds),
                conditions.terms(),
                strict=True,
            ):
                center = np.nanmean(values) if np.isnan(wanted) else np.clip(wanted, *np.nanquantile(values, [0, 1]))
                column = np.nan_to_num((values - center) / max(float(np.nanstd(values)), 1e-6))
                columns += [column, column * u]
        codes = np.asarray(pd.factorize(table["micrograph_id"])[0])
        return cls(np.stack(columns, axis=1), codes, middle, spread)

    def fit(self, hits: np.ndarray, rows: np.ndarray) -> ShareCurve:
        """Fit the share of hits among some rows."""
        x, y = self.terms[rows], hits[rows].astype(float)
        precision = np.full(x.shape[1], _PRIOR_SD**-2)
        precision[0] = _PRIOR_SD_LEVEL**-2
        beta = np.zeros(x.shape[1])
        for _ in range(_STEPS):
            p = expit(x @ beta)
            hessian = (x * (p * (1 - p))[:, None]).T @ x + np.diag(precision)
            step = np.linalg.solve(hessian, x.T @ (y - p) - precision * beta)
            beta = beta + step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-300))
            if np.abs(step).max() < 1e-9:
                break
        covariance = np.linalg.inv(hessian)
        scores = np.zeros((int(self.codes.max(initial=0)) + 1, x.shape[1]))
        np.add.at(scores, self.codes[rows], x * (y - p)[:, None])
        # micrographs differ: a sandwich would vanish where all particles agree, so that only its factor is used
        effect = max(1.0, float(np.trace(covariance @ scores.T @ scores)) / x.shape[1])
        return ShareCurve(beta[:3], covariance[:3, :3] * effect, self.middle, self.spread)


def _words(conditions: Conditions) -> str:
    """Describe the bundled table."""
    parts = []
    if conditions.pixel_size_nm is not None:
        parts.append(f"{conditions.pixel_size_nm:.3g} nm/px")
    if conditions.dose_per_nm2 is not None:
        parts.append(f"{conditions.dose_per_nm2:.2g} electrons/nm²")
    if conditions.material is not None:
        parts.append(conditions.material)
    return f"simulated micrographs of this package{', for ' if parts else ''}{', '.join(parts)}"
