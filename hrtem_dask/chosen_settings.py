"""Settings as users give them in Python: an object, a dictionary, a file, and a few settings by name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeAlias

from hrtem_dask.errors import SettingsError
from hrtem_dask.settings import Settings

__all__ = ["SHORTCUTS", "SettingsLike", "choose_settings"]

SettingsLike: TypeAlias = "Settings | Mapping[str, Mapping[str, object]] | str | os.PathLike[str]"
"""Settings, a dictionary of the settings that differ (stage → name → value), or the path of a TOML file."""
SHORTCUTS = {
    "pixel_size_nm": ("loading", "pixel_size_nm"),
    "method": ("segmentation", "method"),
    "material": ("fourier", "material"),
}
"""Keyword of Python functions → stage and name of the setting that it sets."""


def choose_settings(settings: SettingsLike | None = None, **shortcuts: object) -> Settings:
    """Return settings from what a caller gives.

    Parameters
    ----------
    settings : Settings, mapping, str or path-like, optional
        All settings; a dictionary of those that differ from the defaults; or the path of a TOML file.
    **shortcuts : object
        Values of `SHORTCUTS`, which replace those of `settings`; None keeps them.

    Returns
    -------
    Settings
        The settings.

    Raises
    ------
    SettingsError
        If a setting or its value is not valid, or `settings` has another type.

    Examples
    --------
    >>> settings = choose_settings({"particles": {"min_area_px": 50}}, method="otsu", material=None)
    >>> settings.particles.min_area_px, settings.segmentation.method
    (50, 'otsu')
    """
    if settings is None:
        chosen = Settings()
    elif isinstance(settings, Settings):
        chosen = settings
    elif isinstance(settings, Mapping):
        chosen = Settings().updated(settings)
    elif isinstance(settings, str | os.PathLike):
        chosen = Settings.from_file(os.fspath(settings))
    else:
        raise SettingsError(
            f"settings must be Settings, a dictionary or the path of a TOML file, got {type(settings).__name__}"
        )
    changed: dict[str, dict[str, object]] = {}
    for name, value in shortcuts.items():
        if value is not None:
            stage, setting = SHORTCUTS[name]
            changed.setdefault(stage, {})[setting] = value
    return chosen.updated(changed)
