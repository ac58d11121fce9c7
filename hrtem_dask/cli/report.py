"""The page that shows what a run found."""

from __future__ import annotations

import click

from hrtem_dask.cli.options import clear_errors

__all__ = ["report"]


@click.command()
@click.argument("results", metavar="RESULTS")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of what is drawn at random."
)
def report(results: str, seed: int) -> None:
    """Write RESULTS/report.html: one page with every figure, table and picture, readable offline and on paper.

    Every number on it is in RESULTS/summary.json, under the JSON pointer that stands beside it in the page's source.
    """
    from hrtem_dask.report import write_report

    with clear_errors():
        click.echo(f"report: {write_report(results, seed=seed)}")
