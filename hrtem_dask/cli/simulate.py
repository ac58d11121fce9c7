"""The command simulate."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hrtem_dask.cli.messages import message_options
from hrtem_dask.cli.options import clear_errors, cluster_options

if TYPE_CHECKING:
    from hrtem_dask.simulation import SimulationRanges

__all__ = ["simulate"]


@click.command()
@click.argument("out", metavar="OUT")
@click.option(
    "--micrographs",
    "-n",
    "n",
    default=100,
    show_default=True,
    type=click.IntRange(min=1),
    help="Number of micrographs.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the series.")
@click.option(
    "--ranges", "ranges_file", type=click.Path(), metavar="FILE.toml", help="Ranges that micrographs are drawn from."
)
@click.option(
    "--size", type=click.IntRange(min=64), metavar="PX", help="Side of a micrograph; replaces that of the ranges."
)
@cluster_options
@message_options
def simulate(out: str, ranges_file: str | None, size: int | None, **options: Any) -> None:
    """Simulate micrographs of nanoparticles whose truth is known, into the folder OUT.

    The folder holds the micrographs as one Zarr store, which `hrtem-dask run OUT` analyzes, and their truth: label
    images of particles and regions, and tables. The same seed and ranges give the same micrographs, whatever the
    number of workers. Running again into the same folder makes missing micrographs, and more with a larger -n.
    """
    from hrtem_dask.batch.simulate import simulate as simulate_batch

    with clear_errors():
        summary = simulate_batch(out, ranges=_ranges(ranges_file, size), **options)
    for name, reason in summary.failures.items():
        click.echo(f"  {name} failed: {reason}", err=True)
    micrographs, particles, regions = summary.store.micrographs, summary.store.particles, summary.store.regions
    empty = int((micrographs["n_particles"] == 0).sum())
    click.echo(f"micrographs: {len(micrographs)}, {empty} of them empty  ({summary.n_kept} made before)")
    materials = ", ".join(f"{n} {name}" for name, n in particles["material"].value_counts().sort_index().items())
    click.echo(f"particles:   {len(particles)}" + (f"  ({materials})" if materials else ""))
    classes = regions["region_class"].fillna("without class").value_counts().sort_index()
    click.echo(f"regions:     {len(regions)}" + "".join(f", {n} {name}" for name, n in classes.items()))
    if summary.seconds_per_micrograph is not None:
        click.echo(
            f"time:        {summary.seconds:.1f} s, {summary.seconds_per_micrograph:.2f} s per micrograph and worker"
        )
    click.echo(f"store:       {summary.store.folder.url}")
    if summary.failures:
        click.echo(f"{len(summary.failures)} micrographs failed: repeat the command to try them again", err=True)
        sys.exit(1)


def _ranges(ranges_file: str | None, size: int | None) -> SimulationRanges:
    """Return the ranges of the file, or the default ones, with the given side."""
    import dataclasses

    from hrtem_dask.simulation import SimulationRanges

    ranges = SimulationRanges.from_file(ranges_file) if ranges_file else SimulationRanges()
    return ranges if size is None else dataclasses.replace(ranges, size_px=size)
