"""The stages composed for one micrograph: image in, labels and rows out. No Dask, no files."""

from hrtem_dask.analysis.classification import classify
from hrtem_dask.analysis.crystal_fields import CrystalAnalysis, analyse_crystal
from hrtem_dask.analysis.lattices import measure, measure_lattices, particle_reflections
from hrtem_dask.analysis.outcomes import Labelled
from hrtem_dask.analysis.pipeline import Analysis, Segmented, analyse, analyse_segmented, segment_micrograph
from hrtem_dask.analysis.region_features import particle_features, region_features, region_labels, shows_lattice
from hrtem_dask.analysis.stages import (
    VisibleField,
    judge_quality,
    label,
    prepare,
    refusal,
    segment,
    visible_field,
)

__all__ = [
    "Analysis",
    "CrystalAnalysis",
    "Labelled",
    "Segmented",
    "VisibleField",
    "analyse",
    "analyse_crystal",
    "analyse_segmented",
    "classify",
    "judge_quality",
    "label",
    "measure",
    "measure_lattices",
    "particle_features",
    "particle_reflections",
    "prepare",
    "refusal",
    "region_features",
    "region_labels",
    "segment",
    "segment_micrograph",
    "shows_lattice",
    "visible_field",
]
