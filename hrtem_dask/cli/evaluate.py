"""The command evaluate."""

from __future__ import annotations

from typing import Any

import click

from hrtem_dask.cli.messages import message_options
from hrtem_dask.cli.options import PLACE, clear_errors, cluster_options, read_settings, require_results

__all__ = ["evaluate"]


@click.command()
@click.argument("truth", type=PLACE, metavar="TRUTH")
@click.option("--results", metavar="DIR", help="Score these results of `hrtem-dask run`; nothing is run then.")
@click.option(
    "--model", "models", multiple=True, type=PLACE, metavar="FILE", help="Weights of a U-Net; give several to compare."
)
@click.option(
    "--methods",
    metavar="NAMES",
    help="Comma-separated names among unet, otsu, fourier, fourier_pixels [default: all that can be run]; or "
    "detectors: rotated_rcnn, mask_rcnn.",
)
@click.option("--out", "-o", default="evaluation", show_default=True, metavar="DIR", help="Folder to write to.")
@click.option(
    "--only", metavar="PATTERN", help="Names of micrographs, such as 'image_[0-7].png'; others are not opened."
)
@click.option(
    "--by",
    metavar="COLUMNS",
    help="Comma-separated columns to group by, such as material,pixel_size_nm. [default: material]",
)
@click.option("--once", is_flag=True, help="Do not segment again, which leaves out the segmenter's own mask and curve.")
@click.option("--class", "class_names", multiple=True, metavar="NAME", help="Names of classes 0, 1, … of text files.")
@click.option("--any-class", is_flag=True, help="Compare instances whatever their classes are called.")
@click.option(
    "--compare",
    type=click.Choice(["rotated_boxes", "boxes", "masks"]),
    help="What of instances is compared. [default: rotated boxes for rotated_rcnn, masks for mask_rcnn]",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the bootstrap.")
@click.option("--pixel-size", type=float, metavar="NM", help="Pixel size in nm, for every file.")
@click.option("--pixels", is_flag=True, help="Analyze micrographs without a pixel size in pixels.")
@click.option("--settings", "settings_file", type=click.Path(), metavar="FILE.toml", help="Settings file.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where images are processed.")
@cluster_options
@message_options
def evaluate(truth: str, models: tuple[str, ...], methods: str | None, by: str | None, **options: Any) -> None:
    """Score segmentations against the truth: pixels, particles, sizes.

    TRUTH is a folder that `hrtem-dask simulate` wrote, or a folder that holds the folders images and masks, in which an
    image and its mask have the same name. Each method is run into OUT/<method>, then scored; running again into OUT
    resumes. The figures of Groschner et al. 2021 are printed beside those of this package. OUT/scores.json holds every
    number with its 95 % interval (bootstrap over micrographs), micrographs.csv and objects.csv a row per micrograph and
    per particle, scores.svg a figure.

    Detectors of instances (--methods rotated_rcnn or mask_rcnn, or --results of a run with one) are scored on annotated
    instances: TRUTH is a simulated store of rods or vesicles, or annotations with their images beside them.
    OUT/detections.json holds every number.
    """
    if options["results"] is not None:
        require_results(options["results"])
    if _is_detector(_names(methods), options["results"]):
        _evaluate_detectors(truth, models, _names(methods), options)
        return
    of_instances = {"--class": "class_names", "--any-class": "any_class", "--compare": "compare"}
    if given := [option for option, name in of_instances.items() if options[name]]:
        raise click.UsageError(
            f"{given[0]} is for instances: give --methods rotated_rcnn or mask_rcnn, or leave it out"
        )
    from hrtem_dask.batch.evaluation.evaluate import SummaryOptions
    from hrtem_dask.batch.evaluation.evaluate import evaluate as evaluate_batch
    from hrtem_dask.cli.evaluation_tables import print_evaluation

    with clear_errors():
        evaluation = evaluate_batch(
            truth,
            results=options["results"],
            methods=_names(methods),
            models=models,
            out=options["out"],
            only=options["only"],
            segment_again=not options["once"],
            settings=read_settings(options),
            summary=SummaryOptions(by=_names(by), seed=options["seed"]),
            cluster=options["cluster"],
        )
    print_evaluation(evaluation)


def _is_detector(methods: list[str] | None, results: str | None) -> bool:
    """Return whether instances are to be scored, not masks."""
    from hrtem_dask.settings import DETECTION_METHODS, Settings
    from hrtem_dask.storage.results import open_results

    if results is None:
        return bool(set(methods or ()) & set(DETECTION_METHODS))
    with clear_errors():
        used = Settings.from_toml(open_results(results).folder.read_bytes("run.toml").decode())
    return used.segmentation.chosen_method in DETECTION_METHODS


def _evaluate_detectors(
    truth: str, models: tuple[str, ...], methods: list[str] | None, options: dict[str, Any]
) -> None:
    """Score instances, and print a table."""
    from hrtem_dask.batch.evaluation.detections import DetectionOptions, evaluate_detections

    with clear_errors():
        evaluation = evaluate_detections(
            truth,
            results=options["results"],
            methods=methods or (),
            models=models,
            out=options["out"],
            settings=read_settings(options),
            options=DetectionOptions(
                kind=options["compare"],
                class_names=options["class_names"] or None,
                any_class=options["any_class"],
                seed=options["seed"],
            ),
            cluster=options["cluster"],
        )
    shown = [
        "method", "class_name", "kind", "n_true", "n_predicted", "ap50", "ap75", "map", "precision", "recall", "f1",
        "length_bias", "width_bias", "angle_error_deg",
    ]  # fmt: skip
    click.echo(evaluation.classes[shown].round(3).to_string(index=False))
    for note in evaluation.notes:
        click.echo(f"note: {note}")
    click.echo(f"scores:  {evaluation.folder.url}/detections.json, with 95 % intervals over micrographs")


def _names(text: str | None) -> list[str] | None:
    """Split a list at its commas."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
