"""The commands reproduce …, which compute the tables of a paper from its published files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hrtem_dask.cli.messages import message_options
from hrtem_dask.cli.options import clear_errors, cluster_options

if TYPE_CHECKING:
    from hrtem_dask.batch.reproduction.reproduce import Reproduction

__all__ = ["reproduce"]


@click.group()
def reproduce() -> None:
    """Reproduce the results of a paper from its published files."""


@reproduce.command()
@click.option("--data", required=True, type=click.Path(), metavar="DIR", help="Folder with the published files.")
@click.option("--out", "-o", default="reproduction", show_default=True, metavar="DIR", help="Folder to write to.")
@click.option(
    "--weights", multiple=True, type=click.Path(exists=True), metavar="PLACE",
    help="File or folder with the weights of the paper, if they are not in DIR; may be given several times.",
)  # fmt: skip
@click.option(
    "--training-images", "n_training", default=129, show_default=True, type=click.IntRange(min=0), metavar="N",
    help="Number of images at the start of each stack that are not scored.",
)  # fmt: skip
@click.option("--no-bundled", is_flag=True, help="Score the networks of the paper only, not the bundled one.")
@click.option(
    "--pixel-size-cdse",
    type=click.FloatRange(min=0, min_open=True),
    metavar="NM",
    help="Pixel size of the CdSe images, for the bundled network.",
)
@click.option(
    "--pixel-size-au",
    type=click.FloatRange(min=0, min_open=True),
    metavar="NM",
    help="Pixel size of the Au images, for the bundled network.",
)
@click.option(
    "--orders", "n_orders", default=10, show_default=True, type=click.IntRange(min=1), metavar="N",
    help="Number of splits of the labeled regions for which the forest is fitted.",
)  # fmt: skip
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute."
)
@cluster_options
@message_options
def groschner2021(no_bundled: bool, pixel_size_cdse: float | None, pixel_size_au: float | None, **options: Any) -> None:
    """Reproduce Table 1, Figure 2 and Figure 5f of Groschner, Choi and Scott (2021).

    DIR holds the published files (Zenodo 3755011, and the repository of the code), in any folders: the HDF5 stacks of
    images and of maps, the .h5 weights of the networks, and the labeled regions in folders agglomeration, empty, no,
    no_fringe and yes. Missing files are listed with the results that they would give; the others are used.
    OUT/reproduction.json holds every number, reproduction.md the tables, figure2.svg and figure5f.svg the confusion
    matrices.
    """
    from hrtem_dask.batch.reproduction.reproduce import reproduce_groschner2021

    sizes = {name: size for name, size in (("CdSe", pixel_size_cdse), ("Au", pixel_size_au)) if size is not None}
    with clear_errors():
        reproduction = reproduce_groschner2021(**options, bundled=not no_bundled, pixel_sizes_nm=sizes)
    _print(reproduction)


def _print(reproduction: Reproduction) -> None:
    """Print the tables, the missing files and the notes."""
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
    for line in (*(f"missing: {line}" for line in reproduction.missing), *reproduction.notes):
        console.print(line, markup=False, highlight=False, style="dim")
    console.print(f"written: {reproduction.folder.url}", markup=False, highlight=False, soft_wrap=True)
