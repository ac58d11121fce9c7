"""Score a detector of rods on simulated scenes that it was not trained on, beside a classical detector.

    python benchmarks/rod_detection.py MODEL.safetensors 40

The classical detector is Otsu's threshold with a watershed and the smallest rectangle around each piece; it is told
whether rods are bright or dark. The rotated mean average precision is that of lying rods.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

from hrtem_dask.detection.detector import make_detector
from hrtem_dask.detection.instances import Instances
from hrtem_dask.evaluation.detection import find_rods_classically, pair_detections, precision_table, summarize_pairs
from hrtem_dask.simulation.scenes import RodRanges, simulate_rod_scene

SEED = 900
"""Of the test scenes; training and validation have others."""
LOW_SCORE = 0.05
"""Least score of what the mean average precision is computed from."""


def scores(
    name: str, truth: list[Instances], found: list[Instances], seconds: float, least_scores: list[float]
) -> None:
    """Print the scores of one detector."""
    table = precision_table(truth, found, kind="rotated_boxes", class_names=["rod"], n_resamples=200).iloc[0]
    print(
        f"{name}: mAP {table['map']:.3f}, AP50 {table['ap50']:.3f} ({table['ap50_low']:.3f} to "
        f"{table['ap50_high']:.3f}), AP75 {table['ap75']:.3f} ({table['ap75_low']:.3f} to {table['ap75_high']:.3f}); "
        f"{seconds:.2f} CPU s per scene; recall at 0.5 of small, medium, large: {table['recall50_small']:.2f}, "
        f"{table['recall50_medium']:.2f}, {table['recall50_large']:.2f}"
    )
    for least in least_scores:
        pairs = pair_detections(truth, found, min_score=least, class_names=["rod"])
        row = summarize_pairs(pairs, n_images=len(truth)).iloc[-1]
        print(
            f"  score ≥ {least:.2f}: F1 {row['f1']:.3f} ({row['f1_low']:.3f} to {row['f1_high']:.3f}), "
            f"precision {row['precision']:.3f}, recall {row['recall']:.3f}, count bias {row['count_bias']:+.3f}, "
            f"length bias {row['length_bias']:+.4f}, width bias {row['width_bias']:+.4f}, "
            f"angle error {row['angle_error_deg']:.2f}°"
        )


def main(model: str, n: int) -> None:
    """Simulate, detect and score."""
    torch.set_num_threads(1)
    scenes = [simulate_rod_scene(RodRanges(), seed=SEED, index=i) for i in range(n)]
    truth = [scene.instances for scene in scenes]
    print(f"{n} scenes of 512² px, {sum(int((t.class_names == 'rod').sum()) for t in truth)} rods")
    began = time.process_time()
    classical = [
        find_rods_classically(s.image, polarity="dark" if s.conditions["imaging"] == "bright_field" else "bright")
        for s in scenes
    ]
    scores("classical", truth, classical, (time.process_time() - began) / n, [0.0, 0.5])
    detector = make_detector(model, "rotated_rcnn")
    detector(np.asarray(scenes[0].image))  # compiles what is compiled
    began = time.process_time()
    found = [detector(np.asarray(scene.image), min_score=LOW_SCORE) for scene in scenes]
    scores("rotated Faster R-CNN", truth, found, (time.process_time() - began) / n, [0.3, 0.4, 0.5, 0.6])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 40)
