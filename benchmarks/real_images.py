"""Scores of segmentation on real labeled images: Dice, particles, counts, diameters and outlines, per source.

    python benchmarks/real_images.py DATA
    python benchmarks/real_images.py DATA --model MODEL --every 3
    python benchmarks/real_images.py DATA --method otsu
    python benchmarks/real_images.py DATA --source tem_sintering --outline half

DATA holds the sources `emps_tem`, `tem_sintering` and `dtsegnet`, each with `images` and with masks or labels of the
same name. The images state no pixel size and are analyzed in pixels. Every number is of the particles after labeling.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from hrtem_dask import analysis
from hrtem_dask.evaluation import compare_objects, count_objects, dice
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.settings import Settings

SOURCES = {"emps_tem": "labels", "tem_sintering": "masks", "dtsegnet": "masks"}
DESCRIPTIVE = ("network_scale", "verdict", "doubt_reasons", "median_diameter_network_px", "area_to_number_median")
"""Columns of `micrographs.parquet` that the table of images has, too."""
LOCKED = {f"image_{i}" for i in range(8, 20)}
"""Images of `tem_sintering` that nothing was tuned on."""


def labeled_images(data: Path, source: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield the name, the image and the true labels (masks: connected components) of each image of a source."""
    for path in sorted((data / source / "images").iterdir()):
        truth = cv2.imread(str(data / source / SOURCES[source] / f"{path.stem}.png"), cv2.IMREAD_UNCHANGED)
        if truth is None:
            continue
        truth = truth if truth.ndim == 2 else truth[..., 0]
        if SOURCES[source] == "masks":
            truth = cv2.connectedComponents((truth > 0).astype(np.uint8))[1]
        yield path.stem, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE), truth.astype(np.int32)


def perimeter_px(area: np.ndarray) -> np.ndarray:
    """Return the perimeter of a disk of the same area."""
    return np.asarray(2 * np.sqrt(np.pi * area))


def score(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return the scores of one image."""
    objects, pairs = compare_objects(labels, truth)
    counts = count_objects(objects, pairs)
    matched = objects[(objects["side"] == "true") & objects["iou"].notna() & ~objects["touches_edge"]]
    true_px, found_px = (matched[name].to_numpy(dtype=float) for name in ("area_px", "partner_area_px"))
    offset = (found_px - true_px) / perimeter_px(true_px)
    return {
        "dice": dice(labels > 0, truth > 0),
        "f1": 2 * counts["n_matched_iou50"] / max(counts["n_true"] + counts["n_judged"], 1),
        "count_ratio": counts["n_predicted"] / max(counts["n_true"], 1),
        "diameter_bias": float(np.median(np.sqrt(found_px / true_px) - 1)) if len(matched) else np.nan,
        "outline_offset_px": float(np.median(offset)) if len(matched) else np.nan,
    }


def scores_of_source(data: Path, source: str, settings: Settings, every: int) -> pd.DataFrame:
    """Return a row per image of a source."""
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    rows = []
    for i, (name, image, truth) in enumerate(labeled_images(data, source)):
        if i % every:
            continue
        found = analysis.analyse(image, pixel_size_nm=None, settings=settings, segmenter=segmenter)
        predicted = found.micrograph.get("predicted_dice")
        row: dict[str, Any] = {"source": source, "name": name, "predicted_dice": predicted}
        row |= {column: found.micrograph.get(column) for column in DESCRIPTIVE}
        rows.append(row | score(found.labels, truth))
    return pd.DataFrame(rows)


def summary(table: pd.DataFrame) -> dict[str, float]:
    """Return the figures of one line of the output."""
    predicted = pd.to_numeric(table["predicted_dice"])
    good = (table["dice"] >= 0.8).to_numpy()
    return {
        "n": len(table),
        "dice_mean": table["dice"].mean(),
        "dice_median": table["dice"].median(),
        "f1": table["f1"].mean(),
        "count_ratio_median": table["count_ratio"].median(),
        "diameter_bias": table["diameter_bias"].median(),
        "outline_offset_px": table["outline_offset_px"].median(),
        "predicted_bias": (predicted - table["dice"]).mean(),
        "predicted_error": (predicted - table["dice"]).abs().mean(),
        "auroc": auroc(predicted.fillna(0).to_numpy(), good),
    }


def auroc(scores: np.ndarray, good: np.ndarray) -> float:
    """Return the probability that a good mask has a higher score than a bad one; NaN without both kinds."""
    if good.all() or not good.any():
        return float("nan")
    high, low = scores[good][:, None], scores[~good][None]
    return float((high > low).mean() + 0.5 * (high == low).mean())


def main() -> None:
    """Print a line per source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", help="a model file; by default the bundled one")
    parser.add_argument("--method", default="unet", choices=["unet", "otsu", "fourier"])
    parser.add_argument("--outline", help="setting particles.outline; by default that of a run")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image")
    parser.add_argument("--source", action="append", choices=list(SOURCES), help="by default all of them")
    parser.add_argument("--out", type=Path, help="CSV file with a row per image")
    arguments = parser.parse_args()
    settings = Settings().updated({"segmentation": {"method": arguments.method}, "defects": {"classify": False}})
    if arguments.model:
        settings = settings.updated({"segmentation": {"model": arguments.model}})
    if arguments.outline:
        settings = settings.updated({"particles": {"outline": arguments.outline}})
    found = [scores_of_source(arguments.data, s, settings, arguments.every) for s in arguments.source or SOURCES]
    table = pd.concat(found, ignore_index=True)
    groups: dict[str, pd.DataFrame] = {str(name): group for name, group in table.groupby("source", sort=False)}
    if "tem_sintering" in groups:
        series = groups["tem_sintering"]
        groups["tem_sintering, locked"] = series[series["name"].isin(LOCKED)]
    with pd.option_context("display.width", 200, "display.max_columns", 20):
        print(pd.DataFrame({name: summary(group) for name, group in groups.items()}).T.round(3).to_string())
    if arguments.out:
        table.to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
