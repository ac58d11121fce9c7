"""Ranges of settings."""

from __future__ import annotations

from hrtem_dask.errors import SettingsError


def require(name: str, value: float, low: float, high: float = float("inf")) -> None:
    """Refuse a value outside its range; NaN is outside every range.

    Parameters
    ----------
    name : str
        Name of the setting, with its table.
    value : float
        Its value.
    low, high : float, optional
        Limits, which belong to the range.

    Raises
    ------
    SettingsError
        If it is.
    """
    if not low <= value <= high:
        limit = f"at least {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise SettingsError(f"{name} must be {limit}, got {value!r}")
