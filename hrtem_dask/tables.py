"""Every table's schema: column, dtype, unit, meaning and formula, in one place.

Descriptor names are ambiguous in this field (four different "circularities" are in use), so each column says its
formula. Lengths named ``*_px`` count pixels as if they were square; ``*_nm`` use the true pixel height and width,
and are null where the pixel size is not known.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd
import pyarrow as pa

__all__ = [
    "EXECUTION",
    "MICROGRAPHS",
    "PARTICLES",
    "REGIONS",
    "REGION_CLASSES",
    "REGION_FEATURES",
    "SCHEMAS",
    "SCHEMA_VERSION",
    "Column",
    "Schema",
    "arrow_schema",
    "conform",
    "empty",
]

SCHEMA_VERSION = "1"
"""Written into every Parquet file; a new number whenever a column changes its meaning."""

Kind = Literal["str", "int", "float", "bool"]

_DTYPES: dict[Kind, Any] = {
    "str": pd.StringDtype("pyarrow"),
    "int": pd.Int64Dtype(),
    "float": pd.Float64Dtype(),
    "bool": pd.BooleanDtype(),
}
_ARROW: dict[Kind, pa.DataType] = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
}


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    """Its name; a column with a unit ends in it."""
    kind: Kind
    """Type of its values; every column may hold nulls."""
    meaning: str
    """What it says, for a microscopist."""
    unit: str = ""
    """Unit, empty for none."""
    formula: str = ""
    """How it is computed, with its source."""


Schema = tuple[Column, ...]


def _length(name: str, meaning: str, formula: str = "") -> Schema:
    """Return the pair of columns of one length, in px and in nm."""
    return (
        Column(f"{name}_px", "float", meaning, "px", formula),
        Column(f"{name}_nm", "float", meaning, "nm", formula),
    )


_BBOX: Schema = (
    Column("bbox_y0_px", "int", "first row of the bounding box", "px"),
    Column("bbox_x0_px", "int", "first column of the bounding box", "px"),
    Column("bbox_y1_px", "int", "row after the last one of the bounding box", "px"),
    Column("bbox_x1_px", "int", "column after the last one of the bounding box", "px"),
)
_AREA: Schema = (
    Column("area_px", "int", "number of pixels", "px"),
    Column("area_nm2", "float", "projected area", "nm²", "area_px × pixel height × pixel width"),
)
_ID = Column("micrograph_id", "str", "name of the micrograph: file stem and a hash of (relative path, signal, frame)")
_SAMPLE = Column("sample", "str", "parent folder, or as the metadata file says")

MICROGRAPHS: Schema = (
    _ID,
    _SAMPLE,
    Column("source", "str", "file, with '::member' for a file in an archive"),
    Column("signal", "int", "number of the signal in its file"),
    Column("frame", "int", "number of the 2-D image in a stack"),
    Column("title", "str", "the file's own name for the signal"),
    Column("status", "str", "done, empty (no particle), set_aside or failed"),
    Column("reason", "str", "why it was set aside or failed, in words"),
    Column(
        "corrected", "bool", "whether its labels are those that `hrtem-dask correct` took back, not the segmenter's"
    ),
    Column("height_px", "int", "image height", "px"),
    Column("width_px", "int", "image width", "px"),
    Column("dtype", "str", "data type in the file"),
    Column("pixel_size_y_nm", "float", "pixel height", "nm"),
    Column("pixel_size_x_nm", "float", "pixel width", "nm"),
    Column("pixel_size_source", "str", "where the pixel size comes from: 'file: …', 'user', 'metadata' or 'none'"),
    Column(
        "calibration_flags",
        "str",
        "doubts about the pixel size, comma-separated: missing, non_square, implausible, off_lattice",
    ),
    Column(
        "lattice_scale_ratio",
        "float",
        "measured over known lattice spacing of the stated material; 1 where the pixel size is right",
    ),
    Column("voltage_kv", "float", "acceleration voltage", "kV"),
    Column("magnification", "float", "magnification as the file states it"),
    Column("instrument", "str", "microscope as the file names it"),
    Column("acquired_at", "str", "time of acquisition, ISO 8601, as the file states it"),
    Column("n_regions", "int", "connected pieces of the mask, gaps bridged"),
    Column("n_particles", "int", "particles, counted or not"),
    Column("n_counted", "int", "particles that enter statistics"),
    Column("coverage", "float", "share of the image that is particle", "", "particle pixels / all pixels"),
    Column(
        "seam_score",
        "float",
        "largest logit difference between overlapping tiles; 0 where seams are exact, null for whole images",
    ),
    Column(
        "mask_agreement",
        "float",
        "agreement of the U-Net's masks of the image turned and mirrored, 0 to 1; null where it was not asked for",
        "",
        "mean Dice of all pairs of masks; see segmentation.agreement",
    ),
    Column(
        "predicted_dice",
        "float",
        "Dice coefficient to be expected of the mask, guessed without labels; null where the model is not calibrated",
        "",
        "logistic in the terms of segmentation.dice_model, fitted on simulated micrographs",
    ),
    Column(
        "quality_flags",
        "str",
        "doubts about the image, comma-separated: blur, drift, empty_field, saturation, gradient, duplicate",
    ),
    Column("sharpness", "float", "power above white noise at high frequency, 0 (blurred) to 1; see loading.quality"),
    Column("anisotropy", "float", "second harmonic over angle of the power spectrum, 0 to 1: drift or astigmatism"),
    Column(
        "mass_contrast", "float", "variance of 1 nm blocks over what noise and granularity give; 1 without particles"
    ),
    Column("peak_snr", "float", "strongest peak of the power spectrum over the median power of its ring"),
    Column("saturated_fraction", "float", "share of pixels at the end of the range"),
    Column("gradient", "float", "intensity change of the fitted plane across the field over the mean"),
    Column("n_nonfinite", "int", "NaN and infinite pixels, replaced before analysis"),
    Column("duplicate_of", "str", "micrograph_id of an earlier micrograph with the same pixels"),
    Column("image_hash", "str", "hash of the pixels"),
    Column("source_hash", "str", "hash of the file"),
    Column("settings_hash", "str", "hash of every setting that decides the result"),
    Column("model_hash", "str", "hash of the segmentation model's file"),
    Column("defect_model_hash", "str", "hash of the defect model's file"),
    Column("code_version", "str", "version of hrtem_dask"),
)

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

_FAULT: Schema = (
    Column(
        "fault_trace_deg",
        "float",
        "direction of the fault's trace, counter-clockwise from +x on the screen, 0–180; null where there is none",
        "°",
    ),
    Column(
        "fault_offset_nm",
        "float",
        "distance of the trace from the middle of the bounding box, positive 90° counter-clockwise of the trace",
        "nm",
    ),
)

REGIONS: Schema = (
    _ID,
    _SAMPLE,
    Column("region_id", "int", "number of the region in its micrograph, from 1"),
    *_BBOX,
    *_AREA,
    Column("n_particles", "int", "particles in the region"),
    Column("touches_edge", "bool", "whether the region reaches the border of the image"),
    Column("region_class", "str", "one of the paper's five classes, or unsure"),
    *(Column(f"probability_{name}", "float", f"probability of the class {name}") for name in REGION_CLASSES),
    *_FAULT,
    *REGION_FEATURES,
)

PARTICLES: Schema = (
    _ID,
    _SAMPLE,
    Column("particle_id", "int", "number of the particle in its micrograph: its value in labels"),
    Column("region_id", "int", "region it belongs to"),
    *_length("centroid_y", "row of the centroid"),
    *_length("centroid_x", "column of the centroid"),
    *_BBOX,
    Column("touches_edge", "bool", "whether the particle reaches the border of the image"),
    Column("counted", "bool", "whether it enters statistics"),
    Column("exclusion_reason", "str", "why not: edge, too_small, agglomerate, no_particle; null where counted"),
    Column(
        "split_confidence",
        "float",
        "how narrow the neck was along which it was split off, 0 to 1; null where not split, or corrected by hand",
        "",
        "1 − neck width / width of the narrower part (diameters of inscribed circles); the lowest of its cuts",
    ),
    *_AREA,
    *_length("equivalent_diameter", "diameter of the circle of equal area (ECD)", "√(4A/π), ISO 9276-6"),
    *_length(
        "feret_max",
        "largest caliper distance",
        "rotating calipers on the convex hull of pixel corners, ISO 13322-1",
    ),
    *_length(
        "feret_min",
        "smallest caliper distance",
        "rotating calipers on the convex hull of pixel corners, ISO 13322-1",
    ),
    *_length(
        "perimeter",
        "length of the outline",
        "Crofton's formula in eight directions, holes included",
    ),
    *_length(
        "convex_perimeter",
        "length of the convex hull's outline",
        "the same formula on the convex hull",
    ),
    Column(
        "aspect_ratio",
        "float",
        "elongation, at least 1",
        "",
        "feret_max / feret_min (ISO 9276-6 states the inverse)",
    ),
    Column(
        "circularity",
        "float",
        "1 for a disk, less for ragged or long ones",
        "",
        "4πA/P² (ImageJ's; ISO 9276-6 takes its square root)",
    ),
    Column("roundness", "float", "1 for a disk, less for long ones", "", "4A/(π feret_max²)"),
    Column("compactness", "float", "1 for a disk", "", "√(4A/π)/feret_max, ISO 9276-6"),
    Column(
        "solidity",
        "float",
        "share of the convex hull that is filled",
        "",
        "A / number of pixels in the convex hull of pixel centres, ISO 9276-6",
    ),
    Column("convexity", "float", "smoothness of the outline", "", "convex perimeter / perimeter, ISO 9276-6"),
    Column("eccentricity", "float", "of the ellipse with the same second moments", "", "√(1 − minor²/major²)"),
    Column("extent", "float", "share of the bounding box that is filled", "", "A / area of the bounding box"),
    Column(
        "orientation_deg",
        "float",
        "direction of the longest axis, counter-clockwise from +x on the screen, −90 to 90; null where there is none",
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
        "fault, no_fault or unknown; misoriented and doubtful ones are unknown",
    ),
    Column(
        "fault_probability",
        "float",
        "probability of a fault, were the particle seen along a zone axis",
        "",
        "P(stacking_fault) / (P(stacking_fault) + P(no_stacking_fault))",
    ),
    *_FAULT,
    Column("on_zone_score", "float", "whether it is seen along a zone axis, 0 to 1, told without knowing the crystal"),
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
        "reference: shortest reflection on a mirror line, such as {200} on [110]; see fourier.zone_patterns",
    ),
    Column("zone_axis_spacing_ratio", "float", "measured over known spacings along the zone axis"),
)

EXECUTION: Schema = (
    _ID,
    Column("attempts", "int", "times the task ran"),
    Column("seconds_read", "float", "time to read", "s"),
    Column("seconds_filter", "float", "time to filter", "s"),
    Column("seconds_segment", "float", "time to segment", "s"),
    Column("seconds_particles", "float", "time to label, split and measure", "s"),
    Column("seconds_fourier", "float", "time for power spectra", "s"),
    Column("seconds_defects", "float", "time to classify regions", "s"),
    Column("seconds_write", "float", "time to write labels and overlay", "s"),
    Column("worker", "str", "worker that ran it"),
    Column("device", "str", "cpu or cuda"),
    Column("engine", "str", "what ran the network"),
    Column("peak_memory_mib", "float", "largest memory of the worker so far", "MiB"),
    Column("out_of_memory_steps", "str", "steps taken when memory ran out, in order"),
    Column("finished_at", "str", "time, ISO 8601, UTC"),
)

SCHEMAS: dict[str, Schema] = {
    "micrographs": MICROGRAPHS,
    "regions": REGIONS,
    "particles": PARTICLES,
    "execution": EXECUTION,
}


def empty(schema: Schema) -> pd.DataFrame:
    """Return a table with every column, the right dtypes, and no row.

    Parameters
    ----------
    schema : tuple of Column
        For instance `PARTICLES`.

    Returns
    -------
    pandas.DataFrame
        The empty table; also the `meta` of every lazy table.
    """
    return _empty(schema).copy()


@functools.cache
def _empty(schema: Schema) -> pd.DataFrame:
    """Make an empty table once: it is asked for several times for each micrograph."""
    return pd.DataFrame({c.name: pd.Series(dtype=_DTYPES[c.kind]) for c in schema})


def conform(table: pd.DataFrame, schema: Schema) -> pd.DataFrame:
    """Give a table the columns, order and dtypes of its schema.

    Parameters
    ----------
    table : pandas.DataFrame
        Any columns; those that the schema names and the table lacks become null.
    schema : tuple of Column
        For instance `PARTICLES`.

    Returns
    -------
    pandas.DataFrame
        A new table; columns beyond the schema (covariates) stay, after the schema's.
    """
    known = dict(table.dtypes)
    if list(known)[: len(schema)] == [c.name for c in schema] and all(known[c.name] == _DTYPES[c.kind] for c in schema):
        return table.copy()  # the usual case: each micrograph's rows pass here several times
    columns: dict[str, Any] = {}
    for c in schema:
        dtype = _DTYPES[c.kind]
        if c.name not in known:
            columns[c.name] = pd.array([pd.NA] * len(table), dtype=dtype)
        else:
            columns[c.name] = table[c.name] if known[c.name] == dtype else table[c.name].astype(dtype)
    extra: dict[str, Any] = {str(name): table[name] for name in table if name not in columns}
    return pd.DataFrame({**columns, **extra}, index=table.index)


def arrow_schema(schema: Schema) -> pa.Schema:
    """Return the Parquet schema, with meaning, unit and formula as column metadata.

    Parameters
    ----------
    schema : tuple of Column
        For instance `PARTICLES`.

    Returns
    -------
    pyarrow.Schema
        Every file of a table is written with it, so that an empty part has the same types as a full one.
    """
    fields = []
    for c in schema:
        metadata = {"meaning": c.meaning, "unit": c.unit, "formula": c.formula}
        fields.append(pa.field(c.name, _ARROW[c.kind], metadata={k: v for k, v in metadata.items() if v}))
    return pa.schema(fields, metadata={"hrtem_dask_schema_version": SCHEMA_VERSION})
