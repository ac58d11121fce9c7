"""How well each segmenter does on hand-labelled micrographs, through the main job: a Markdown table.

    python benchmarks/segmentation_scores.py IMAGES MASKS --weights A.h5 B.h5 --only 'image_[0-7].png'

Masks have the images' file names; a pixel above 127 is particle. The pixel size, where the images state none, is an
assumption that only the Fourier filter needs: say it with --pixel-size.
"""

from __future__ import annotations

import argparse
import fnmatch
import tempfile
from pathlib import Path

import cv2
import pandas as pd

import hrtem_dask as hd
from hrtem_dask.evaluation import score_masks


def scores(images: list[Path], masks: Path, settings: hd.Settings, scheduler: str | None) -> pd.DataFrame:
    """Run the main job on the images and score the particles' pixels against the masks."""
    with tempfile.TemporaryDirectory() as out:
        hd.run([str(path) for path in images], out, settings=settings, scheduler=scheduler)
        results = hd.open_results(out)
        pairs = []
        for row in results.micrographs.itertuples():
            if row.status not in {"done", "empty"}:
                raise SystemExit(f"{row.source}: {row.reason}")
            truth = cv2.imread(str(masks / Path(row.source).name), cv2.IMREAD_GRAYSCALE)
            pairs.append((Path(row.source).name, results.labels(row.micrograph_id) > 0, truth > 127))
    return score_masks(pairs)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("masks", type=Path)
    parser.add_argument("--weights", type=Path, nargs="*", default=[])
    parser.add_argument("--only", default="*", help="pattern of file names")
    parser.add_argument("--pixel-size", type=float, default=0.1, help="nm, an assumption; for the Fourier filter")
    parser.add_argument("--scheduler", default="threads")
    given = parser.parse_args()
    images = sorted(p for p in given.images.iterdir() if fnmatch.fnmatch(p.name, given.only))
    ways = {
        "Otsu": {"segmentation": {"method": "otsu"}, "loading": {"pixels": True}},
        f"Fourier filter (at an assumed {given.pixel_size:g} nm/px)": {
            "segmentation": {"method": "fourier"},
            "loading": {"pixel_size_nm": given.pixel_size},
        },
    }
    for path in given.weights:
        ways[path.stem] = {"segmentation": {"method": "unet", "model": str(path)}, "loading": {"pixels": True}}
    print(f"{len(images)} micrographs\n\n| segmenter | Dice, mean | Dice, worst | precision | recall |")
    print("|---|---|---|---|---|")
    for name, changes in ways.items():
        table = scores(images, given.masks, hd.Settings().updated(changes), given.scheduler)
        mean, worst = table.loc["mean"], table["dice"].drop(["mean", "pooled"]).min()
        print(f"| {name} | {mean['dice']:.3f} | {worst:.3f} | {mean['precision']:.3f} | {mean['recall']:.3f} |")


if __name__ == "__main__":
    main()
