"""Columns of the table of particles."""

from __future__ import annotations

from hrtem_dask.tables.columns import AREA, BBOX, FAULT, ID, SAMPLE, Column, Schema, lengths
from hrtem_dask.tables.instances import INSTANCE_COLUMNS

__all__ = ["PARTICLES"]

_SHAPE = "; null below particles.min_shape_area_px"

PARTICLES: Schema = (
    ID,
    SAMPLE,
    Column("particle_id", "int", "number of the particle in its micrograph: its value in labels"),
    Column("region_id", "int", "region it belongs to"),
    *lengths("centroid_y", "row of the centroid"),
    *lengths("centroid_x", "column of the centroid"),
    *BBOX,
    Column("touches_edge", "bool", "whether the particle reaches the border of the image"),
    Column("touches_mark", "bool", "whether the particle reaches a burnt-in mark, such as a scale bar"),
    Column("counted", "bool", "whether it enters statistics"),
    Column("exclusion_reason", "str", "why not: edge, mark, too_small, agglomerate, no_particle; null where counted"),
    Column(
        "split_confidence",
        "float",
        "how narrow the neck was along which it was split off, 0 to 1; null where not split, or corrected by hand",
        "",
        "1 − neck width / width of the narrower part (diameters of inscribed circles); the lowest of its cuts",
    ),
    *AREA,
    *lengths("equivalent_diameter", "diameter of the circle of equal area (ECD)", "√(4A/π), ISO 9276-6"),
    *lengths(
        "feret_max",
        f"largest caliper distance{_SHAPE}",
        "rotating calipers, ISO 13322-1, on ends corrected for the pixels",
    ),
    *lengths(
        "feret_min",
        f"smallest caliper distance{_SHAPE}",
        "rotating calipers, ISO 13322-1, on ends corrected for the pixels",
    ),
    *lengths(
        "perimeter",
        f"length of the outline{_SHAPE}",
        "Crofton's formula in eight directions, holes included",
    ),
    *lengths(
        "convex_perimeter",
        f"length of the convex hull's outline{_SHAPE}",
        "the same formula on the convex hull",
    ),
    Column(
        "aspect_ratio",
        "float",
        f"elongation, at least 1{_SHAPE}",
        "",
        "feret_max / feret_min (ISO 9276-6 states the inverse)",
    ),
    Column(
        "circularity",
        "float",
        f"1 for a disk, less for ragged or long ones{_SHAPE}",
        "",
        "4πA/P² (ImageJ's; ISO 9276-6 takes its square root)",
    ),
    Column("roundness", "float", f"1 for a disk, less for long ones{_SHAPE}", "", "4A/(π feret_max²)"),
    Column("compactness", "float", f"1 for a disk{_SHAPE}", "", "√(4A/π)/feret_max, ISO 9276-6"),
    Column(
        "solidity",
        "float",
        f"share of the convex hull that is filled{_SHAPE}",
        "",
        "A / number of pixels in the convex hull of pixel centres, ISO 9276-6",
    ),
    Column("convexity", "float", f"smoothness of the outline{_SHAPE}", "", "convex perimeter / perimeter, ISO 9276-6"),
    Column("eccentricity", "float", f"of the ellipse with the same second moments{_SHAPE}", "", "√(1 − minor²/major²)"),
    Column("extent", "float", f"π/4 for a disk{_SHAPE}", "", "A / (feret_max feret_min), ISO 9276-6"),
    Column(
        "orientation_deg",
        "float",
        "direction of the longest axis, counter-clockwise from +x on the screen, −90 to 90; null where there is none, "
        "and below particles.min_shape_area_px",
        "°",
        "from second moments",
    ),
    Column("mean_intensity", "float", "mean of the image as it is in the file"),
    Column(
        "contrast",
        "float",
        "contrast to the surroundings",
        "",
        "(mean inside − mean of ring) / standard deviation of ring, which lies from 2 px to a quarter of the ECD away",
    ),
    Column("mean_probability", "float", "mean particle probability"),
    Column(
        "groschner2021_fft_mean",
        "float",
        "mean of the ring-integrated power spectrum",
        "",
        "Groschner 2021, as its code",
    ),
    Column(
        "groschner2021_fft_std",
        "float",
        "standard deviation of the ring-integrated power spectrum",
        "",
        "Groschner 2021, as its code",
    ),
    Column(
        "groschner2021_fft_center_of_mass",
        "float",
        "centre of mass of the ring-integrated power spectrum",
        "",
        "Groschner 2021, as its code",
    ),
    Column("groschner2021_image_mean", "float", "mean of the crop", "", "Groschner 2021, as its code"),
    Column(
        "groschner2021_image_std",
        "float",
        "standard deviation of the crop",
        "",
        "Groschner 2021, as its code",
    ),
    Column("n_reflections", "int", "lattice reflections found above the noise (Friedel pairs counted once)"),
    Column("peak_snr", "float", "power of the strongest reflection over the median power of its ring"),
    Column("spacing_1_nm", "float", "lattice spacing of the strongest reflection", "nm"),
    Column("spacing_2_nm", "float", "lattice spacing of the strongest reflection not parallel to the first", "nm"),
    Column("angle_12_deg", "float", "angle between the two, 0 to 90", "°"),
    Column(
        "lattice_orientation_deg",
        "float",
        "direction of the strongest reflection's wave vector, counter-clockwise from +x on the screen, 0 to 180",
        "°",
    ),
    Column(
        "fault_state",
        "str",
        "fault, no_fault or unknown; misoriented and doubtful ones are unknown, and all at a voltage for which the "
        "classifier does not hold",
    ),
    Column(
        "fault_probability",
        "float",
        "probability of a fault, were the particle seen along a zone axis",
        "",
        "P(stacking_fault) / (P(stacking_fault) + P(no_stacking_fault))",
    ),
    *FAULT,
    Column("on_zone_score", "float", "whether it is on a zone axis, 0 to 1, estimated without knowing the crystal"),
    Column(
        "zone_axis",
        "str",
        "best low-index zone axis of the stated material, such as [110] or [11-20], any member of its family; "
        "to be believed where its confidence is high",
    ),
    Column(
        "zone_axis_confidence",
        "float",
        "0 to 1",
        "",
        "likelihood over the sum of all candidates' and of reflections at random; see fourier.zone_axis",
    ),
    Column("zone_axis_second", "str", "second-best zone axis"),
    Column(
        "zone_axis_residual",
        "float",
        "distance of the reflections from the fitted pattern, relative to their frequency; null of a single one",
        "",
        "√(mean squared distance / mean squared frequency)",
    ),
    Column(
        "zone_axis_rotation_deg",
        "float",
        "rotation about the beam: direction of the pattern's reference reflection, counter-clockwise from +x on the "
        "screen, below the rotation that repeats the pattern (60, 90 or 180)",
        "°",
        "reference: shortest reflection on a mirror line, such as {200} on [110]; see crystals.zone_patterns",
    ),
    Column("zone_axis_spacing_ratio", "float", "measured over known spacings along the zone axis"),
    *INSTANCE_COLUMNS,
)
