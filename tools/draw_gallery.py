"""Draw the pictures of docs/gallery.md: python tools/draw_gallery.py. Simulates and analyzes, about a minute."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2

ROOT = Path(__file__).parents[1]
PICTURES = ROOT / "docs" / "gallery"
SIDE_PX, QUALITY = 400, 80
SCENES = (
    # name, options of simulate, options of run, picture → number of the micrograph
    ("lattice", "-n 2 --seed 7 --size 512", "--material Au", {"lattice": 0}),
    ("contrast", "-n 3 --seed 21 --size 512 --regime contrast", "", {"dark": 0, "bright": 1, "raft": 2}),
    ("rods", "-n 1 --seed 5 --size 512 --regime rods", "--settings {root}/pipelines/nanorods.toml", {"rods": 0}),
    ("vesicles", "-n 1 --seed 5 --size 512 --regime vesicles", "--settings {root}/pipelines/vesicles.toml",
     {"vesicles": 0}),
)  # fmt: skip


def hrtem_dask(*arguments: str) -> None:
    """Run the command line of this checkout."""
    subprocess.run([sys.executable, "-m", "hrtem_dask", *arguments, "--quiet"], cwd=ROOT, check=True)


def main() -> None:
    """Simulate, analyze, and shrink the overlays."""
    shutil.rmtree(PICTURES, ignore_errors=True)
    PICTURES.mkdir()
    with tempfile.TemporaryDirectory() as folder:
        for name, simulate, run, chosen in SCENES:
            store, results = f"{folder}/{name}", f"{folder}/{name}_results"
            hrtem_dask("simulate", store, *simulate.split())
            options = run.format(root=ROOT).split()
            hrtem_dask("run", store, "--out", results, "--overlays", "all", *options)
            overlays = sorted(Path(results, "overlays").glob("*.jpg"))
            for picture, number in chosen.items():
                image = cv2.imread(str(overlays[number]))
                assert image is not None
                small = cv2.resize(image, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
                cv2.imwrite(str(PICTURES / f"{picture}.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
