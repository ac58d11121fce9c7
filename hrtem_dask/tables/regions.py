"""Columns of the table of regions: classes, their probabilities, and the features that decide them."""

from __future__ import annotations

from hrtem_dask.tables.columns import AREA, BBOX, FAULT, ID, SAMPLE, Column, Schema

__all__ = ["REGIONS", "REGION_CLASSES", "REGION_FEATURES"]

REGION_CLASSES = ("agglomeration", "no_particle", "no_stacking_fault", "misoriented", "stacking_fault")

REGION_FEATURES: Schema = (
    # what the forest that classifies regions looks at; fourier.region_features and analysis.region_features measure it
    Column("n_parts", "float", "parts of the region that are not too small, as it was split"),
    Column("solidity", "float", "as for particles, of the whole region"),
    Column("convexity", "float", "as for particles, of the whole region"),
    Column("circularity", "float", "as for particles, of the whole region"),
    Column("aspect_ratio", "float", "as for particles, of the whole region"),
    Column("eccentricity", "float", "as for particles, of the whole region"),
    Column("support_contrast", "float", "mean inside less that of the support 0.15 to 0.6 nm around, over its spread"),
    Column("relative_contrast", "float", "the same difference over the support's mean"),
    Column("band_contrast", "float", "spread of what has 0.1 to 0.4 nm spacing, inside over around"),
    Column("texture", "float", "spread of 0.25 nm means over that of pixels, inside"),
    Column("n_reflections", "float", "reflections of SNR 12 and more (Friedel pairs once)"),
    Column("n_strong_reflections", "float", "reflections of SNR 20 and more"),
    Column("n_row_directions", "float", "directions of them, 12° and more apart"),
    Column("row_1_snr", "float", "SNR of the strongest reflection"),
    Column("row_2_snr", "float", "SNR of the strongest in another direction; 1 where there is none"),
    Column("row_3_snr", "float", "SNR of the strongest in a third direction; 1 where there is none"),
    Column("row_snr_ratio", "float", "second over first; 0 where there is none"),
    Column("row_spacing_ratio", "float", "spacing of the first over that of the second"),
    Column("row_angle_deg", "float", "angle between the two, 0 to 90", "°"),
    Column("lattice_share_1", "float", "share of log(SNR) that one two-dimensional lattice explains"),
    Column("lattice_share_2", "float", "share that a second lattice explains of the rest"),
    Column("n_lattices", "float", "lattices that explain a tenth and more"),
    Column("bragg_coverage", "float", "share of the region where a reflection stands out of noise: crystallinity"),
    Column("bragg_separation", "float", "largest distance between the middles of two reflections' fringes, over ECD"),
    Column("bragg_overlap", "float", "mean overlap of two reflections' fringes, 0 to 1"),
    Column("bragg_least_overlap", "float", "least overlap of two reflections' fringes, 0 to 1"),
    Column("bragg_unevenness", "float", "spread of the logarithm of all reflections' power over the region"),
    Column("phase_step_gain", "float", "share of inclined reflections' power that needs a step of phase at one plane"),
    Column("phase_step_second_gain", "float", "the same of the reflection that needs it second most"),
    Column("phase_step_least_gain", "float", "the same of the reflection that needs it least"),
    Column("phase_step_snr", "float", "power that needs the step over the noise's, per inclined reflection"),
    Column("phase_step_own_gain", "float", "the same plane's gain in its own reflections: near 0 at a fault"),
    Column("phase_step_next_gain", "float", "gain of the best plane in another direction"),
    Column("phase_step_rad", "float", "jump of phase on the plane, 0 to π; 2π/3 at an intrinsic fault", "rad"),
    Column("phase_step_amplitude_asymmetry", "float", "asymmetry of amplitudes on both sides; 1 at a twin boundary"),
    Column("phase_step_streak", "float", "power of the streak along the plane's normal over that of the reflections"),
    Column("phase_step_eccentricity", "float", "distance of the plane from the middle of the region, over the ECD"),
    Column("n_inclined_reflections", "float", "reflections that are not the plane's own"),
    Column("row_displacement_nm", "float", "displacement of lattice rows on the plane that explains steps", "nm"),
    Column("row_displacement_misfit", "float", "what of the steps it leaves unexplained, 0 to 2"),
    Column("row_displacement_gain", "float", "what of them it explains, 0 to 2"),
)

REGIONS: Schema = (
    ID,
    SAMPLE,
    Column("region_id", "int", "number of the region in its micrograph, from 1"),
    *BBOX,
    *AREA,
    Column("n_particles", "int", "particles in the region"),
    Column("touches_edge", "bool", "whether the region reaches the border of the image"),
    Column("region_class", "str", "one of the paper's five classes, or unsure"),
    *(Column(f"probability_{name}", "float", f"probability of the class {name}") for name in REGION_CLASSES),
    *FAULT,
    *REGION_FEATURES,
)
