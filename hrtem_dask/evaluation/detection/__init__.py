"""Scores of detections: COCO's mean average precision, and precision, recall, counts, sizes and directions."""

from hrtem_dask.evaluation.detection.average_precision import precision_table
from hrtem_dask.evaluation.detection.classical import (
    find_rods_classically,
    find_spots_classically,
    find_vesicles_classically,
)
from hrtem_dask.evaluation.detection.detection_summary import summarize_pairs
from hrtem_dask.evaluation.detection.overlaps import overlap_matrix
from hrtem_dask.evaluation.detection.pairs import DetectionPairs, pair_detections

__all__ = [
    "DetectionPairs",
    "find_rods_classically",
    "find_spots_classically",
    "find_vesicles_classically",
    "overlap_matrix",
    "pair_detections",
    "precision_table",
    "summarize_pairs",
]
