"""The command simulate."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from hrtem_dask.cli.messages import message_options
from hrtem_dask.cli.options import clear_errors, cluster_options

if TYPE_CHECKING:
    from hrtem_dask.batch.simulate import Ranges
    from hrtem_dask.storage.simulated import SimulatedStore

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
    "--regime",
    default="lattice",
    show_default=True,
    type=click.Choice(["lattice", "contrast", "rods", "vesicles"]),
    help="lattice: lattice fringes are resolved; contrast: lower magnifications, where they are not; rods, vesicles: "
    "scenes for detection, in which instances lie over one another.",
)
@click.option(
    "--ranges", "ranges_file", type=click.Path(), metavar="FILE.toml", help="Ranges that micrographs are drawn from."
)
@click.option(
    "--size", type=click.IntRange(min=64), metavar="PX", help="Side of a micrograph; replaces that of the ranges."
)
@cluster_options
@message_options
def simulate(out: str, regime: str, ranges_file: str | None, size: int | None, **options: Any) -> None:
    """Simulate micrographs of nanoparticles whose truth is known, into the folder OUT.

    The folder holds the micrographs as one Zarr store, which `hrtem-dask run OUT` analyzes, and their truth: label
    images and tables. The same seed and ranges give the same micrographs, whatever the number of workers. Running again
    into the same folder makes missing micrographs, and more with a larger -n.
    """
    from hrtem_dask.batch.simulate import simulate as simulate_batch

    with clear_errors():
        summary = simulate_batch(out, ranges=_ranges(regime, ranges_file, size), **options)
    for name, reason in summary.failures.items():
        click.echo(f"  {name} failed: {reason}", err=True)
    micrographs = summary.store.micrographs
    empty = int((micrographs["n_particles"] == 0).sum())
    click.echo(f"micrographs: {len(micrographs)}, {empty} of them empty  ({summary.n_kept} made before)")
    _print_contents(summary.store)
    if summary.seconds_per_micrograph is not None:
        click.echo(
            f"time:        {summary.seconds:.1f} s, {summary.seconds_per_micrograph:.2f} s per micrograph and worker"
        )
    click.echo(f"store:       {summary.store.folder.url}")
    if summary.failures:
        click.echo(f"{len(summary.failures)} micrographs failed: repeat the command to try them again", err=True)
        sys.exit(1)


def _print_contents(store: SimulatedStore) -> None:
    """Print the number of particles of each kind, and of regions if there are any."""
    particles = store.particles
    kind = next(name for name in ("material", "shape", "class_name") if name in particles)
    kinds = ", ".join(f"{n} {name}" for name, n in particles[kind].value_counts().sort_index().items())
    click.echo(f"particles:   {len(particles)}" + (f"  ({kinds})" if kinds else ""))
    if store.regime.has_regions:
        classes = store.regions["region_class"].fillna("without class").value_counts().sort_index()
        click.echo(f"regions:     {len(store.regions)}" + "".join(f", {n} {name}" for name, n in classes.items()))


def _ranges(regime: str, ranges_file: str | None, size: int | None) -> Ranges:
    """Return the ranges of the file, or the default ones of the regime, with the given side."""
    import dataclasses

    from hrtem_dask.simulation import SimulationRanges
    from hrtem_dask.simulation.contrast import ContrastRanges
    from hrtem_dask.simulation.scenes import RodRanges, VesicleRanges

    kinds: dict[str, type[SimulationRanges | ContrastRanges | RodRanges | VesicleRanges]] = {
        "lattice": SimulationRanges,
        "contrast": ContrastRanges,
        "rods": RodRanges,
        "vesicles": VesicleRanges,
    }
    kind = kinds[regime]
    ranges = kind.from_file(ranges_file) if ranges_file else kind()
    return ranges if size is None else dataclasses.replace(ranges, size_px=size)
