"""How often the verdict on a micrograph is right, on real micrographs with masks drawn by hand.

    python benchmarks/verdicts.py --rows rows.csv                  # every folder; again: go on, or judge again
    python benchmarks/verdicts.py --model unet.safetensors --rows other.csv --folders emps_tem

The micrographs lie in the folder HRTEM_DASK_DATA (../shared/data beside the checkout by default); folders that are not
there are skipped. Every micrograph is analyzed in pixels with default settings, about 5 s each on one core. Rows are
written as they come, and a row that is there is not computed again: after a change of the limits in
`hrtem_dask/analysis/verdict.py`, only the verdicts are. Delete the file after a change of the network.

For masks that are bad (Dice coefficient below 0.8) and for micrographs whose median diameter is wrong (by more than
20 %), the table gives the share that is called doubtful; for good ones, the share that is called trusted.
"""

import argparse
import csv
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from hrtem_dask import analysis, tables
from hrtem_dask.analysis.verdict import judge_micrograph
from hrtem_dask.evaluation import dice
from hrtem_dask.segmentation import make_segmenter
from hrtem_dask.settings import Settings

DATA = Path(os.environ.get("HRTEM_DASK_DATA", Path(__file__).parents[2] / "shared" / "data"))
FOLDERS = {
    "emps_tem": ("images", "labels"),
    "tem_sintering": ("images", "masks"),
    "dtsegnet": ("images", "masks"),
}
"""Folder → its folder of images, and its folder of masks or instance labels of the same file stem."""
GOLD = "gold_scalebar"
"""Folder with pixel sizes in scale.csv and without masks: what its samples are is in the table GOLD_NM."""
GOLD_NM = {"AuNP20nm_004.jpg": 20.0, "AuNP80nm_004.jpg": 80.0}
"""Micrograph → nominal diameter of its spheres (nm); the nanorods of the others have no single diameter."""
BAD_DICE, WRONG_MEDIAN = 0.8, 0.2
MIN_AREA_PX = Settings().particles.min_area_px
TRUTH = ("folder", "name", "dice", "median_error")


def read(path: Path) -> np.ndarray:
    """Read an image or a mask as gray values."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise SystemExit(f"{path} cannot be read")
    return cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if image.ndim == 3 else image


def pairs(folder: str) -> Iterator[tuple[Path, Path]]:
    """Pair the images of a folder with the masks of exactly the same stem."""
    images, masks = (DATA / folder / part for part in FOLDERS[folder])
    by_stem = {path.stem: path for path in masks.iterdir()}
    return ((path, by_stem[path.stem]) for path in sorted(images.iterdir()) if path.stem in by_stem)


def true_median_px(mask: np.ndarray) -> float:
    """Return the median diameter of the particles that a perfect mask would count, NaN without any."""
    instances = mask.max() > 1 and len(np.unique(mask)) > 2
    labels = mask.astype(np.int64) if instances else cv2.connectedComponents((mask > 0).astype(np.uint8))[1]
    areas = np.bincount(labels.ravel())
    areas[np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))] = 0
    areas[0] = 0
    counted = areas[areas >= MIN_AREA_PX]
    return float(np.median(2 * np.sqrt(counted / np.pi))) if len(counted) else np.nan


def median_px(particles: pd.DataFrame) -> float:
    """Return the median diameter of the counted particles, NaN without any."""
    counted = particles[particles["counted"].astype(bool)]["equivalent_diameter_px"].to_numpy(float)
    return float(np.median(counted)) if len(counted) else np.nan


class Rows:
    """Rows of micrographs with their truth, kept in a CSV file."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.columns = [*TRUTH, *dict.fromkeys(c.name for c in tables.MICROGRAPHS)]
        self.known: set[tuple[str, str]] = set()
        self.rows: list[dict[str, object]] = []
        if path is not None and path.exists():
            self.rows = pd.read_csv(path).to_dict("records")
            self.known = {(str(r["folder"]), str(r["name"])) for r in self.rows}

    def add(self, row: dict[str, object]) -> None:
        """Add a row, and write it."""
        self.rows.append(row)
        if self.path is not None:
            is_new = not self.path.exists()
            with self.path.open("a", newline="") as file:
                writer = csv.DictWriter(file, self.columns, extrasaction="ignore")
                if is_new:
                    writer.writeheader()
                writer.writerow(row)


def measure(rows: Rows, settings: Settings, folders: list[str], *, every: int) -> None:
    """Analyze the micrographs that have no row yet."""
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    for folder in folders:
        if not (DATA / folder).is_dir():
            print(f"{DATA / folder} is not there: skipped")
            continue
        for image, mask in list(pairs(folder))[::every]:
            if (folder, image.name) in rows.known:
                continue
            found = analysis.analyse(read(image), pixel_size_nm=None, settings=settings, segmenter=segmenter)
            truth = read(mask)
            rows.add(
                {
                    **found.micrograph,
                    "folder": folder,
                    "name": image.name,
                    "status": found.status,
                    "dice": dice(found.labels > 0, truth > 0),
                    "median_error": median_px(found.particles) / true_median_px(truth) - 1,
                }
            )


def measure_gold(rows: Rows, settings: Settings) -> None:
    """Analyze the micrographs of gold with their pixel sizes."""
    if not (DATA / GOLD / "scale.csv").exists():
        print(f"{DATA / GOLD} is not there: skipped")
        return
    segmenter = make_segmenter(settings.segmentation, settings.execution)
    for line in csv.DictReader((DATA / GOLD / "scale.csv").open()):
        name, pixel_nm = line["file"], float(line["nm_per_px"])
        if (GOLD, name) in rows.known:
            continue
        image = read(DATA / GOLD / "images" / name)
        found = analysis.analyse(image, pixel_size_nm=(pixel_nm, pixel_nm), settings=settings, segmenter=segmenter)
        error = median_px(found.particles) * pixel_nm / GOLD_NM.get(name, np.nan) - 1
        rows.add({**found.micrograph, "folder": GOLD, "name": name, "status": found.status, "median_error": error})


def judged(rows: Rows) -> pd.DataFrame:
    """Return the rows with the verdicts of today's limits."""
    table = pd.DataFrame(rows.rows).reindex(columns=rows.columns)
    plain = table.astype(object).where(table.notna(), None).to_dict("records")
    return table.assign(**pd.DataFrame([judge_micrograph(row, is_calibrated=True) for row in plain]))


def share(of: pd.Series) -> str:
    """Return a share and its numbers."""
    return f"{of.mean():.2f} ({of.sum()}/{len(of)})" if len(of) else "-"


def describe(table: pd.DataFrame) -> dict[str, str]:
    """Compare the verdicts with the truth."""
    bad, doubtful = table["dice"] < BAD_DICE, table["verdict"] == "doubtful"
    wrong = table["median_error"].abs() > WRONG_MEDIAN
    right = table["median_error"].abs() <= WRONG_MEDIAN
    trust = table["predicted_dice"].fillna(0.0)
    return {
        "n": str(len(table)),
        "mean Dice": f"{table['dice'].mean():.3f}",
        "AUROC": f"{roc_auc_score(~bad, trust):.2f}" if bad.any() and not bad.all() else "-",
        "bad masks called doubtful": share(doubtful[bad]),
        "good masks called trusted": share(~doubtful[~bad]),
        "wrong medians called doubtful": share(doubtful[wrong]),
        "right medians called trusted": share(~doubtful[right]),
        "good mask and right median called trusted": share(~doubtful[~bad & right]),
    }


def print_table(rows: list[tuple[str, dict[str, str]]]) -> None:
    """Print a table in Markdown."""
    print("\n| | " + " | ".join(rows[0][1]) + " |\n|" + "---|" * (len(rows[0][1]) + 1))
    for name, row in rows:
        print(f"| {name} | " + " | ".join(row.values()) + " |")


def report(table: pd.DataFrame) -> None:
    """Print the confusion, the limits of the predicted Dice coefficient, and the reasons."""
    masked = table[table["dice"].notna()]
    if len(masked):
        folders = [(str(folder), rows) for folder, rows in masked.groupby("folder", sort=False)]
        print_table([(name, describe(rows)) for name, rows in [*folders, ("all", masked)]])
        bad, trust = masked["dice"] < BAD_DICE, masked["predicted_dice"].fillna(0.0)
        limits = np.arange(0.5, 0.86, 0.05)
        print_table(
            [
                (
                    f"predicted Dice below {limit:.2f}",
                    {"bad": share(trust[bad] < limit), "good": share(trust[~bad] < limit)},
                )
                for limit in limits
            ]
        )
    reasons = table.assign(reason=table["doubt_reasons"].str.split("; ")).explode("reason").dropna(subset=["reason"])
    print_table(
        [
            (
                str(reason),
                {
                    "n": str(len(rows)),
                    "of these bad masks": str(int((rows["dice"] < BAD_DICE).sum())),
                    "wrong medians": str(int((rows["median_error"].abs() > WRONG_MEDIAN).sum())),
                },
            )
            for reason, rows in reasons.groupby("reason")
        ]
    )
    missed = table[(table["verdict"] == "trusted") & ((table["dice"] < BAD_DICE) | (table["median_error"].abs() > 0.2))]
    print("\ntrusted although the mask is bad or the median wrong:")
    columns = ["folder", "name", "dice", "predicted_dice", "median_error", "n_counted", "area_to_number_median"]
    print(missed[columns].round(2).to_string(index=False))
    gold = table[table["folder"] == GOLD]
    if len(gold):
        print(f"\n{GOLD}:")
        print(
            gold[["name", "n_counted", "median_error", "predicted_dice", "verdict", "doubt_reasons"]]
            .round(2)
            .to_string()
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=Path, help="CSV file that keeps the rows")
    parser.add_argument("--model", help="another network than the bundled one; its file must hold a calibration")
    parser.add_argument("--folders", nargs="*", default=[*FOLDERS, GOLD], choices=[*FOLDERS, GOLD])
    parser.add_argument("--every", type=int, default=1, help="only every n-th micrograph of a folder")
    options = parser.parse_args()
    settings = Settings().updated({"segmentation": {"model": options.model}, "execution": {"device": "cpu"}})
    rows = Rows(options.rows)
    measure(rows, settings, [f for f in options.folders if f != GOLD], every=options.every)
    if GOLD in options.folders:
        measure_gold(rows, settings)
    if rows.rows:
        report(judged(rows))


if __name__ == "__main__":
    main()
