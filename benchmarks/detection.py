"""Detections against truth: simulated scenes and annotated real micrographs, with and without a network.

    python benchmarks/detection.py DATA
    python benchmarks/detection.py DATA --rods RODS.safetensors --vesicles VESICLES.safetensors
    python benchmarks/detection.py DATA --only rods --scenes 100

Simulated: `rods` and `vesicles` are scenes of `simulation.scenes` with a seed that no training uses, on which the
detectors of `--rods` and `--vesicles` are scored.

Real, from the folder DATA: `emps_rods` (panels of `emps_tem` with whole particles at least twice as long as wide; all
others of these panels are neither wrong nor asked for), `loops` (images 6–8 of `dislocation_loops`; 1–5 are for
training), `catalysts` (`catalyst_boxes`, also by material: whoever trains on one material is scored on others), and
`gold_rods` (micrographs of `gold_scalebar`, which have no annotations: the sizes that are found are listed in nm).

A pair overlaps by at least 0.5: of rotated boxes (rods), masks (vesicles, loops) or boxes (catalysts). Precision,
recall and F1 are those of found instances with a score of at least `--min-score`, for detectors without learning of
all. Intervals: 95 %, by bootstrap over micrographs, where there are at least five. Detectors without learning are told
whether instances are bright or dark, and rods that stand on end are not asked of them.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from hrtem_dask.detection import Instances
from hrtem_dask.evaluation.detection import (
    find_rods_classically,
    find_spots_classically,
    find_vesicles_classically,
    pair_detections,
    precision_table,
    summarize_pairs,
)
from hrtem_dask.simulation.scenes import RodRanges, VesicleRanges, simulate_rod_scene, simulate_vesicle_scene
from hrtem_dask.storage.annotations import AnnotatedImage, read_annotations

SEED = 990_000
"""Seed of the simulated test scenes."""
LEAST_ASPECT = 2.0
"""Particles of `emps_tem` that are less elongated are no rods."""
TEST_LOOPS = ("6.png", "7.png", "8.png")

Find = Callable[[np.ndarray], Instances]
"""Finds the instances of an image."""


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """Images with their true instances."""

    name: str
    images: list[np.ndarray]
    truth: list[Instances]
    kind: str
    """What is compared: rotated_boxes, boxes or masks."""
    polarity: list[str]
    """Whether the instances of each image are bright or dark, for detectors without learning."""


def simulated_rods(n: int) -> TestSet:
    """Return simulated scenes of rods; rods on end are neither wrong nor asked for."""
    scenes = [simulate_rod_scene(RodRanges(), seed=SEED, index=i) for i in range(n)]
    return TestSet(
        name="rods",
        images=[s.image for s in scenes],
        truth=[s.instances for s in scenes],
        kind="rotated_boxes",
        polarity=[s.conditions["polarity"] for s in scenes],
    )


def simulated_vesicles(n: int) -> TestSet:
    """Return simulated scenes of vesicles."""
    scenes = [simulate_vesicle_scene(VesicleRanges(), seed=SEED, index=i) for i in range(n)]
    return TestSet(
        name="vesicles",
        images=[s.image for s in scenes],
        truth=[s.instances for s in scenes],
        kind="masks",
        polarity=["dark"] * n,
    )


def read_picture(path: Path) -> np.ndarray:
    """Read an image as 8-bit gray."""
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise FileNotFoundError(f"cannot read {path}")
    return np.asarray(image)


def make_set(name: str, images: Sequence[AnnotatedImage], kind: str, polarity: str | None = None) -> TestSet:
    """Return annotated images; without a given polarity, what differs more from the median is the particles."""
    pictures = [read_picture(image.image_path) for image in images if image.image_path is not None]
    truth = [image.instances for image in images if image.image_path is not None]
    polarities = [polarity or brighter_or_darker(p, t) for p, t in zip(pictures, truth, strict=True)]
    return TestSet(name=name, images=pictures, truth=truth, kind=kind, polarity=polarities)


def brighter_or_darker(image: np.ndarray, truth: Instances) -> str:
    """Say what annotated instances are, compared with the rest."""
    inside = np.zeros(image.shape, bool)
    for x0, y0, x1, y1 in np.round(truth.boxes + 0.5).astype(int):
        inside[max(y0, 0) : y1, max(x0, 0) : x1] = True
    return "bright" if inside.any() and image[inside].mean() > image[~inside].mean() else "dark"


def emps_rods(data: Path) -> TestSet:
    """Return the panels of `emps_tem` that show rods."""
    chosen = []
    for image in read_annotations(data / "emps_tem" / "labels", class_names=["rod"]):
        box = image.instances.rotated_boxes
        height, width = image.instances.shape
        edges = image.instances.boxes
        is_cut = (edges[:, :2] <= 0).any(axis=1) | (edges[:, 2] >= width - 1) | (edges[:, 3] >= height - 1)
        is_rod = (box[:, 2] >= LEAST_ASPECT * box[:, 3]) & ~is_cut
        if is_rod.any():
            instances = Instances.from_rotated_boxes(
                box, shape=image.instances.shape, class_names="rod", ignored=~is_rod, masks=image.instances.masks
            )
            chosen.append(AnnotatedImage(name=image.name, instances=instances, image_path=image.image_path))
    return make_set("emps_rods", chosen, "rotated_boxes", "dark")


def dislocation_loops(data: Path) -> TestSet:
    """Return the test images of `dislocation_loops`."""
    images = read_annotations(data / "dislocation_loops" / "coco.json")
    return make_set("loops", [i for i in images if i.name in TEST_LOOPS], "masks", "dark")


def catalysts(data: Path) -> Iterator[TestSet]:
    """Yield `catalyst_boxes` as a whole, then by material."""
    images = read_annotations(data / "catalyst_boxes" / "labels_yolo", class_names=["particle"])
    yield make_set("catalysts", images, "boxes")
    materials = sorted({image.name[:2] for image in images})
    for material in materials:
        yield make_set(f"catalysts {material}", [i for i in images if i.name.startswith(material)], "boxes")


def score(
    test: TestSet, find: Callable[[int], Instances], *, min_score: float, class_names: Sequence[str] | None = None
) -> list[dict[str, object]]:
    """Return a row of scores per class."""
    began = time.process_time()
    found = [find(i) for i in range(len(test.images))]
    seconds = (time.process_time() - began) / max(len(found), 1)
    names = list(class_names or sorted({str(n) for t in test.truth for n in t.class_names}))
    pairs = pair_detections(test.truth, found, kind=test.kind, min_score=min_score, class_names=names)
    summary = summarize_pairs(pairs, n_images=len(found)).set_index("class_name")
    precision = precision_table(test.truth, found, kind=test.kind, class_names=names).set_index("class_name")
    rows = []
    for name in names:
        s, p = summary.loc[name], precision.loc[name]
        rows.append(
            {
                "class": name,
                "images": len(found),
                "true": int(s["n_true"]),
                "F1": with_interval(s, "f1"),
                "precision": f"{s['precision']:.2f}",
                "recall": f"{s['recall']:.2f}",
                "mAP50": with_interval(p, "ap50"),
                "AP75": f"{p['ap75']:.2f}",
                "mAP": f"{p['map']:.2f}",
                "count": f"{s['count_bias']:+.0%}",
                "length": f"{s['length_bias']:+.1%}",
                "width": f"{s['width_bias']:+.1%}",
                "angle (°)": f"{s['angle_error_deg']:.1f}",
                "recall s/m/l": "/".join(f"{p[f'recall50_{k}']:.2f}" for k in ("small", "medium", "large")),
                "s/image": f"{seconds:.2f}",
            }
        )
    return rows


def with_interval(row: pd.Series, name: str) -> str:
    """Write a number with its interval."""
    low, high = row[f"{name}_low"], row[f"{name}_high"]
    return f"{row[name]:.2f}" if np.isnan(low) else f"{row[name]:.2f} ({low:.2f}–{high:.2f})"


def classical(test: TestSet) -> Iterator[tuple[str, Callable[[int], Instances]]]:
    """Yield detectors without learning."""
    if test.name == "vesicles":
        yield "local threshold, watershed", lambda i: find_vesicles_classically(test.images[i])
        return
    name = "rod" if test.kind == "rotated_boxes" else str(test.truth[0].class_names[0])
    if test.kind != "rotated_boxes":
        # set by hand on images 1–5 of the loops, and on the material Cu of the catalysts
        scales = (4.0, 40.0, 2.5) if test.name == "loops" else (1.0, 8.0, 3.0)
        yield (
            "local threshold, watershed",
            lambda i: find_spots_classically(
                test.images[i],
                polarity=test.polarity[i],
                smooth_px=scales[0],
                around_px=scales[1],
                deviations=scales[2],
                class_name=name,
            ),
        )
    for split, what in ((False, "Otsu, rectangles"), (True, "Otsu, watershed, rectangles")):
        yield (
            what,
            lambda i, split=split: find_rods_classically(
                test.images[i], polarity=test.polarity[i], split=split, class_name=name
            ),
        )


def renamed(instances: Instances, class_name: str | None) -> Instances:
    """Return instances of one class, whatever the detector calls them."""
    if class_name is None:
        return instances
    return Instances.from_rotated_boxes(
        instances.rotated_boxes,
        shape=instances.shape,
        class_names=class_name,
        scores=instances.scores,
        masks=instances.masks,
    )


def network(path: str, kind: str, scale: float | None) -> Find:
    """Load a detector, which finds its scale unless one is given."""
    from hrtem_dask.detection.detector import make_detector

    detector = make_detector(path, kind)

    # low scores count for the average precision
    def find(image: np.ndarray) -> Instances:
        if scale is None:
            return detector.at_found_scale(image, min_score=0.05)[0]
        return detector(image, min_score=0.05, scale=scale)

    return find


def by_network(test: TestSet, find: Find, *, rename: bool) -> Callable[[int], Instances]:
    """Return what finds the instances of a test image; `rename` gives all of them the class of the truth."""
    class_name = str(test.truth[0].class_names[0]) if rename else None
    return lambda i: renamed(find(test.images[i]), class_name)


def otsu(image: np.ndarray) -> Instances:
    """Find the dark rods of a micrograph of 2048 px."""
    return find_rods_classically(image, polarity="dark", split=False, smooth_px=3.0, min_area_px=200.0)


def gold_rods(data: Path, finders: dict[str, Find | None], min_score: float) -> pd.DataFrame:
    """List the sizes of gold rods (nm), of which only the scale is known."""
    scale = pd.read_csv(data / "gold_scalebar" / "scale.csv").set_index("file")
    rows = []
    for name, row in scale[scale["what"].str.contains("rod")].iterrows():
        image = read_picture(data / "gold_scalebar" / "images" / str(name))
        for what, find in finders.items():
            found = find(image) if find is not None else otsu(image)
            box = found.select(found.scores >= (0 if find is None else min_score)).rotated_boxes
            long = box[box[:, 2] >= 1.5 * box[:, 3]]
            sides = np.median(long[:, 2:4], axis=0) * row["nm_per_px"] if len(long) else (np.nan, np.nan)
            rows.append(
                {
                    "micrograph": name,
                    "detector": what,
                    "found": len(box),
                    "elongated": len(long),
                    "length (nm)": round(float(sides[0]), 1),
                    "width (nm)": round(float(sides[1]), 1),
                }
            )
    return pd.DataFrame(rows)


def sets(data: Path, n: int) -> dict[str, Callable[[], list[TestSet]]]:
    """Return the test sets by name; each is made when it is needed."""
    return {
        "rods": lambda: [simulated_rods(n)],
        "vesicles": lambda: [simulated_vesicles(n)],
        "emps_rods": lambda: [emps_rods(data)],
        "loops": lambda: [dislocation_loops(data)],
        "catalysts": lambda: list(catalysts(data)),
    }


def main() -> None:
    """Print one table of scores, and one of sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of the real micrographs")
    parser.add_argument("--rods", help="detector of rods (rotated_rcnn), for rods, emps_rods and gold_rods")
    parser.add_argument("--vesicles", help="detector of vesicles (mask_rcnn)")
    parser.add_argument("--loops", help="detector of dislocation loops (mask_rcnn), trained on images 1-5")
    parser.add_argument("--catalysts", help="detector of catalyst particles (rotated_rcnn or mask_rcnn)")
    parser.add_argument("--kind", default="mask_rcnn", help="kind of the detectors of --loops and --catalysts")
    parser.add_argument("--scenes", type=int, default=40, help="simulated scenes of each kind")
    parser.add_argument("--min-score", type=float, default=0.5, help="least score of what the networks find")
    parser.add_argument(
        "--scale", type=float, help="scale of the networks; by default each image's own, as it is found"
    )
    parser.add_argument("--only", nargs="*", help="names of test sets")
    given = parser.parse_args()
    networks = {
        "rods": (given.rods, "rotated_rcnn"),
        "emps_rods": (given.rods, "rotated_rcnn"),
        "vesicles": (given.vesicles, "mask_rcnn"),
        "loops": (given.loops, given.kind),
        "catalysts": (given.catalysts, given.kind),
    }
    rows: list[dict[str, object]] = []
    for name, make in sets(given.data, given.scenes).items():
        if given.only and name not in given.only:
            continue
        path, kind = networks[name]
        find = network(path, kind, given.scale) if path else None
        for test in make():
            for what, found in classical(test):
                asked = ["rod"] if test.name == "rods" else None
                scored = score(test, found, min_score=0.0, class_names=asked)
                rows += [{"set": test.name, "detector": what} | r for r in scored]
            if find is not None:
                found = by_network(test, find, rename=name not in ("rods", "vesicles"))
                rows += [
                    {"set": test.name, "detector": kind} | r for r in score(test, found, min_score=given.min_score)
                ]
    if rows:
        print(pd.DataFrame(rows).to_string(index=False))
    if not given.only or "gold_rods" in given.only:
        finders: dict[str, Find | None] = {"Otsu, rectangles": None}
        if given.rods:
            finders["rotated_rcnn"] = network(given.rods, "rotated_rcnn", given.scale)
        print("\nGold rods, median sizes (no annotations; no nominal sizes are known)")
        print(gold_rods(given.data, finders, given.min_score).to_string(index=False))


if __name__ == "__main__":
    main()
