"""Fourier: power spectra of particles, their lattice, and the paper's ring features."""

from hrtem_dask.fourier.calibration import LatticeScale, lattice_scale_ratio
from hrtem_dask.fourier.groschner2021 import groschner2021_features, ring_integrals
from hrtem_dask.fourier.lattice import Reflection, find_reflections, measure_lattice
from hrtem_dask.fourier.materials import MATERIALS, KnownReflection, Material, find_material, known_reflections
from hrtem_dask.fourier.spectrum import frequencies_per_nm, power_spectrum, radial_power_spectrum

__all__ = [
    "MATERIALS",
    "KnownReflection",
    "LatticeScale",
    "Material",
    "Reflection",
    "find_material",
    "find_reflections",
    "frequencies_per_nm",
    "groschner2021_features",
    "known_reflections",
    "lattice_scale_ratio",
    "measure_lattice",
    "power_spectrum",
    "radial_power_spectrum",
    "ring_integrals",
]
