"""Evaluation: scores of predictions against truth."""

from hrtem_dask.evaluation.curves import average_precision, curve, threshold_counts
from hrtem_dask.evaluation.definitions import STATISTICS
from hrtem_dask.evaluation.detectability import detectability_table
from hrtem_dask.evaluation.micrographs import MicrographScores, score_micrograph
from hrtem_dask.evaluation.objects import compare_objects, count_objects
from hrtem_dask.evaluation.regions import true_region_classes
from hrtem_dask.evaluation.segmentation import Confusion, confusion, dice, precision, recall
from hrtem_dask.evaluation.summary import summarize_scores

__all__ = [
    "STATISTICS",
    "Confusion",
    "MicrographScores",
    "average_precision",
    "compare_objects",
    "confusion",
    "count_objects",
    "curve",
    "detectability_table",
    "dice",
    "precision",
    "recall",
    "score_micrograph",
    "summarize_scores",
    "threshold_counts",
    "true_region_classes",
]
