"""The command line: ``hrtem-dask …``.

Only click is imported here at the top: everything heavy waits until a command runs, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from hrtem_dask.errors import HrtemDaskError

EXAMPLES = """\b
Examples:
  hrtem-dask inspect my_folder                 what would be read, and what is wrong with it
  hrtem-dask run my_folder --out results       analyse everything in it
  hrtem-dask run *.dm4 --out results --pixel-size 0.021 --model unet.safetensors
"""


@click.group(epilog=EXAMPLES, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="hrtem-dask")
def main() -> None:
    """Analyse HRTEM micrographs of nanoparticles in batches: files in, a table of particles out."""


def _loading_options(command: Any) -> Any:
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


def _cluster_options(command: Any) -> Any:
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


@main.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT…")
@click.option("--out", "-o", required=True, metavar="DIR", help="Results folder; run again into it to resume.")
@click.option("--model", metavar="FILE", help="Weights of a U-Net: .safetensors, or the paper's Keras .h5.")
@click.option(
    "--method",
    type=click.Choice(["otsu", "fourier", "unet"]),
    help="Segmentation; by default unet with --model, else fourier.",
)
@click.option("--material", metavar="NAME", help="Known material, such as Au: its lattice checks the pixel size.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where images are processed.")
@click.option("--overlays", type=click.Choice(["sample", "all", "none"]), help="Pictures of the outlines.")
@click.option("--quiet", "-q", is_flag=True, help="No progress bar.")
@_loading_options
@_cluster_options
def run(inputs: tuple[str, ...], out: str, quiet: bool, **options: Any) -> None:
    """Analyse micrographs into a results folder.

    INPUT is a file, a folder, a glob in quotes, or an fsspec URL; several may be given. Every 2-D image ends as one
    row of micrographs.parquet: done, empty, set_aside or failed, with the reason. Running again into the same
    folder skips what is done, tries again what failed, and redoes what changed.
    """
    from hrtem_dask.batch.run import run as run_batch

    with _clear_errors():
        summary = run_batch(
            list(inputs),
            out,
            settings=_settings(options),
            scheduler=options["scheduler"],
            workers=options["workers"],
            metadata=options["metadata"],
            progress=not quiet and sys.stderr.isatty(),
            say=lambda line: click.echo(line, err=True),
        )
    counts = ", ".join(f"{n} {status}" for status, n in summary.counts.items())
    click.echo(f"micrographs: {counts}  ({summary.n_skipped} of them done before)")
    click.echo(f"particles:   {summary.n_particles}")
    click.echo(f"results:     {summary.results}  ({summary.seconds:.1f} s)")
    if not summary.analysed:
        click.echo("nothing could be analysed: see the column 'reason' of micrographs.parquet", err=True)
        sys.exit(1)


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--csv", "csv_file", type=click.Path(), metavar="FILE", help="Write the table as CSV instead.")
@_loading_options
def inspect(files: tuple[str, ...], csv_file: str | None, **options: Any) -> None:
    """Show what would be read from files, and what is wrong with it.

    Nothing is analysed. The exit status is not zero when no file holds a micrograph that can be analysed.
    """
    from hrtem_dask.batch.inspection import inspect_files, print_inspection

    with _clear_errors():
        table = inspect_files(
            list(files),
            settings=_settings(options),
            metadata=options["metadata"],
            say=lambda line: click.echo(line, err=True),
        )
    if csv_file:
        table.to_csv(csv_file, index=False)
        click.echo(f"{len(table)} rows written to {csv_file}")
    else:
        print_inspection(table)
    if not (table["status"] == "ok").any():
        sys.exit(1)


@main.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--out", "-o", required=True, metavar="STORE.zarr", help="The Zarr store to write.")
@_loading_options
@_cluster_options
def ingest(files: tuple[str, ...], out: str, **options: Any) -> None:
    """Write micrographs into one Zarr store, chunked by micrograph.

    The store holds one OME-NGFF 0.5 image per micrograph with its axes in nm; xarray, napari and other OME-Zarr tools
    open it, and `hrtem-dask run STORE.zarr` analyses it.
    """
    from hrtem_dask.batch.ingest import ingest as ingest_batch

    with _clear_errors():
        table = ingest_batch(
            list(files),
            out,
            settings=_settings(options),
            scheduler=options["scheduler"],
            workers=options["workers"],
            metadata=options["metadata"],
            say=lambda line: click.echo(line, err=True),
        )
    written = table["status"] == "ok"
    click.echo(f"{int(written.sum())} micrographs written to {out}, {int((~written).sum())} left out")
    for row in table[~written].itertuples():
        click.echo(f"  {row.source}: {row.reason}")
    if not written.any():
        sys.exit(1)


@main.command()
@click.option("--out", "-o", default="demo", show_default=True, metavar="DIR", help="Folder to write to.")
@click.option("--micrographs", "-n", default=4, show_default=True, type=click.IntRange(min=1), help="How many.")
@_cluster_options
def demo(out: str, micrographs: int, scheduler: str | None, workers: int | None) -> None:
    """Make a few simulated micrographs, analyse them, and compare with the truth."""
    from hrtem_dask.batch.demo import demo as run_demo

    with _clear_errors():
        run_demo(Path(out), n_micrographs=micrographs, scheduler=scheduler, workers=workers, say=click.echo)


def _settings(options: dict[str, Any]) -> Any:
    """Return the settings of the file, changed by the options given."""
    from hrtem_dask.settings import Settings

    settings = Settings.from_file(options["settings_file"]) if options.get("settings_file") else Settings()
    names = {
        "pixel_size": ("loading", "pixel_size_nm"),
        "model": ("segmentation", "model"),
        "method": ("segmentation", "method"),
        "material": ("fourier", "material"),
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
def _clear_errors() -> Iterator[None]:
    """Turn what a user can mend into one line, without a traceback."""
    try:
        yield
    except (HrtemDaskError, OSError) as error:
        raise click.ClickException(str(error)) from error
