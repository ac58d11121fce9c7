"""Commands that tell the state of a results folder: how far a run is, and whether everything is as it was written."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

from hrtem_dask.cli.messages import message_options
from hrtem_dask.cli.options import clear_errors, cluster_options

SHOWN = 20
"""Most lines of one kind; the number of the others is told."""


@click.command()
@click.argument("results", metavar="RESULTS")
@message_options
def status(results: str) -> None:
    """Tell how far the run into RESULTS is, while it runs or afterwards. Nothing is changed."""
    from hrtem_dask.batch.results_state import run_state

    with clear_errors():
        state = run_state(results)
    owner = f" ({state.owner})" if state.owner else ""
    click.echo(f"run:         {state.state}{owner}")
    if state.listed is not None:
        click.echo(f"images:      {state.listed} listed")
    counts = ", ".join(f"{n} {name}" for name, n in state.counts.items()) or "none yet"
    click.echo(f"micrographs: {counts}")
    if state.remaining:
        left = "" if state.seconds_left is None else f", about {_duration(state.seconds_left)} at this pace"
        click.echo(f"to do:       {state.remaining}{left}")
        if state.state == "interrupted":
            click.echo("             the same command as before goes on with them")
    _list("failed", [(f"{n} because", reason) for reason, n in state.failures.items()])


@click.command()
@click.argument("results", metavar="RESULTS")
@message_options
def verify(results: str) -> None:
    """Compare tables and labels in RESULTS with the hashes of what was written; exit with 1 where they differ."""
    from hrtem_dask.batch.results_state import verify as verify_results

    with clear_errors():
        found = verify_results(results)
    click.echo(f"{found.n_micrographs} micrographs compared")
    _list("damaged", [*found.damaged.items(), *found.tables.items()])
    if found.interrupted:
        click.echo(f"{len(found.interrupted)} micrographs were begun and not finished")
    if found.is_sound:
        click.echo("everything is as it was written")
        return
    click.echo(f"hrtem-dask repair {results} does what is damaged again, and nothing else", err=True)
    sys.exit(1)


@click.command()
@click.argument("results", metavar="RESULTS")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where images are processed.")
@cluster_options
@message_options
def repair(results: str, **options: Any) -> None:
    """Analyze again what is damaged or was interrupted in RESULTS, and nothing else, as the run did."""
    from hrtem_dask.batch.run.repair import repair as repair_results

    with clear_errors():
        done = repair_results(results, device=options["device"], cluster=options["cluster"])
    _list("damaged", [*done.found.damaged.items(), *done.found.tables.items()])
    if done.summary is None:
        click.echo("everything is as it was written")
        return
    click.echo(f"{done.n_again} micrographs analyzed again, and the tables written")


def _list(title: str, items: Sequence[tuple[str, str]]) -> None:
    """Print what is wrong, one line each."""
    for name, why in items[:SHOWN]:
        click.echo(f"{title + ':':<13}{name}: {why}")
    if len(items) > SHOWN:
        click.echo(f"{title + ':':<13}and {len(items) - SHOWN} more")


def _duration(seconds: float) -> str:
    """Return a duration in words."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
