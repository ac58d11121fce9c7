"""What several commands share: options, settings from options, errors as one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from hrtem_dask.errors import HrtemDaskError

__all__ = ["clear_errors", "cluster_options", "loading_options", "read_settings"]


def loading_options(command: Any) -> Any:
    """Add the options that say what a pixel is."""
    for option in reversed(
        [
            click.option("--pixel-size", type=float, metavar="NM", help="Pixel size in nm, for every file."),
            click.option("--pixels", is_flag=True, help="Analyse micrographs without a pixel size in pixels."),
            click.option("--settings", "settings_file", type=click.Path(), metavar="FILE.toml", help="Settings file."),
            click.option(
                "--metadata",
                type=click.Path(),
                metavar="FILE.csv",
                help="Sample and covariates: path or pattern → columns.",
            ),
        ]
    ):
        command = option(command)
    return command


def cluster_options(command: Any) -> Any:
    """Add the options that say where to compute."""
    for option in reversed(
        [
            click.option(
                "--scheduler", metavar="ADDRESS|FILE", help="A running Dask scheduler, or its scheduler file."
            ),
            click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Workers on this machine."),
        ]
    ):
        command = option(command)
    return command


def read_settings(options: dict[str, Any]) -> Any:
    """Return the settings of the file, changed by the options given."""
    from hrtem_dask.settings import Settings

    settings = Settings.from_file(options["settings_file"]) if options.get("settings_file") else Settings()
    names = {
        "pixel_size": ("loading", "pixel_size_nm"),
        "model": ("segmentation", "model"),
        "method": ("segmentation", "method"),
        "material": ("fourier", "material"),
        "defect_model": ("defects", "model"),
        "device": ("execution", "device"),
        "overlays": ("execution", "overlays"),
    }
    changed: dict[str, dict[str, Any]] = {}
    for option, (stage, name) in names.items():
        if options.get(option) is not None:
            changed.setdefault(stage, {})[name] = options[option]
    if options.get("pixels"):
        changed.setdefault("loading", {})["pixels"] = True
    return settings.updated(changed)


@contextmanager
def clear_errors() -> Iterator[None]:
    """Turn what a user can mend into one line, without a traceback."""
    try:
        yield
    except (HrtemDaskError, OSError) as error:
        raise click.ClickException(str(error)) from error
