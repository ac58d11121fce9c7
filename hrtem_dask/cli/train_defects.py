"""The command train defects, which trains the classifier of regions."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hrtem_dask.cli.messages import message_options
from hrtem_dask.cli.options import MODEL_FILE, PLACE, clear_errors, cluster_options

if TYPE_CHECKING:
    import pandas as pd

    from hrtem_dask.training.forest.region_samples import RegionSamples

__all__ = ["defects"]


@click.command()
@click.argument("data", nargs=-1, required=True, type=PLACE, metavar="DATA…")
@click.option("--out", required=True, type=MODEL_FILE, metavar="MODEL.safetensors", help="The trained classifier.")
@click.option(
    "--preset",
    "preset_name",
    default="default",
    show_default=True,
    type=click.Choice(["default", "groschner2021"]),
    help="groschner2021: the forest of the paper on its five features, also scored as in the paper.",
)
@click.option(
    "--search",
    "n_candidates",
    default=1,
    type=click.IntRange(min=1),
    metavar="N",
    help="Number of sets of hyper-parameters to try.",
)
@click.option(
    "--test",
    "test_data",
    multiple=True,
    type=PLACE,
    metavar="DATA",
    help="Data that is not used in training, to score on.",
)
@click.option("--card", type=click.Path(), metavar="FILE.md", help="Write a model card.")
@click.option(
    "--pixel-size", "pixel_size_nm", type=float, metavar="NM", help="Pixel size in nm of crops that state none."
)
@click.option("--groups", type=PLACE, metavar="FILE.csv", help="Micrograph of each crop: file, micrograph_id.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of folds, forests and search."
)
@cluster_options
@message_options
def defects(data: tuple[str, ...], out: str, card: str | None, **options: Any) -> None:
    """Train the forest that classifies regions: stacking fault, none, misoriented, agglomeration, no particle.

    DATA are simulated stores, tables of labeled regions (.csv, .parquet with region_class, micrograph_id and
    features), or folders that hold a folder of crops per class. Scores are those of micrographs left out of training.
    """
    from hrtem_dask.batch.training.train_defects import RegionOptions, train_from
    from hrtem_dask.training.forest.model_card import confusion_text, forest_card

    regions = RegionOptions(pixel_size_nm=options.pop("pixel_size_nm"), groups=options.pop("groups"))
    with clear_errors():
        trained, test = train_from(data, out, options=regions, **options)
        if options["preset_name"] == "groschner2021":
            _echo_paper_scores(trained.samples, options["seed"])
        if card is not None:
            command = shlex.join(["hrtem-dask", *sys.argv[1:]])
            Path(card).write_text(forest_card(trained, command=command, test=test), encoding="utf-8")
    _echo_scores("micrographs left out", trained.scores)
    click.echo(f"out-of-bag accuracy          {trained.out_of_bag:.3f}")
    click.echo(confusion_text(trained.probability, trained.samples.truth, trained.samples.classes))
    if test is not None:
        _echo_scores("test", test)
    click.echo(f"unsure below {trained.classifier.unsure_threshold:.2f}; model: {out}")


def _echo_scores(title: str, scores: pd.DataFrame) -> None:
    """Print a line per score."""
    for subset, rows in scores.groupby("subset", sort=False):
        click.echo(f"{title}, {subset}: {rows['n'].iloc[0]} regions")
        for row in rows.itertuples():
            click.echo(f"  {row.score:34} {row.value:.3f} [{row.low:.3f}, {row.high:.3f}]")


def _echo_paper_scores(samples: RegionSamples, seed: int) -> None:
    """Print the scores of the split that the paper uses."""
    from hrtem_dask.training.forest.presets import score_as_published

    confusion, out_of_bag = score_as_published(samples, seed=seed)
    click.echo(f"one random split of regions, as in the paper: {int(confusion.counts.sum())} test regions")
    click.echo(f"  frequency-weighted recall          {confusion.accuracy:.3f} (the paper: 0.864)")
    click.echo(f"  balanced accuracy                  {confusion.balanced_accuracy:.3f}")
    click.echo(f"  out-of-bag                         {out_of_bag:.3f} (the paper: 0.851)")
