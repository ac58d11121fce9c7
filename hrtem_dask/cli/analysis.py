"""The commands run, inspect, ingest and demo."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hrtem_dask.cli.messages import message_options, messages_are_shown
from hrtem_dask.cli.options import clear_errors, cluster_options, loading_options, read_settings
from hrtem_dask.errors import HrtemDaskError

if TYPE_CHECKING:
    from hrtem_dask.batch.run.run import RunSummary
    from hrtem_dask.cluster_settings import Cluster
    from hrtem_dask.settings import Settings

__all__ = ["demo", "ingest", "inspect", "run"]

SHOWN_REASONS = 4
"""Most reasons of one status that the end of a run prints."""
NOT_COUNTED = {"edge": "at the border", "mark": "at a burnt-in mark"}
"""Reason why a particle is not counted → in words, where they are others than the reason's."""


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT…")
@click.option("--out", "-o", required=True, metavar="DIR", help="Results folder; run again into it to resume.")
@click.option(
    "--model",
    metavar="FILE",
    help="Weights of another U-Net or detector than the bundled one: .safetensors, or the paper's Keras .h5.",
)
@click.option(
    "--method",
    type=click.Choice(["otsu", "fourier", "unet", "rotated_rcnn", "mask_rcnn"]),
    help="Segmentation, by default unet; or a detector of overlapping rods (rotated_rcnn) or vesicles (mask_rcnn).",
)
@click.option(
    "--regime",
    type=click.Choice(["auto", "lattice", "contrast"]),
    help="How the U-Net finds its scale: from the pixel size (lattice) or from the image (contrast).",
)
@click.option(
    "--particles",
    type=click.Choice(["auto", "dark", "bright"]),
    help="Darker or brighter than the support; auto: bright where the file names HAADF, another dark field, or STEM.",
)
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    help="Numbers that the U-Net computes with; bfloat16 is faster on some processors, and changes a few pixels.",
)
@click.option("--diameter", type=float, metavar="NM", help="Typical particle diameter in nm, for the contrast regime.")
@click.option("--diameter-px", type=float, metavar="PX", help="The same in pixels of the micrograph.")
@click.option(
    "--scale",
    type=float,
    metavar="S",
    help="Pixels that a detector sees per pixel of the micrograph; found from the image by default.",
)
@click.option("--material", metavar="NAME", help="Known material, such as Au: its lattice checks the pixel size.")
@click.option(
    "--defect-model",
    metavar="FILE",
    help="Another classifier of regions than the bundled one: hrtem-dask train defects.",
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where images are processed.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Analyze only the first N micrographs.")
@click.option(
    "--max-failures", type=click.IntRange(0), metavar="N", help="End the run when more than N micrographs have failed."
)
@click.option(
    "--retry-failed/--no-retry-failed",
    default=True,
    help="Whether micrographs that failed in an earlier run are tried again; they are by default.",
)
@click.option(
    "--timeout-per-file",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End a micrograph that takes longer; its row is failed.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, with files, bytes, memory and time; do nothing.")
@click.option("--overlays", type=click.Choice(["sample", "all", "none"]), help="Pictures of the outlines.")
@loading_options
@cluster_options
@message_options
def run(inputs: tuple[str, ...], out: str, **options: Any) -> None:
    """Analyze micrographs into a results folder.

    INPUT is a file, a folder, a glob in quotes, or an fsspec URL; several may be given. Every 2-D image gets one row
    in micrographs.parquet, with the status done, empty, set_aside or failed, and the reason. Running again into the
    same folder skips micrographs that are done, tries failed ones again, and repeats those whose file or settings
    have changed.
    """
    from hrtem_dask.batch.run.run import run as run_batch
    from hrtem_dask.population.fault_conditions import fault_condition_lines
    from hrtem_dask.population.same_fields import same_field_lines
    from hrtem_dask.population.verdicts import verdict_lines

    with clear_errors(), _told_how_to_go_on(out):
        settings = read_settings(options)
        if options["dry_run"]:
            _echo_dry_run(inputs, out, settings, options)
            return
        summary = run_batch(
            list(inputs),
            out,
            settings=settings,
            metadata=options["metadata"],
            limit=options["limit"],
            max_failures=options["max_failures"],
            retry_failed=options["retry_failed"],
            cluster=options["cluster"],
            progress=messages_are_shown() and sys.stderr.isatty(),
        )
    counts = ", ".join(f"{n} {status}" for status, n in summary.counts.items())
    click.echo(f"micrographs: {counts}  ({summary.n_skipped} of them done before)")
    for status, reasons in summary.reasons.items():
        _echo_reasons(status, reasons)
    _echo_particles(summary)
    for i, line in enumerate(summary.sizes):
        click.echo(f"{'sizes:' if i == 0 else '':<13}{line}")
    if summary.n_too_small:
        limit = settings.particles.counting_limit
        click.echo(f"too small:   {summary.n_too_small} objects below the counting limit of {limit} were not counted")
    if summary.n_uncertain:
        least = settings.particle_rules.min_mean_probability
        click.echo(
            f"uncertain:   {summary.n_uncertain} objects with a mean particle probability below {least:g} were left "
            "out (settings particles.min_mean_probability)"
        )
    if summary.taken_as_bright:
        stated = ", ".join(f"{words}: {n}" for words, n in summary.taken_as_bright.items())
        click.echo(
            f"bright:      particles were taken as bright, as the files say ({stated}); --particles dark overrides it"
        )
    if n := summary.n_unset_pixels:
        which = "1 micrograph has a pixel" if n == 1 else f"{n} micrographs have pixels"
        click.echo(
            f"pixel size:  {which} of exactly 1 nm (or 1 Å in MRC), as programs write it that know none: give it "
            "(--pixel-size, --metadata)"
        )
    for i, line in enumerate(fault_condition_lines(summary.fault_conditions)):
        click.echo(f"{'faults:' if i == 0 else '':<13}{line}")
    click.echo(f"results:     {summary.results}  ({summary.seconds:.1f} s)")
    for line in (*same_field_lines(summary.same_fields), *verdict_lines(summary.verdicts)):
        click.echo(line)
    if not summary.analysed:
        click.echo("no micrograph could be analyzed: see the column reason of micrographs.parquet", err=True)
        sys.exit(1)
    if messages_are_shown():
        why = "its report.html is older than this run" if summary.report_is_old else "figures and statistics, one page"
        click.echo(f"next:        hrtem-dask report {summary.results}    {why}")


def _echo_dry_run(inputs: Sequence[str], out: str, settings: Settings, options: Mapping[str, Any]) -> None:
    """Print what the run would do."""
    from hrtem_dask.batch.run.dry_run import dry_run

    names = ("metadata", "limit", "retry_failed", "cluster")
    planned = dry_run(list(inputs), out, settings=settings, **{name: options[name] for name in names})
    for line in planned.lines():
        click.echo(line)


def _echo_particles(summary: RunSummary) -> None:
    """Print how many particles were found, and why not all of them are counted."""
    reasons = ", ".join(f"{NOT_COUNTED.get(why, why.replace('_', ' '))}: {n}" for why, n in summary.excluded.items())
    not_counted = f"; not counted: {reasons}" if reasons else ""
    counted = f", {summary.n_counted} of them counted{not_counted}" if summary.n_particles else ""
    click.echo(f"particles:   {summary.n_particles}{counted}")


def _echo_reasons(status: str, reasons: Mapping[str, int]) -> None:
    """Print why images have no result, the most frequent reasons first."""
    for reason, n in list(reasons.items())[:SHOWN_REASONS]:
        click.echo(f"{status + ':':<13}{n} because: {reason}")
    if others := list(reasons.values())[SHOWN_REASONS:]:
        click.echo(f"{status + ':':<13}{sum(others)} for {len(others)} other reasons: see micrographs.parquet")


@contextmanager
def _told_how_to_go_on(out: str) -> Iterator[None]:
    """End on Ctrl-C with what is done, instead of a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        from hrtem_dask.batch.results_state import run_state

        known = "nothing is done yet"
        with suppress(HrtemDaskError, OSError):
            state = run_state(out)
            if state.to_analyze is not None and state.remaining is not None:
                known = f"{state.to_analyze - state.remaining} of {state.to_analyze} done"
        click.echo(f"stopped: {known}; the same command goes on", err=True)
        sys.exit(130)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--csv", "csv_file", type=click.Path(), metavar="FILE", help="Write the table as CSV instead.")
@click.option("--headers-only", is_flag=True, help="Read no image: faster, but copies of one field are not found.")
@loading_options
@message_options
def inspect(files: tuple[str, ...], csv_file: str | None, headers_only: bool, **options: Any) -> None:
    """Show the micrographs that a run would analyze, those that it would set aside, and the reasons.

    Nothing is analyzed. The exit status is not zero if no file holds a micrograph that can be analyzed.
    """
    from hrtem_dask.batch.inspection import inspect_files, print_inspection

    with clear_errors():
        table = inspect_files(
            list(files),
            settings=read_settings(options),
            metadata=options["metadata"],
            headers_only=headers_only,
        )
    if csv_file:
        from hrtem_dask.spreadsheet_text import without_formulas

        without_formulas(table).to_csv(csv_file, index=False)
        click.echo(f"{len(table)} rows written to {csv_file}")
    else:
        print_inspection(table)
    if not (table["status"] == "ok").any():
        sys.exit(1)


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE…")
@click.option("--out", "-o", required=True, metavar="STORE.zarr", help="The Zarr store to write.")
@loading_options
@cluster_options
@message_options
def ingest(files: tuple[str, ...], out: str, **options: Any) -> None:
    """Write micrographs into one Zarr store, chunked by micrograph.

    The store holds one OME-NGFF 0.5 image per micrograph with its axes in nm; xarray, napari and other OME-Zarr tools
    open it, and `hrtem-dask run STORE.zarr` analyzes it.
    """
    from hrtem_dask.batch.ingest import ingest as ingest_batch

    with clear_errors():
        table = ingest_batch(
            list(files),
            out,
            settings=read_settings(options),
            metadata=options["metadata"],
            cluster=options["cluster"],
        )
    written = table["status"] == "ok"
    click.echo(f"{int(written.sum())} micrographs written to {out}, {int((~written).sum())} left out")
    for row in table[~written].itertuples():
        click.echo(f"  {row.source}: {row.reason}")
    if not written.any():
        sys.exit(1)


@click.command()
@click.option("--out", "-o", default="demo", show_default=True, metavar="DIR", help="Folder to write to.")
@click.option(
    "--micrographs", "-n", default=4, show_default=True, type=click.IntRange(min=1), help="Number of micrographs."
)
@cluster_options
@message_options
def demo(out: str, micrographs: int, cluster: Cluster) -> None:
    """Simulate a few micrographs, analyze them, and compare the results with the truth."""
    from hrtem_dask.batch.demo import demo as run_demo

    with clear_errors():
        demonstration = run_demo(Path(out), n_micrographs=micrographs, cluster=cluster)
    click.echo("micrograph         nm/px  material   particles (true)   Dice   status")
    for row in demonstration.comparison.itertuples():
        click.echo(_comparison_line(row))
    click.echo(f"tables and overlays: {demonstration.results}")


def _comparison_line(row: Any) -> str:
    """Return the results of one micrograph beside the truth."""
    from hrtem_dask.tables import ANALYZED_STATUSES

    found = str(row.n_particles) if row.status in ANALYZED_STATUSES else "-"
    status = row.status if row.status in ANALYZED_STATUSES else f"{row.status}: {row.reason}"
    return (
        f"{row.truth_id:16}  {row.pixel_size_nm:6.3f}  {row.material:9}  {found:>9} ({row.true_n_particles})"
        f"      {row.dice:6.3f}   {status}"
    )
