"""Names and definitions of the statistics of an evaluation."""

from __future__ import annotations

__all__ = ["STATISTICS"]

STATISTICS: dict[str, str] = {
    "n_micrographs": "micrographs",
    "n_empty": "micrographs that are empty in truth; these are scored separately",
    "dice_mean": "Dice of the particles' pixels, mean over micrographs that are not empty",
    "precision_mean": "precision of the particles' pixels, mean over the same micrographs",
    "recall_mean": "recall of the particles' pixels, mean over the same micrographs",
    "dice_pooled": "Dice over all pixels of the same micrographs",
    "precision_pooled": "precision over all pixels of the same micrographs",
    "recall_pooled": "recall over all pixels of the same micrographs",
    "false_positive_rate": "share of their background that was classified as particle",
    "mask_dice_mean": "as dice_mean, of the segmenter's own mask before opening, closing and splitting",
    "mask_precision_mean": "as precision_mean, of that mask",
    "mask_recall_mean": "as recall_mean, of that mask",
    "mask_dice_pooled": "as dice_pooled, of that mask",
    "mask_precision_pooled": "as precision_pooled, of that mask",
    "mask_recall_pooled": "as recall_pooled, of that mask",
    "mask_false_positive_rate": "as false_positive_rate, of that mask",
    "average_precision": "area under the pooled precision–recall curve of the probability",
    "best_dice_pooled": "highest pooled Dice over thresholds; the threshold is chosen on the same micrographs",
    "best_threshold": "that threshold",
    "object_precision": "correct share of found particles (IoU at least 0.5), pooled over micrographs not empty",
    "object_recall": "share of true particles that were found, pooled",
    "object_f1": "2TP / (2TP + FP + FN) of particles, pooled",
    "object_f1_iou50_95": "the same, mean over IoU 0.50, 0.55 … 0.95",
    "merges_per_particle": "found particles that cover more than half of several true ones, per true particle",
    "splits_per_particle": "true particles that contain more than half of several found ones, per true particle",
    "count_bias_mean": "(found − true) / true number of particles, mean over micrographs not empty",
    "count_bias_pooled": "the same ratio of the sums",
    "size_bias_mean": "relative error of the equivalent diameter, mean over matched particles inside the image",
    "size_bias_median": "the same, median",
    "area_bias_mean": "relative error of the area, mean over the same particles",
    "area_bias_median": "the same, median",
    "population_size_bias": "median diameter of all found over that of all true particles, minus 1",
    "predicted_dice_error": "mean absolute difference of predicted_dice (estimated without labels) and dice",
    "empty_clean_share": "share of empty micrographs with no false particle",
    "empty_without_pixels_share": "share of empty micrographs with no pixel in a particle of any size",
    "empty_false_area_px": "area classified as particle on empty micrographs, mean (px)",
    "empty_false_area_nm2": "the same (nm²), over those with a pixel size",
}  # fmt: skip
"""Statistic → its definition."""
