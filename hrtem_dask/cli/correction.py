"""The commands export and correct."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hrtem_dask.cli.messages import message_options
from hrtem_dask.cli.options import clear_errors, cluster_options, require_results

if TYPE_CHECKING:
    from hrtem_dask.batch.correction.correct import State
    from hrtem_dask.storage.exchange.corrected_files import LabelFormat

__all__ = ["correct", "export"]


@click.command()
@click.argument("results", metavar="RESULTS")
@click.option(
    "--format",
    "formats",
    multiple=True,
    required=True,
    type=click.Choice(["coco", "labels", "tiff", "zarr", "geojson", "csv", "xlsx"]),
    help="What to write; may be given several times.",
)
@click.option("--out", "-o", required=True, metavar="DIR", help="Folder to write to; it must hold no export.")
@click.option("--only", metavar="PATTERN", help="Micrographs by micrograph_id or file, such as '2024-*' or '*/a.dm4'.")
@click.option(
    "--doubtful", type=click.IntRange(min=1), metavar="N", help="Only the N micrographs with the lowest predicted Dice."
)
@click.option("--no-images", is_flag=True, help="Write labels without the micrographs.")
@cluster_options
@message_options
def export(results: str, formats: tuple[str, ...], out: str, no_images: bool, **options: Any) -> None:
    """Write labels for correction, and the tables for other programs.

    coco: annotations.json and pictures, for CVAT and others; labels: PNG of 16 bits; tiff: images and labels in nm, for
    Fiji; zarr: OME-NGFF images with their labels, for napari; geojson: outlines, for QuPath; csv and xlsx: the tables.
    Afterwards take edited labels back by `hrtem-dask correct RESULTS DIR`.
    """
    require_results(results)
    from hrtem_dask.batch.correction.export import export as export_batch

    with clear_errors():
        summary = export_batch(
            results,
            out,
            formats=formats,
            images=not no_images,
            **options,
        )
    if summary.tables:
        rows = ", ".join(f"{name} ({n} rows)" for name, n in summary.tables.items())
        click.echo(f"{len(summary.tables)} tables exported: {rows}")
    if summary.n_micrographs or summary.failed:
        click.echo(f"{summary.n_micrographs} micrographs exported, {len(summary.failed)} failed")
    click.echo(f"written to {summary.out}")
    if summary.failed:
        sys.exit(1)


@click.command()
@click.argument("results", metavar="RESULTS")
@click.argument("corrected", metavar="CORRECTED", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(["coco", "labels", "tiff", "zarr"]),
    help="Format of the labels. [default: what is found]",
)
@click.option("--undo", metavar="PATTERN", help="Undo the corrections of these micrographs ('*' for all).")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where images are processed.")
@cluster_options
@message_options
def correct(results: str, corrected: str | None, form: LabelFormat | None, undo: str | None, **options: Any) -> None:
    """Take corrected labels back: only the rows of those micrographs change.

    CORRECTED is the edited output of `hrtem-dask export`: a folder, a COCO file or a Zarr store. Micrographs that are
    not in it, or were not edited, stay as they are. A later run into RESULTS keeps the corrections.
    """
    if (corrected is None) == (undo is None):
        raise click.UsageError("give either CORRECTED or --undo PATTERN")
    require_results(results)
    from hrtem_dask.batch.correction import correct as batch

    with clear_errors():
        if undo is not None:
            summary = batch.undo_corrections(results, undo, **options)
        else:
            summary = batch.correct(results, str(corrected), form=form, **options)
    states: tuple[State, ...] = ("corrected", "undone", "unchanged", "failed")
    counts = ", ".join(f"{n} {state}" for state in states if (n := summary.count(state)) or state == "corrected")
    click.echo(f"labels:  {counts}")
    click.echo(f"results: {summary.results}  ({summary.n_corrected} of its micrographs are corrected)")
    if summary.count("failed"):
        sys.exit(1)
