"""Fourier: power spectra of particles, their lattice, and the paper's ring features."""

from hrtem_dask.fourier.calibration import LatticeScale, lattice_scale_ratio
from hrtem_dask.fourier.geometric_phase import geometric_phase
from hrtem_dask.fourier.groschner2021 import groschner2021_features, ring_integrals
from hrtem_dask.fourier.lattice import Reflection, find_reflections, measure_lattice
from hrtem_dask.fourier.materials import MATERIALS, KnownReflection, Material, find_material, known_reflections
from hrtem_dask.fourier.pattern import between_deg, lattice_shares
from hrtem_dask.fourier.phase_step import PHASE_STEP_COLUMNS, PhaseStep, ReflectionStep, RowDisplacement, phase_step
from hrtem_dask.fourier.region_features import MARGIN_NM, REGION_COLUMNS, region_features
from hrtem_dask.fourier.spectrum import frequencies_per_nm, power_spectrum, radial_power_spectrum

__all__ = [
    "MARGIN_NM",
    "MATERIALS",
    "PHASE_STEP_COLUMNS",
    "REGION_COLUMNS",
    "KnownReflection",
    "LatticeScale",
    "Material",
    "PhaseStep",
    "Reflection",
    "ReflectionStep",
    "RowDisplacement",
    "between_deg",
    "find_material",
    "find_reflections",
    "frequencies_per_nm",
    "geometric_phase",
    "groschner2021_features",
    "known_reflections",
    "lattice_scale_ratio",
    "lattice_shares",
    "measure_lattice",
    "phase_step",
    "power_spectrum",
    "radial_power_spectrum",
    "region_features",
    "ring_integrals",
]
