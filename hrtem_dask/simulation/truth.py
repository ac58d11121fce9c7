"""Truth of a simulated micrograph: tables and label images, exact by construction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hrtem_dask.tables import Column, Schema

__all__ = ["TRUTH_MICROGRAPHS", "TRUTH_PARTICLES", "TRUTH_REGIONS", "SimulatedMicrograph", "Values"]

Values = dict[str, str | float | bool | None]
"""Values of one row of a truth table, by column; a float may be an int."""

_ID = Column("micrograph_id", "str", "name of the simulated micrograph: sim-<seed>-<index>")

TRUTH_MICROGRAPHS: Schema = (
    _ID,
    Column("seed", "int", "seed of the series"),
    Column("index", "int", "number in the series; with the same ranges, seed and index determine the micrograph"),
    Column("material", "str", "material of its particles: one name, 'mixed', or null for an empty field"),
    Column("height_px", "int", "image height", "px"),
    Column("width_px", "int", "image width", "px"),
    Column("pixel_size_nm", "float", "pixel height and width", "nm"),
    Column("n_particles", "int", "particles in the field, including those cut by the border; 0 is an empty field"),
    Column("n_regions", "int", "connected pieces of the union of outlines; gaps below 0.4 nm are bridged"),
    Column("coverage", "float", "share of the image covered by particles"),
    Column("voltage_kv", "float", "acceleration voltage", "kV"),
    Column("defocus_nm", "float", "defocus, positive is underfocus", "nm"),
    Column("cs_mm", "float", "spherical aberration"),
    Column("astigmatism_nm", "float", "two-fold astigmatism", "nm"),
    Column("coma_nm", "float", "axial coma", "nm"),
    Column("focal_spread_nm", "float", "standard deviation of the defocus", "nm"),
    Column("vibration_nm", "float", "standard deviation of the specimen's vibration", "nm"),
    Column("drift_nm", "float", "drift of the specimen during the exposure", "nm"),
    Column("aperture_per_nm", "float", "radius of the objective aperture"),
    Column("carbon_thickness_nm", "float", "thickness of the amorphous carbon", "nm"),
    Column("carbon_contrast", "float", "standard deviation of the noise-free carbon over its mean"),
    Column("dose_per_nm2", "float", "recorded electrons per nm², mean over the field"),
    Column("electrons_per_px", "float", "mean number of electrons per pixel"),
    Column("gradient", "float", "intensity change across the field over its mean"),
    Column("n_spikes", "int", "number of X-ray spikes"),
)

TRUTH_PARTICLES: Schema = (
    _ID,
    Column("particle_id", "int", "value in the instance labels"),
    Column("region_id", "int", "value of its region in the region labels"),
    Column("material", "str", "name of the material, such as Au or CdSe"),
    Column("structure", "str", "fcc, wurtzite, zinc_blende …"),
    Column("shape", "str", "sphere, ellipsoid, truncated_octahedron, rod or faceted"),
    Column("n_atoms", "int", "number of atoms"),
    Column("centre_y_nm", "float", "distance of the center from the upper edge of the image", "nm"),
    Column("centre_x_nm", "float", "distance of the center from the left edge of the image", "nm"),
    Column(
        "area_px", "int", "pixels of the projected hull inside the image, including those covered by other particles"
    ),
    Column("area_nm2", "float", "area of these pixels", "nm²", "area_px × pixel_size_nm²"),
    Column("equivalent_diameter_nm", "float", "diameter of the disk of the same area", "nm", "√(4A/π)"),
    Column("touches_edge", "bool", "cut by the border of the image"),
    Column("zone_axis", "str", "nearest low-index zone axis, as [uvw] or [uvtw]"),
    Column("tilt_deg", "float", "angle between the beam and that zone axis"),
    Column("orientation", "str", "on_zone (up to 3.5°), misoriented (above 5.5°) or between"),
    Column("lattice_orientation_deg", "float", "rotation about the beam, counter-clockwise on the screen"),
    Column("fault", "str", "none, intrinsic, extrinsic, twin or layer (of the other stacking)"),
    Column("n_faults", "int", "number of fault planes"),
    Column("fault_visible", "bool", "whether faults are edge-on within 3.5°"),
    Column(
        "fault_trace_deg", "float", "direction of the trace of the first plane, counter-clockwise from +x on the screen"
    ),
    Column(
        "fault_offset_nm",
        "float",
        "distance of that plane (the middle of a thicker fault) from the center of the particle, positive 90° "
        "counter-clockwise of the trace",
        "nm",
    ),
    Column("is_agglomerated", "bool", "shares its region with another particle"),
    Column(
        "visibility",
        "float",
        "contrast relative to carbon and noise",
        "",
        "sd of its noise-free contrast / √(carbon contrast² + shot noise² in (0.2 nm)²)",
    ),
)

TRUTH_REGIONS: Schema = (
    _ID,
    Column("region_id", "int", "value in the region labels"),
    Column("bbox_y0_px", "int", "first row of the bounding box", "px"),
    Column("bbox_x0_px", "int", "first column of the bounding box", "px"),
    Column("bbox_y1_px", "int", "row after the last one of the bounding box", "px"),
    Column("bbox_x1_px", "int", "column after the last one of the bounding box", "px"),
    Column("area_px", "int", "number of pixels", "px"),
    Column("area_nm2", "float", "projected area", "nm²", "area_px × pixel_size_nm²"),
    Column("n_particles", "int", "number of particles in the region"),
    Column("touches_edge", "bool", "cut by the border of the image, which leaves it out of scores"),
    Column(
        "region_class",
        "str",
        "agglomeration, no_stacking_fault, misoriented or stacking_fault; null between 3.5° and 5.5°: not scored",
    ),
    Column("visibility", "float", "smallest visibility of its particles"),
    Column("is_clear", "bool", "visibility at least 1.7 (misoriented: 0.8) and ordinary imaging"),
)


@dataclass(frozen=True, kw_only=True)
class SimulatedMicrograph:
    """A simulated micrograph and its truth."""

    micrograph_id: str
    """Name of the micrograph: sim-<seed>-<index>."""
    image: np.ndarray
    """Shape (y, x), uint16: counts."""
    pixel_size_nm: float
    """Height and width of a pixel (nm)."""
    labels: np.ndarray
    """Shape (y, x), int32: number of the particle in each pixel, 0 is background; where two overlap, the later one."""
    region_labels: np.ndarray
    """Shape (y, x), int32: number of the region in each pixel, 0 is background."""
    micrograph: pd.DataFrame
    """One row, with the schema `TRUTH_MICROGRAPHS`."""
    particles: pd.DataFrame
    """One row per particle, with the schema `TRUTH_PARTICLES`."""
    regions: pd.DataFrame
    """One row per region, with the schema `TRUTH_REGIONS`."""
