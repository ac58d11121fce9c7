"""The commands train segmentation and train quality; train defects has its own module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hrtem_dask.cli.messages import message_options
from hrtem_dask.cli.options import clear_errors
from hrtem_dask.cli.train_defects import defects

if TYPE_CHECKING:
    from hrtem_dask.training.network.train_unet import TrainingResult
    from hrtem_dask.training.network.validation import Scores

__all__ = ["train"]


@click.group()
def train() -> None:
    """Train a model on labeled micrographs or regions."""


train.add_command(defects)


@train.command()
@click.argument("data", nargs=-1, required=True, metavar="DATA…")
@click.option("--out", required=True, type=click.Path(), metavar="MODEL.safetensors", help="The trained model.")
@click.option(
    "--recipe",
    metavar="NAME|FILE.toml",
    help="default, groschner2021, fine_tune or a file; with --from it is fine_tune unless given.",
)
@click.option(
    "--from",
    "start_from",
    type=click.Path(),
    metavar="MODEL",
    help="Fine-tune this model; bundled is the model of this package.",
)
@click.option(
    "--validation",
    "validation_places",
    multiple=True,
    metavar="DATA",
    help="Validate on this data instead of a share of DATA.",
)
@click.option("--pixel-size", type=float, metavar="NM", help="Pixel size in nm of images that state none.")
@click.option("--epochs", type=click.IntRange(min=1), metavar="N", help="Largest number of epochs.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), metavar="M", help="Stop after this time.")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of split, weights and crops."
)
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"]), help="Where to train."
)
@click.option(
    "--workdir",
    type=click.Path(),
    metavar="DIR",
    help="Folder for log, curves and checkpoint, from which training can be continued.",
)
@message_options
def segmentation(data: tuple[str, ...], out: str, recipe: str | None, pixel_size: float | None, **options: Any) -> None:
    """Train the U-Net that separates particles from their support.

    DATA are simulated stores, folders of images and masks (images/NAME.ext with masks/NAME.ext, or NAME.ext with
    NAME_mask.ext), COCO files (.json), or HDF5 stacks with images and maps. Micrographs are split by name, and patches
    of one micrograph (NAME_patch1, NAME_tile2) stay together.
    """
    from hrtem_dask.settings import SegmentationSettings
    from hrtem_dask.training.network.recipes import read_recipe
    from hrtem_dask.training.network.schedule import TrainingLimits
    from hrtem_dask.training.network.train_unet import train_segmentation

    if options["start_from"] == "bundled":
        options["start_from"] = SegmentationSettings().model_file
    limits = TrainingLimits(minutes=options.pop("minutes"), epochs=options.pop("epochs"))
    recipe = recipe or ("fine_tune" if options["start_from"] else "default")
    with clear_errors():
        result = train_segmentation(data, out, read_recipe(recipe), pixel_size_nm=pixel_size, limits=limits, **options)
    click.echo(f"ended:       after {result.fit.stopped}; epoch {result.fit.best_epoch} is saved")
    for name, scores in (("validation", result.validation), ("test", result.test)):
        if scores is not None and len(scores.table):
            values = ", ".join(f"{k} {v:.4f}" for k, v in scores.summary().items() if v == v)
            click.echo(f"{name + ':':12} {values}")
    if result.before is not None:
        click.echo(_before_and_after(result.before, result))
    click.echo(f"model:       {out}")


@train.command()
@click.argument("model", type=click.Path(), metavar="MODEL.safetensors")
@click.argument("stores", nargs=-1, required=True, metavar="STORE…")
@click.option(
    "--familiar",
    multiple=True,
    required=True,
    metavar="STORE",
    help="Micrographs like those of training; may be given several times.",
)
@click.option("--out", type=click.Path(), metavar="FILE", help="File to write; by default MODEL itself.")
@message_options
def quality(model: str, stores: tuple[str, ...], familiar: tuple[str, ...], out: str | None) -> None:
    """Calibrate the prediction of the Dice coefficient of a network's own masks.

    STORES are simulated micrographs that the network was not trained on, including
    micrographs unlike those of its training. The prediction is fitted on every other micrograph of each store, and its
    error is measured on the others.
    """
    from hrtem_dask.storage.simulated import open_simulated
    from hrtem_dask.training.network.dice_calibration import calibrate_dice_model

    with clear_errors():
        fitted = calibrate_dice_model(
            model, [open_simulated(s) for s in stores], familiar=[open_simulated(s) for s in familiar], out=out
        )
    for name, value in fitted.coefficients.items():
        click.echo(f"{name:24} {value:8.3f} per standard deviation")
    for name, value in fitted.errors.items():
        click.echo(f"{name:24} {value:8.4f}")


def _before_and_after(before: Scores, result: TrainingResult) -> str:
    """Return the Dice coefficient of each held-out micrograph, before and after fine-tuning."""
    import pandas as pd

    after = pd.concat([scores.table for scores in (result.validation, result.test) if scores is not None])
    lines = ["held out                          Dice before   after"]
    for (name, old), new in zip(before.table["dice"].items(), after["dice"], strict=True):
        shown = "".join("      empty" if v != v else f"{v:11.4f}" for v in (old, new))
        lines.append(f"{name!s:32.32} {shown}")
    means = before.table["dice"].mean(), after["dice"].mean()
    return "\n".join([*lines, f"{'mean':32} {means[0]:11.4f}{means[1]:11.4f}"])
