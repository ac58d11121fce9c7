"""Defects: classify regions by their features, with calibrated probabilities."""

from hrtem_dask.defects.classifier import UNSURE, DefectClassifier, feature_matrix
from hrtem_dask.defects.classifier_file import load_classifier, make_classifier, save_classifier
from hrtem_dask.defects.embedding import embed_regions
from hrtem_dask.defects.forest import Forest
from hrtem_dask.defects.probability_calibration import (
    Calibration,
    expected_calibration_error,
    fit_calibration,
    reliability,
)

__all__ = [
    "UNSURE",
    "Calibration",
    "DefectClassifier",
    "Forest",
    "embed_regions",
    "expected_calibration_error",
    "feature_matrix",
    "fit_calibration",
    "load_classifier",
    "make_classifier",
    "reliability",
    "save_classifier",
]
