"""The stages composed for one micrograph: image in, labels and rows out. No Dask, no files."""

from hrtem_dask.analysis.classification import classify
from hrtem_dask.analysis.region_features import particle_features, region_features, region_labels, shows_lattice
from hrtem_dask.analysis.stages import Analysis, analyse, judge_quality, label, measure, prepare, segment

__all__ = [
    "Analysis",
    "analyse",
    "classify",
    "judge_quality",
    "label",
    "measure",
    "particle_features",
    "prepare",
    "region_features",
    "region_labels",
    "segment",
    "shows_lattice",
]
