"""Scores of segmentation on real labeled images: Dice, particles, counts, diameters and outlines, per source.

    python benchmarks/real_images.py DATA
    python benchmarks/real_images.py DATA --methods unet otsu DATA/pynanofind/weights/*.h5
    python benchmarks/real_images.py DATA --methods MODEL.safetensors --every 3
    python benchmarks/real_images.py DATA --source tem_sintering --outline half

DATA holds the sources `emps_tem`, `tem_sintering` and `dtsegnet`, each with `images` and with masks or labels of the
same name. The images state no pixel size and are analyzed in pixels. Every number is of the particles after labeling;
particles below the counting limit are neither missed nor false. Settings are the defaults; networks of the 2021 paper
(`.h5`) have those of `pipelines/groschner2021.toml`.
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
PAPER = Path(__file__).parents[1] / "pipelines" / "groschner2021.toml"
"""Settings of the paper, for its networks."""
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
    objects, pairs = compare_objects(labels, truth, min_area_px=Settings().particles.min_area_px)
    counts = count_objects(objects, pairs)
    matched = objects[(objects["side"] == "true") & objects["iou"].notna()]
    matched = matched[~matched["touches_edge"] & ~matched["is_small"]]
    true_px, found_px = (matched[name].to_numpy(dtype=float) for name in ("area_px", "partner_area_px"))
    offset = (found_px - true_px) / perimeter_px(true_px)
    return {
        "dice": dice(labels > 0, truth > 0),
        "f1": 2 * counts["n_matched_iou50"] / max(counts["n_true"] + counts["n_judged"], 1),
        "n_true": counts["n_true"],
        "n_found": counts["n_predicted"],
        "diameter_bias": float(np.median(np.sqrt(found_px / true_px) - 1)) if len(matched) else np.nan,
        "outline_offset_px": float(np.median(offset)) if len(matched) else np.nan,
    }


def settings_of(method: str, outline: str | None) -> Settings:
    """Return the settings of a method of the command line: the name of a method, or a model file."""
    segmentation = {"method": method} if method in {"unet", "otsu", "fourier"} else {"model": method}
    settings = Settings.from_file(PAPER) if method.endswith(".h5") else Settings()
    settings = settings.updated({"segmentation": segmentation, "defects": {"classify": False}})
    return settings.updated({"particles": {"outline": outline}}) if outline else settings


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


def summary(table: pd.DataFrame) -> dict[str, str]:
    """Return the figures of one method and source."""
    predicted = pd.to_numeric(table["predicted_dice"])
    good = (table["dice"] >= 0.8).to_numpy()
    doubtful = (table["verdict"] == "doubtful").to_numpy()
    figures = {
        "images": f"{len(table)}",
        "Dice, mean": f"{table['dice'].mean():.3f}",
        "Dice, median": f"{table['dice'].median():.3f}",
        "F1 of particles, mean": f"{table['f1'].mean():.3f}",
        "count, all images": f"{table['n_found'].sum() / table['n_true'].sum() - 1:+.0%}",
        "count error per image, median": f"{(table['n_found'] / table['n_true'].clip(1) - 1).abs().median():.0%}",
        "diameter bias, median": f"{table['diameter_bias'].median():+.1%}",
        "outline offset, median": f"{table['outline_offset_px'].median():+.1f} px",
    }
    if table["verdict"].notna().any():
        figures |= {
            "doubtful": f"{doubtful.sum()}",
            "Dice < 0.8, of these doubtful": f"{(~good).sum()}, {(doubtful & ~good).sum()}",
        }
    if predicted.notna().any():
        figures |= {
            "bias of predicted Dice": f"{(predicted - table['dice']).mean():+.3f}",
            "error of predicted Dice": f"{(predicted - table['dice']).abs().mean():.3f}",
            "AUROC for Dice < 0.8": f"{auroc(predicted.fillna(0).to_numpy(), good):.2f}",
        }
    return figures


def print_tables(table: pd.DataFrame) -> None:
    """Print a table in Markdown per source, with a column per method."""
    groups: dict[str, pd.DataFrame] = {str(name): group for name, group in table.groupby("source", sort=False)}
    locked = table[(table["source"] == "tem_sintering") & table["name"].isin(LOCKED)]
    if len(locked):
        groups["tem_sintering, locked"] = locked
    for source, rows in groups.items():
        columns = {str(method): summary(group) for method, group in rows.groupby("method", sort=False)}
        print(f"\n| {source} | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
        for figure in max(columns.values(), key=len):
            cells = (column.get(figure, "nan") for column in columns.values())
            print(f"| {figure} | " + " | ".join("–" if "nan" in cell else cell for cell in cells) + " |")


def auroc(scores: np.ndarray, good: np.ndarray) -> float:
    """Return the probability that a good mask has a higher score than a bad one; NaN without both kinds."""
    if good.all() or not good.any():
        return float("nan")
    high, low = scores[good][:, None], scores[~good][None]
    return float((high > low).mean() + 0.5 * (high == low).mean())


def main() -> None:
    """Print a table per source."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument(
        "--methods", nargs="+", default=["unet"], help="unet (the bundled model, the default), otsu, fourier, or files"
    )
    parser.add_argument("--outline", help="setting particles.outline; by default that of a run")
    parser.add_argument("--every", type=int, default=1, help="take every n-th image")
    parser.add_argument("--source", action="append", choices=list(SOURCES), help="by default all of them")
    parser.add_argument("--out", type=Path, help="CSV file with a row per image and method")
    arguments = parser.parse_args()
    found = []
    for method in arguments.methods:
        settings = settings_of(method, arguments.outline)
        for source in arguments.source or SOURCES:
            rows = scores_of_source(arguments.data, source, settings, arguments.every)
            found.append(rows.assign(method=Path(method).name))
    table = pd.concat(found, ignore_index=True)
    print_tables(table)
    if arguments.out:
        table.to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
