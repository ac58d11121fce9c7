"""Parts that several commands share: options, settings from options, and errors in one line."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from hrtem_dask.errors import HrtemDaskError, error_text

if TYPE_CHECKING:
    from hrtem_dask.settings import Settings

    _Text = click.ParamType[str]
else:  # older releases of click have no type arguments
    _Text = click.ParamType

__all__ = ["MODEL", "MODEL_FILE", "PLACE", "clear_errors", "cluster_options", "loading_options", "read_settings",
           "require_results"]  # fmt: skip

Command = TypeVar("Command", bound=Callable[..., object])
Result = TypeVar("Result")


class _Place(_Text):
    """A file or folder that must exist; URLs, members of archives and patterns are left to what reads them."""

    name = "place"

    def __init__(self, *names: str) -> None:
        self.names = names
        """Words that stand for something else than a path."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is."""
        text = str(value)
        if (
            text not in self.names
            and not any(mark in text for mark in ("://", "::", "*", "?", "["))
            and not Path(text).exists()
        ):
            self.fail(f"{text}: this path does not exist", param, ctx)
        return text


class _ModelFile(_Text):
    """Name of a model file that is written: commands that read it tell its format by the ending."""

    name = "model file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text as it is."""
        text = str(value)
        if not text.endswith(".safetensors"):
            self.fail(f"{text}: models are written as safetensors; give a name that ends in .safetensors", param, ctx)
        return text


PLACE, MODEL, MODEL_FILE = _Place(), _Place("bundled"), _ModelFile()


def loading_options(command: Command) -> Command:
    """Add the options for pixel sizes, settings and samples."""
    for option in reversed(
        [
            click.option("--pixel-size", type=float, metavar="NM", help="Pixel size in nm, for every file."),
            click.option("--pixels", is_flag=True, help="Analyze micrographs without a pixel size in pixels."),
            click.option("--settings", "settings_file", type=click.Path(), metavar="FILE.toml", help="Settings file."),
            click.option(
                "--metadata",
                type=click.Path(),
                metavar="FILE.csv",
                help="Table with sample and covariates of each path or pattern.",
            ),
        ]
    ):
        command = option(command)
    return command


def cluster_options(command: Callable[..., Result]) -> Callable[..., Result]:
    """Add the options --cluster and --workers; the command gets them as one argument ``cluster``."""

    @click.option(
        "--cluster",
        "scheduler",
        metavar="local|cuda|slurm|ADDRESS|FILE",
        help="Where to compute: cores or GPUs of this machine, SLURM jobs, a running Dask scheduler (its address or "
        "scheduler file), or a TOML file with a table [cluster].",
    )
    @click.option("--workers", type=click.IntRange(min=1), metavar="N", help="Number of workers.")
    @functools.wraps(command)
    def with_cluster(*arguments: Any, scheduler: str | None, workers: int | None, **options: Any) -> Result:
        from hrtem_dask.batch.cluster.forkserver import start_forkserver
        from hrtem_dask.cluster_settings import Cluster

        with clear_errors():
            cluster = Cluster(scheduler=scheduler, workers=workers)
        if scheduler in (None, "local") and options.get("device") != "cuda" and not options.get("dry_run"):
            start_forkserver()  # it imports while this program does
        return command(*arguments, cluster=cluster, **options)

    return with_cluster


def read_settings(options: Mapping[str, Any]) -> Settings:
    """Return the settings of the file, with the values of the given options."""
    from hrtem_dask.settings import Settings

    settings = Settings.from_file(options["settings_file"]) if options.get("settings_file") else Settings()
    names = {
        "pixel_size": ("loading", "pixel_size_nm"),
        "model": ("segmentation", "model"),
        "method": ("segmentation", "method"),
        "material": ("fourier", "material"),
        "defect_model": ("defects", "model"),
        "regime": ("segmentation", "regime"),
        "precision": ("segmentation", "precision"),
        "particles": ("segmentation", "particles_are"),
        "diameter": ("segmentation", "diameter_nm"),
        "diameter_px": ("segmentation", "diameter_px"),
        "scale": ("detection", "scale"),
        "device": ("execution", "device"),
        "overlays": ("execution", "overlays"),
        "timeout_per_file": ("execution", "timeout_per_file_s"),
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
    """Print errors that a user can correct in one line, without a traceback."""
    try:
        yield
    except (HrtemDaskError, OSError) as error:
        raise click.ClickException(error_text(error)) from error


def require_results(folder: str) -> None:
    """End a command at once where a local folder holds no results: what reads them takes seconds to import.

    Parameters
    ----------
    folder : str
        The argument RESULTS; a URL is not looked at.

    Raises
    ------
    click.ClickException
        If there is no such folder, or no run has ended there.
    """
    path = Path(folder)
    if "://" in folder or (path / "micrographs.parquet").is_file():
        return
    if not path.exists():
        raise click.ClickException(f"there is no folder {folder!r}: give the folder that a run wrote (run --out)")
    if not path.is_dir():
        raise click.ClickException(f"{folder!r} is a file: give the folder that a run wrote (run --out)")
    raise click.ClickException(f"no results in {folder!r}: micrographs.parquet is absent; has a run ended there?")
