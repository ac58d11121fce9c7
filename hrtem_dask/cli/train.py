"""The commands train segmentation and train quality; the others of this group have modules of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hrtem_dask.cli.messages import message_options
from hrtem_dask.cli.options import MODEL, MODEL_FILE, PLACE, clear_errors
from hrtem_dask.cli.train_defects import defects
from hrtem_dask.cli.train_detection import backbone, detection

if TYPE_CHECKING:
    from hrtem_dask.training.network.recipes import TrainingRecipe

__all__ = ["train"]


@click.group()
def train() -> None:
    """Train a model on labeled or simulated micrographs, or on regions."""


train.add_command(defects)
train.add_command(detection)
train.add_command(backbone)


@train.command()
@click.argument("data", nargs=-1, required=True, type=PLACE, metavar="DATA…")
@click.option("--out", required=True, type=MODEL_FILE, metavar="MODEL.safetensors", help="The trained model.")
@click.option(
    "--recipe",
    metavar="NAME|FILE.toml",
    help="default, groschner2021, fine_tune or a file; with --from it is fine_tune unless given.",
)
@click.option(
    "--from",
    "start_from",
    type=MODEL,
    metavar="MODEL",
    help="Fine-tune this model; bundled is the model of this package.",
)
@click.option(
    "--initial",
    type=MODEL,
    metavar="MODEL",
    help="Train on many micrographs from the weights of this model instead of random ones, without cross-validation.",
)
@click.option(
    "--validation",
    "validation_places",
    multiple=True,
    type=PLACE,
    metavar="DATA",
    help="Validate on this data instead of a share of DATA, or of a cross-validation.",
)
@click.option(
    "--folds",
    type=click.IntRange(min=0),
    metavar="K",
    help="Fine-tuning: folds of the cross-validation, by default 4; 0 holds out a quarter of the micrographs instead.",
)
@click.option(
    "--other",
    "other_places",
    multiple=True,
    type=PLACE,
    metavar="DATA",
    help="Fine-tuning: images of another kind that are scored before and after; may be given several times.",
)
@click.option(
    "--diameter",
    "diameter_nm",
    type=click.FloatRange(min=0, min_open=True),
    metavar="NM",
    help="Fine-tuning: typical particle diameter in nm, for the contrast regime. Runs with the new model need it too.",
)
@click.option(
    "--diameter-px",
    type=click.FloatRange(min=0, min_open=True),
    metavar="PX",
    help="The same in pixels of the micrograph.",
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
    of one micrograph (NAME_patch1, NAME_tile2) stay together. Pixels that are neither labeled as particle nor as
    background are marked in unknown/NAME.ext or NAME_unknown.ext.
    """
    from hrtem_dask.training.network.recipes import read_recipe
    from hrtem_dask.training.network.schedule import TrainingLimits

    start_from, initial = options.pop("start_from"), options.pop("initial")
    limits = TrainingLimits(minutes=options.pop("minutes"), epochs=options.pop("epochs"))
    options |= {"pixel_size_nm": pixel_size, "limits": limits}
    with clear_errors():
        settings = read_recipe(recipe or ("fine_tune" if start_from else "default"))
    if start_from and initial:
        raise click.UsageError("give one of --from, which fine-tunes, and --initial, which trains on many micrographs")
    if start_from:
        _fine_tune(data, out, settings, start_from, options)
    else:
        _train(data, out, settings, options | {"initial": initial})
    click.echo(f"model:       {out}")


def _train(data: tuple[str, ...], out: str, recipe: TrainingRecipe, options: dict[str, Any]) -> None:
    """Train from random weights, and show the scores."""
    from hrtem_dask.errors import SettingsError
    from hrtem_dask.training.network.train_unet import train_segmentation

    with clear_errors():
        for name in ("folds", "other_places", "diameter_nm", "diameter_px"):
            if options.pop(name) not in (None, ()):
                option = {"other_places": "other", "diameter_nm": "diameter"}.get(name, name).replace("_", "-")
                raise SettingsError(f"--{option} is for fine-tuning alone: give --from too, or leave it out")
        result = train_segmentation(data, out, recipe, **options)
    click.echo(f"ended:       after {result.fit.stopped}; epoch {result.fit.best_epoch} is saved")
    for name, scores in (("validation", result.validation), ("test", result.test)):
        if scores is not None and len(scores.table):
            values = ", ".join(f"{k} {v:.4f}" for k, v in scores.summary().items() if v == v)
            click.echo(f"{name + ':':12} {values}")


def _fine_tune(
    data: tuple[str, ...], out: str, recipe: TrainingRecipe, start_from: str, options: dict[str, Any]
) -> None:
    """Fine-tune a model, and show the scores before and after."""
    from hrtem_dask.cli.fine_tuning_table import fine_tuning_table
    from hrtem_dask.errors import SettingsError
    from hrtem_dask.settings import SegmentationSettings
    from hrtem_dask.training.fine_tuning.fine_tune import fine_tune
    from hrtem_dask.training.fine_tuning.held_out import FineTuneOptions

    with clear_errors():
        if start_from == "bundled":
            start_from = str(SegmentationSettings().model_file)
        if options["folds"] == 1:
            raise SettingsError("--folds 1 leaves nothing to train on: give at least 2, or 0 for no cross-validation")
        if options["diameter_nm"] is not None and options["diameter_px"] is not None:
            raise SettingsError("give one of --diameter and --diameter-px, not both")
        result = fine_tune(data, out, recipe, start_from=start_from, options=FineTuneOptions(**options))
    click.echo(f"ended:       after {result.fit.stopped}; epoch {result.fit.best_epoch} is saved")
    click.echo(fine_tuning_table(result))


@train.command()
@click.argument("model", type=PLACE, metavar="MODEL.safetensors")
@click.argument("data", nargs=-1, required=True, type=PLACE, metavar="DATA…")
@click.option(
    "--familiar",
    multiple=True,
    required=True,
    type=PLACE,
    metavar="DATA",
    help="Micrographs like those of training; may be given several times.",
)
@click.option(
    "--unseen",
    multiple=True,
    type=PLACE,
    metavar="DATA",
    help="Measure the error on this source too, which is left out of the fit; may be given several times.",
)
@click.option("--out", type=MODEL_FILE, metavar="FILE", help="File to write; by default MODEL itself.")
@message_options
def quality(
    model: str, data: tuple[str, ...], familiar: tuple[str, ...], unseen: tuple[str, ...], out: str | None
) -> None:
    """Calibrate the prediction of the Dice coefficient of a network's own masks.

    DATA are micrographs that the network was not trained on, including micrographs unlike those of its training:
    simulated stores, and folders of images and masks as for a training, all of one regime. The prediction is fitted on
    every other micrograph of each source, and its error is measured on the others.
    """
    from hrtem_dask.training.network.calibration_data import calibration_data
    from hrtem_dask.training.network.dice_calibration import calibrate_dice_model

    with clear_errors():
        sources, like_training, left_out = ([calibration_data(p) for p in part] for part in (data, familiar, unseen))
        fitted = calibrate_dice_model(model, sources, familiar=like_training, unseen=left_out, out=out)
    for name, value in fitted.coefficients.items():
        click.echo(f"{name:24} {value:8.3f} per standard deviation")
    for name, value in fitted.errors.items():
        click.echo(f"{name:24} {value:8.4f}")
