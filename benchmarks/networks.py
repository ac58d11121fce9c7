"""Measure the speed of networks: the bundled model and others on one image of noise, in Mpx/s of its pixels.

python benchmarks/networks.py [MODEL…] --size 2048 --pixel-size 0.025 --rounds 5
"""

import argparse
import statistics
import time

import numpy as np

from hrtem_dask.segmentation.segmenters import make_segmenter
from hrtem_dask.settings import ExecutionSettings, SegmentationSettings


def main() -> None:
    """Measure the networks alternately in each round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="weight files; the bundled model is always measured")
    parser.add_argument("--size", type=int, default=2048, help="side of the micrograph, px")
    parser.add_argument("--pixel-size", type=float, default=0.025, help="pixel size of the micrograph, nm")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    image = np.random.default_rng(0).random((arguments.size, arguments.size), dtype=np.float32)
    size = (arguments.pixel_size, arguments.pixel_size)
    segmenters = {
        model or "bundled": make_segmenter(SegmentationSettings(model=model), ExecutionSettings(device="cpu"))
        for model in (None, *arguments.models)
    }
    seconds: dict[str, list[float]] = {name: [] for name in segmenters}
    for i in range(arguments.rounds + 1):
        for name, segmenter in segmenters.items():
            start = time.perf_counter()
            segmenter(image, pixel_size_nm=size)
            if i:  # the first round compiles
                seconds[name].append(time.perf_counter() - start)
    for name, taken in seconds.items():
        rates = [image.size / 1e6 / s for s in taken]
        print(f"{name:60} {statistics.median(rates):6.1f} Mpx/s ({min(rates):.1f}–{max(rates):.1f})")


if __name__ == "__main__":
    main()
