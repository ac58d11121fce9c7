"""The bias that a reference material showed, carried into the budgets of other samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hrtem_dask.errors import SettingsError
from hrtem_dask.population.particle_table import numbers

__all__ = ["bias_of_reference", "measured_with", "why_it_may_not_hold"]

_SIMILAR_SIZE = 2.0
"""Largest factor between a size and the certified one for which the bias in nm is taken to hold."""
_SIMILAR_PIXELS = 1.2
"""Largest factor between pixel sizes, because a bias of the outline is one in pixels."""
_SETTINGS = ("filtering", "segmentation", "particles")
"""Settings that decide where outlines lie."""
_KEPT = ("certified_nm", "bias_nm", "bias_term_nm", "agrees", "measured_with")


def measured_with(micrographs: pd.DataFrame, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Describe what decides the bias of a measurement.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    settings : mapping
        Settings of the run, as in ``run.toml``.

    Returns
    -------
    dict
        Ready for JSON: ``pixel_size_nm`` (median; None where none is known), ``model_hashes`` and ``settings``.
    """
    middle = float(pd.Series(numbers(micrographs, "pixel_size_y_nm")).median())
    return {
        "pixel_size_nm": None if np.isnan(middle) else middle,
        "model_hashes": sorted(micrographs["model_hash"].dropna().unique()),
        "settings": {name: settings[name] for name in _SETTINGS if name in settings},
    }


def bias_of_reference(summary: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the bias term of a reference measurement.

    Parameters
    ----------
    summary : mapping
        Content of ``summary.json`` of the results of the reference material, after ``hrtem-dask report RESULTS
        --reference NM±NM``.
    source : str
        Folder of these results, for messages and the report.

    Returns
    -------
    dict
        ``source``, ``certified_nm``, ``bias_nm``, ``bias_term_nm`` (standard uncertainty), ``agrees`` and
        ``measured_with``.

    Raises
    ------
    SettingsError
        If that report has no reference material.

    Examples
    --------
    >>> reference = {"certified_nm": 30.2, "bias_nm": 0.6, "bias_term_nm": 0.46, "agrees": True, "measured_with": {}}
    >>> bias_of_reference({"comparability": {"reference": reference}}, "gold_30nm")["bias_term_nm"]
    0.46
    """
    reference = (summary.get("comparability") or {}).get("reference")
    if not reference or not set(_KEPT) <= set(reference):
        raise SettingsError(
            f"{source} has no measurement of a reference material: run `hrtem-dask report {source} --reference NM±NM` "
            "first"
        )
    return {"source": source, **{name: reference[name] for name in _KEPT}}


def why_it_may_not_hold(bias: Mapping[str, Any], median_nm: float | None, conditions: Mapping[str, Any]) -> list[str]:
    """Return why the bias of a reference material may not hold for a sample.

    Parameters
    ----------
    bias : mapping
        Result of `bias_of_reference`.
    median_nm : float or None
        Median size of the sample (nm).
    conditions : mapping
        Result of `measured_with` for the sample.

    Returns
    -------
    list of str
        Sentences; empty where nothing speaks against it.

    Examples
    --------
    >>> same = {"pixel_size_nm": 0.05, "model_hashes": [], "settings": {}}
    >>> bias = {"certified_nm": 30.2, "agrees": True, "measured_with": same}
    >>> why_it_may_not_hold(bias, 28.0, same)
    []
    >>> why_it_may_not_hold(bias, 28.0, same | {"pixel_size_nm": 0.1})
    ['Its pixels had 0.05 nm, those of this sample have 0.1 nm: measure it at the same magnification.']
    """
    found, reference = [], bias["measured_with"]
    if median_nm is not None and not 1 / _SIMILAR_SIZE <= median_nm / bias["certified_nm"] <= _SIMILAR_SIZE:
        found.append(
            f"The median of {median_nm:.3g} nm is more than a factor of {_SIMILAR_SIZE:g} from the certified size of "
            f"{bias['certified_nm']:g} nm: measure a reference of a closer size."
        )
    pixels = [reference["pixel_size_nm"], conditions["pixel_size_nm"]]
    if None not in pixels and max(pixels) > _SIMILAR_PIXELS * min(pixels):
        found.append(
            f"Its pixels had {pixels[0]:.3g} nm, those of this sample have {pixels[1]:.3g} nm: measure it at the same "
            "magnification."
        )
    if any(reference[name] != conditions[name] for name in ("model_hashes", "settings")):
        found.append("It was measured with another model or other settings: measure it with the same ones.")
    if bias["agrees"] is False:
        found.append("It did not agree with its certificate: correct the cause of the bias.")
    return found
