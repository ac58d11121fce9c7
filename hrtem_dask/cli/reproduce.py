"""A paper's figures from its published files, beside ours."""

from __future__ import annotations

from typing import Any

import click

from hrtem_dask.cli.options import clear_errors, cluster_options

__all__ = ["reproduce"]


@click.group()
def reproduce() -> None:
    """Reproduce what a paper printed, from the files it published."""


@reproduce.command()
@click.option("--data", required=True, type=click.Path(), metavar="DIR", help="Folder with the published files.")
@click.option("--out", "-o", default="reproduction", show_default=True, metavar="DIR", help="Folder to write to.")
@click.option(
    "--weights", multiple=True, type=click.Path(exists=True), metavar="PLACE",
    help="File or folder with the paper's weights, where they are not in DIR; may repeat.",
)  # fmt: skip
@click.option(
    "--training-images", "n_training", default=129, show_default=True, type=click.IntRange(min=0), metavar="N",
    help="Images at the start of each stack that are not scored.",
)  # fmt: skip
@click.option("--no-bundled", is_flag=True, help="Score the paper's networks only, not ours.")
@click.option("--pixel-size-cdse", type=click.FloatRange(min=0, min_open=True), metavar="NM", help="Of CdSe, for ours.")
@click.option("--pixel-size-au", type=click.FloatRange(min=0, min_open=True), metavar="NM", help="Of Au, for ours.")
@click.option(
    "--orders", "n_orders", default=10, show_default=True, type=click.IntRange(min=1), metavar="N",
    help="Splits of the labelled regions for which the forest is fitted.",
)  # fmt: skip
@click.option("--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"]), help="Where.")
@cluster_options
def groschner2021(no_bundled: bool, pixel_size_cdse: float | None, pixel_size_au: float | None, **options: Any) -> None:
    """Table 1, Figure 2 and Figure 5f of Groschner, Choi and Scott (2021) beside ours.

    DIR holds what is published (Zenodo 3755011, and the code's repository), in whatever folders: the HDF5 stacks of
    images and of maps, the networks' .h5 weights, and the labelled regions in folders agglomeration, empty, no,
    no_fringe and yes. What lacks is named, with what it would give; the rest runs. DIR/reproduction.json holds every
    number, reproduction.md the tables, figure2.svg and figure5f.svg the confusion matrices.
    """
    from hrtem_dask.batch.reproduction.reproduce import reproduce_groschner2021

    sizes = {name: size for name, size in (("CdSe", pixel_size_cdse), ("Au", pixel_size_au)) if size is not None}
    with clear_errors():
        reproduction = reproduce_groschner2021(
            **options, bundled=not no_bundled, pixel_sizes_nm=sizes, say=lambda line: click.echo(line, err=True)
        )
    _print(reproduction)


def _print(reproduction: Any) -> None:
    """Print the tables and what a reader must know."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for table in reproduction.tables():
        console.print(f"\n{table.title}", markup=False, highlight=False)
        shown = Table(box=None, pad_edge=False)
        for number, heading in enumerate(table.headings):
            shown.add_column(heading.replace("_", " "), justify="left" if number < 2 else "right", overflow="fold")
        for row in table.rows:
            shown.add_row(*map(Text, row))
        console.print(shown)
        for note in table.notes:
            console.print(note, markup=False, highlight=False, style="dim")
    for line in (*(f"lacking: {line}" for line in reproduction.lacking), *reproduction.notes):
        console.print(line, markup=False, highlight=False, style="dim")
    console.print(f"written: {reproduction.place.url}", markup=False, highlight=False, soft_wrap=True)
