"""Evaluation: prediction and truth → scores."""

from hrtem_dask.evaluation.segmentation import Confusion, confusion, dice, precision, recall, score_masks

__all__ = ["Confusion", "confusion", "dice", "precision", "recall", "score_masks"]
