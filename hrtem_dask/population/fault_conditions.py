"""What the fault states of a run rest on: the voltages that the micrographs state, and how they were taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hrtem_dask.population.verdicts import MAX_DOUBTFUL_SHARE, doubtful_micrographs

__all__ = ["KNOWN_FAULT_STATES", "describe_fault_conditions", "fault_condition_lines"]

KNOWN_FAULT_STATES = ("fault", "no_fault")
"""Fault states other than ``unknown``."""


def describe_fault_conditions(
    micrographs: pd.DataFrame, n_known: Mapping[str, int], voltage_range_kv: tuple[float, float]
) -> dict[str, Any]:
    """Count the micrographs whose fault states rest on an assumption.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    n_known : mapping of str to int
        `micrograph_id` → number of its counted particles with a known fault state.
    voltage_range_kv : tuple of float
        Acceleration voltages (kV) for which the classifier holds: ``defects.voltage_range_kv``.

    Returns
    -------
    dict
        Ready for JSON: ``n_particles`` with a known fault state; ``n_micrographs`` they are on, of which
        ``n_without_voltage`` state no voltage, so that one within ``voltage_range_kv`` was assumed, and
        ``n_not_conventional`` are dark-field or STEM images by their files; ``states_are_doubtful``: whether more than
        `verdicts.MAX_DOUBTFUL_SHARE` of these particles are on doubtful micrographs. And ``n_other_voltage``: analyzed
        micrographs whose fault states are unknown because they state another voltage, ``other_voltages_kv`` (lowest,
        highest).

    Examples
    --------
    >>> table = pd.DataFrame({"micrograph_id": ["a", "b"], "voltage_kv": [200.0, None], "imaging": [None, "STEM"]})
    >>> table = table.assign(status="done", verdict="trusted", quality_flags=None)
    >>> found = describe_fault_conditions(table, {"a": 3, "b": 4}, (150.0, 350.0))
    >>> found["n_particles"], found["n_without_voltage"], found["n_not_conventional"]
    (7, 1, 1)
    """
    known = {name: n for name, n in n_known.items() if n}
    rows = micrographs[micrographs["micrograph_id"].isin(known)]
    n_doubtful = sum(n for name, n in known.items() if name in doubtful_micrographs(micrographs))
    flags = micrographs["quality_flags"].astype(object).fillna("").astype(str).str.split(",")
    other = micrographs.loc[flags.map(lambda names: "voltage" in names) & micrographs["voltage_kv"].notna()]
    imaging = rows["imaging"].astype(object).fillna("").astype(str)
    return {
        "n_particles": sum(known.values()),
        "n_micrographs": len(rows),
        "n_without_voltage": int(rows["voltage_kv"].isna().sum()),
        "n_not_conventional": int((imaging.str.startswith("dark field") | (imaging == "STEM")).sum()),
        "states_are_doubtful": n_doubtful > MAX_DOUBTFUL_SHARE * sum(known.values()),
        "voltage_range_kv": [float(v) for v in voltage_range_kv],
        "n_other_voltage": len(other),
        "other_voltages_kv": [float(other["voltage_kv"].min()), float(other["voltage_kv"].max())] if len(other) else [],
    }


def fault_condition_lines(described: Mapping[str, Any]) -> list[str]:
    """Put into words what the fault states rest on.

    Parameters
    ----------
    described : mapping
        From `describe_fault_conditions`.

    Returns
    -------
    list of str
        Empty where nothing was assumed, and no micrograph states another voltage.

    Examples
    --------
    >>> found = {"n_particles": 12, "n_micrographs": 3, "n_without_voltage": 2, "n_not_conventional": 0}
    >>> first, second = fault_condition_lines(found | {"voltage_range_kv": [150.0, 350.0]})
    >>> first.partition(": ")[2]
    '2 of these micrographs state no voltage; 150 to 350 kV is assumed'
    """
    outside = _outside(described)
    n, without = int(described.get("n_micrographs", 0)), int(described.get("n_without_voltage", 0))
    other = int(described.get("n_not_conventional", 0))
    if not n or not (without or other):
        return outside
    particles = int(described["n_particles"])
    head = f"fault states of {_counted(particles, 'counted particle')} on {_counted(n, 'micrograph')}: "
    lines = []
    if without:
        low, high = described["voltage_range_kv"]
        state = "states" if without == 1 else "state"
        lines.append(f"{_some(without, n)} {state} no voltage; {low:g} to {high:g} kV is assumed")
        lines.append(
            "at another voltage the classifier does not hold, and they would be wrong (defects.voltage_range_kv)"
        )
    if other:
        kind = "is a dark-field or STEM image" if other == 1 else "are dark-field or STEM images"
        lines.append(f"{_some(other, n)} {kind}; the bundled classifier was trained on bright-field HRTEM alone")
    return [head + lines[0], *lines[1:], *outside]


def _outside(described: Mapping[str, Any]) -> list[str]:
    """Say how many micrographs state a voltage for which the classifier does not hold."""
    n = int(described.get("n_other_voltage", 0))
    if not n:
        return []
    low, high = described["voltage_range_kv"]
    voltages = " to ".join(dict.fromkeys(f"{v:g}" for v in described["other_voltages_kv"]))
    return [
        f"{_counted(n, 'micrograph')} {'states' if n == 1 else 'state'} a voltage outside of {low:g} to {high:g} kV "
        f"({voltages} kV): {'its' if n == 1 else 'their'} fault states are unknown"
    ]


def _some(n: int, of: int) -> str:
    """Return which of the micrographs."""
    if n == of:
        return "it" if of == 1 else "all of these micrographs"
    return f"{n} of these micrographs"


def _counted(n: int, thing: str) -> str:
    """Return a number of things."""
    return f"{n} {thing}{'' if n == 1 else 's'}"
