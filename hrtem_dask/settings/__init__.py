"""Settings: one frozen dataclass per stage, a module for each, and `Settings`, which holds them all."""

from hrtem_dask.settings.defects import BUNDLED_DEFECT_MODEL, DefectSettings
from hrtem_dask.settings.detection import DETECTION_METHODS, DetectionMethod, DetectionSettings
from hrtem_dask.settings.execution import ExecutionSettings
from hrtem_dask.settings.filtering import FilteringSettings
from hrtem_dask.settings.fourier import FourierSettings
from hrtem_dask.settings.loading import LoadingSettings
from hrtem_dask.settings.particles import ParticleSettings
from hrtem_dask.settings.quality import QualitySettings
from hrtem_dask.settings.segmentation import BUNDLED_DETECTORS, BUNDLED_MODEL, Precision, Regime, SegmentationSettings
from hrtem_dask.settings.settings import Settings

__all__ = [
    "BUNDLED_DEFECT_MODEL",
    "BUNDLED_DETECTORS",
    "BUNDLED_MODEL",
    "DETECTION_METHODS",
    "DefectSettings",
    "DetectionMethod",
    "DetectionSettings",
    "ExecutionSettings",
    "FilteringSettings",
    "FourierSettings",
    "LoadingSettings",
    "ParticleSettings",
    "Precision",
    "QualitySettings",
    "Regime",
    "SegmentationSettings",
    "Settings",
]
