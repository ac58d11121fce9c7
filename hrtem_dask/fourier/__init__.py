"""Fourier: power spectra of particles, their lattice, and the paper's ring features."""

from hrtem_dask.fourier.crystal_fields.detection import CrystalCover, crystal_cover
from hrtem_dask.fourier.crystal_fields.measurement import MeasuredWindow, PhaseMap, measure_windows, phase_maps
from hrtem_dask.fourier.crystal_fields.traces import FaultTrace, joined_traces
from hrtem_dask.fourier.geometric_phase import geometric_phase
from hrtem_dask.fourier.groschner2021 import GROSCHNER2021_COLUMNS, groschner2021_features, ring_integrals
from hrtem_dask.fourier.lattice import (
    LATTICE_COLUMNS,
    Reflection,
    describe_lattice,
    find_reflections,
    measure_lattice,
    stronger_reflections,
)
from hrtem_dask.fourier.lattice_scale import (
    MIN_SPACINGS,
    LatticeScale,
    judge_scale,
    lattice_pair_scale,
    lattice_scale_ratio,
    setting_scales,
)
from hrtem_dask.fourier.on_zone_score import NOISE_SNR, on_zone_score
from hrtem_dask.fourier.pattern import between_deg, lattice_shares
from hrtem_dask.fourier.phase_step import PHASE_STEP_COLUMNS, PhaseStep, ReflectionStep, RowDisplacement, phase_step
from hrtem_dask.fourier.region_features import (
    MARGIN_NM,
    MIN_PEAK_SNR,
    REGION_COLUMNS,
    SPACING_RANGE_NM,
    region_features,
)
from hrtem_dask.fourier.spectrum import frequencies_per_nm, power_spectrum, radial_power_spectrum
from hrtem_dask.fourier.zone_axis import (
    ZONE_AXIS_COLUMNS,
    ZoneAxisCandidate,
    measure_zone_axis,
    zone_axis_candidates,
)

__all__ = [
    "GROSCHNER2021_COLUMNS",
    "LATTICE_COLUMNS",
    "MARGIN_NM",
    "MIN_PEAK_SNR",
    "MIN_SPACINGS",
    "NOISE_SNR",
    "PHASE_STEP_COLUMNS",
    "REGION_COLUMNS",
    "SPACING_RANGE_NM",
    "ZONE_AXIS_COLUMNS",
    "CrystalCover",
    "FaultTrace",
    "LatticeScale",
    "MeasuredWindow",
    "PhaseMap",
    "PhaseStep",
    "Reflection",
    "ReflectionStep",
    "RowDisplacement",
    "ZoneAxisCandidate",
    "between_deg",
    "crystal_cover",
    "describe_lattice",
    "find_reflections",
    "frequencies_per_nm",
    "geometric_phase",
    "groschner2021_features",
    "joined_traces",
    "judge_scale",
    "lattice_pair_scale",
    "lattice_scale_ratio",
    "lattice_shares",
    "measure_lattice",
    "measure_windows",
    "measure_zone_axis",
    "on_zone_score",
    "phase_maps",
    "phase_step",
    "power_spectrum",
    "radial_power_spectrum",
    "region_features",
    "ring_integrals",
    "setting_scales",
    "stronger_reflections",
    "zone_axis_candidates",
]
