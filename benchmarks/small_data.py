"""How much a detector learns from 5, 10 or 20 images, by what it starts from.

    python benchmarks/small_data.py rods --backbone IMAGENET.safetensors --out rods.csv
    python benchmarks/small_data.py loops --data DATA --backbone IMAGENET.safetensors --sizes 5 --out loops.csv
    python benchmarks/small_data.py precipitates --data DATA --backbone IMAGENET.safetensors --sizes 5 10 18 --out p.csv

`rods`: simulated scenes of one kind of specimen (bright-field rods of 40 to 120 px), which the bundled detector of rods
has not seen, but others of the same simulator; this favors it. `loops`: images 1-5 of `dislocation_loops`, tested on
6-8; their class is given the name of the small vesicles of the bundled detector of vesicles, which are dark spots too.
`precipitates`: micrographs of `dtsegnet` (precipitates in alloys, seen in a scanning microscope), tested on six of
other alloys or heat treatments; rotated boxes, under the name of the rods of the bundled detector, which knows nothing
like them.

Each training begins from random weights (`scratch`), weights of ImageNet (`imagenet`) or the bundled detector
(`simulation`), sees the same number of random views of its images and nothing else, and is scored on the same test
images. The bundled detector as it is (`untrained`) and a detector without learning (`classical`) are scored beside
them, by the boxes alone, whatever the bundled detector calls them. A row is written after each. At the end the means
over seeds are printed with 95 % intervals (Student's t), from two seeds on. Rows that are in the table already are not
made again.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import scipy.stats

from hrtem_dask.detection.detector import Detector, make_detector
from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.network_input import standardize
from hrtem_dask.evaluation.detection import find_spots_classically, precision_table
from hrtem_dask.settings import Settings
from hrtem_dask.simulation.scenes import RodRanges
from hrtem_dask.storage.annotations import instances_of_labels
from hrtem_dask.training.detection.annotated import read_annotated
from hrtem_dask.training.detection.recipes import RECIPES, DetectionRecipe
from hrtem_dask.training.detection.samples import Sample, SimulatedSamples
from hrtem_dask.training.detection.train_detector import train_detector

SEED = 880_000
"""Seed of the simulated scenes, which no training of a bundled detector uses."""
SPECIMEN = RodRanges(
    imaging={"bright_field": 1.0}, length_px=(40.0, 120.0), aspect=(2.5, 6.0), end_on_fraction=0.0, empty_fraction=0.0
)
TEST_PRECIPITATES = (1, 5, 6, 7, 12, 13)
"""Micrographs of `dtsegnet` that are no crops of a micrograph of others."""
LEAST_AREA_PX = 30
"""Smaller patches of a mask are neither wrong nor asked for."""
CLASSICAL = {"loops": (4.0, 40.0, 2.5), "precipitates": (2.0, 25.0, 2.0)}
"""Smoothing, surroundings (px) and threshold of the detector without learning, set by hand on training images."""
STARTS = ("scratch", "imagenet", "simulation")


def simulated_rods(n_test: int) -> tuple[list[Sample], list[Sample]]:
    """Return 20 scenes to train on, and others to test on, all lying rods."""
    source = SimulatedSamples("rods", 384, SEED, SPECIMEN)
    scenes = [source(i) for i in range(20 + n_test)]
    return scenes[:20], scenes[20:]


def loops(data: Path) -> tuple[list[Sample], list[Sample]]:
    """Return images 1-5 and 6-8 of the dislocation loops."""
    samples = [
        Sample(s.image, as_small_vesicles(s.instances))
        for s in read_annotated([data / "dislocation_loops" / "coco.json"])
    ]
    return samples[:5], samples[5:]


def precipitates(data: Path) -> tuple[list[Sample], list[Sample]]:
    """Return 18 micrographs of precipitates, and 6 of other specimens to test on."""
    train, test = [], []
    for number in range(1, 25):
        image, mask = (
            cv2.imread(str(data / "dtsegnet" / folder / f"{number}.png"), cv2.IMREAD_GRAYSCALE)
            for folder in ("images", "masks")
        )
        instances = instances_of_labels(cv2.connectedComponents((mask > 0).astype(np.uint8))[1], class_name="rod")
        is_small = np.array([one.area_px < LEAST_AREA_PX for one in instances.masks or ()], bool)
        sample = Sample(standardize(image), instances.with_ignored(is_small))
        (test if number in TEST_PRECIPITATES else train).append(sample)
    return train, test


def as_small_vesicles(instances: Instances) -> Instances:
    """Return instances under the name of a class that the bundled detector knows."""
    return replace(instances, class_names=np.full(len(instances), "small_vesicle"))


def recipe_for(kind: str, images: int) -> DetectionRecipe:
    """Return the recipe: that for few images, without simulated ones, and with small views, which cost less."""
    recipe = RECIPES["few_vesicles" if kind == "loops" else "few_rods"]
    return replace(
        recipe, simulated_share=0.0, images=images, images_per_epoch=images, average_decay=0.98, batch=2, crop_px=192
    )


def score(
    train: list[Sample], test: list[Sample], recipe: DetectionRecipe, start: str, backbone: Path, seed: int
) -> dict[str, float]:
    """Train once and score the network on the test images."""
    method = {"method": recipe.kind}
    bundled = Settings().updated({"segmentation": method}).segmentation.model_file
    # a network that knows nothing yet needs larger steps
    recipe = recipe if start == "simulation" else replace(recipe, learning_rate=1e-3, backbone_factor=0.4)
    with tempfile.TemporaryDirectory() as folder:
        began = time.process_time()
        result = train_detector(
            Path(folder) / "model.safetensors",
            recipe,
            initial=bundled if start == "simulation" else None,
            backbone=backbone if start == "imagenet" else None,
            annotated=train,
            validation=test[:1],
            seed=seed,
        )
        seconds = time.process_time() - began
    config = recipe.config(result.model.class_names)
    found = find(Detector(result.model, config, "", "cpu"), test)
    return compare(test, found, recipe) | {"cpu_seconds": seconds}


def find(detector: Detector, test: list[Sample]) -> list[Instances]:
    """Return what a detector finds in each test image as a whole, with its pixels as they are."""
    return [detector(one.image, min_score=0.05, tile_px=2048) for one in test]


def compare(test: list[Sample], found: list[Instances], recipe: DetectionRecipe) -> dict[str, float]:
    """Return the average precision of what was found on the test images."""
    kind = "masks" if recipe.kind == "mask_rcnn" else "rotated_boxes"
    names = sorted({str(n) for one in test for n in one.instances.class_names})
    row = precision_table([one.instances for one in test], found, kind=kind, class_names=names, n_resamples=0).iloc[-1]
    return {"ap50": float(row["ap50"]), "ap75": float(row["ap75"])}


def references(kind: str, test: list[Sample], recipe: DetectionRecipe) -> list[dict[str, object]]:
    """Score what needs no training: the bundled detector, and a detector without learning."""
    name = str(test[0].instances.class_names[0])
    path = Settings().updated({"segmentation": {"method": recipe.kind}}).segmentation.model_file
    found = find(make_detector(path, recipe.kind), test)
    found = [replace(one, class_names=np.full(len(one), name)) for one in found]
    rows: list[dict[str, object]] = [{"start": "untrained", **compare(test, found, recipe)}]
    if kind in CLASSICAL:
        smooth, around, deviations = CLASSICAL[kind]
        found = [
            find_spots_classically(
                one.image, polarity="dark", smooth_px=smooth, around_px=around, deviations=deviations, class_name=name
            )
            for one in test
        ]
        rows.append({"start": "classical", **compare(test, found, recipe)})
    return [{"set": kind, "images": 0, "seed": 0, "views": 0, **row} for row in rows]


def summarize(table: pd.DataFrame) -> pd.DataFrame:
    """Return means over seeds with intervals."""
    rows = []
    for (n, start), part in table.groupby(["images", "start"], sort=True):
        mean, k = part["ap50"].mean(), len(part)
        half = scipy.stats.t.ppf(0.975, k - 1) * part["ap50"].std() / np.sqrt(k) if k > 1 else np.nan
        rows.append({"images": n, "start": start, "seeds": k, "mAP50": mean, "±": half, "AP75": part["ap75"].mean()})
    return pd.DataFrame(rows).round(2)


def main() -> None:
    """Train and score in the order of the seeds, so that an interrupted study is a smaller one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", choices=["rods", "loops", "precipitates"])
    parser.add_argument("--data", type=Path, help="folder of the real micrographs")
    parser.add_argument("--backbone", type=Path, required=True, help="weights of ImageNet, from `train backbone`")
    parser.add_argument("--sizes", type=int, nargs="*", default=[5, 10, 20], help="numbers of training images")
    parser.add_argument("--starts", nargs="*", default=list(STARTS), choices=STARTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--views", type=int, default=600, help="random views that each training sees")
    parser.add_argument("--test-scenes", type=int, default=12)
    parser.add_argument("--out", type=Path, required=True, help="table, a row per training")
    given = parser.parse_args()
    train, test = (
        simulated_rods(given.test_scenes)
        if given.set == "rods"
        else (loops if given.set == "loops" else precipitates)(given.data)
    )
    recipe = recipe_for(given.set, given.views)
    rows = pd.read_csv(given.out).to_dict("records") if given.out.exists() else []
    if not any(row["start"] == "untrained" for row in rows):
        rows += references(given.set, test, recipe)
    for seed in range(given.seeds):
        for n in given.sizes:
            for start in given.starts:
                key = {"set": given.set, "images": n, "start": start, "seed": seed, "views": given.views}
                if any(all(row[name] == value for name, value in key.items()) for row in rows):
                    continue
                # another seed also draws other training images
                order = np.random.default_rng([SEED, seed]).permutation(len(train))[:n]
                scored = score([train[i] for i in order], test, recipe, start, given.backbone, seed)
                rows.append({**key, **scored})
                pd.DataFrame(rows).to_csv(given.out, index=False)
                print(rows[-1], flush=True)
    print(summarize(pd.DataFrame(rows)).to_string(index=False))


if __name__ == "__main__":
    main()
