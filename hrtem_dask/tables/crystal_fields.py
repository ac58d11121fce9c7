"""Columns of the tables of fields that one crystal fills: windows, and the traces of faults."""

from __future__ import annotations

from hrtem_dask.tables.columns import BBOX, FAULT, ID, SAMPLE, Column, Schema

__all__ = ["FAULT_TRACES", "WINDOWS"]

_FAULT_KIND = (
    "stacking_fault, or twin_boundary where inclined reflections end at the plane; unknown where the plane is too near "
    "to the border of the field"
)
_STEP_RAD = "jump of phase of inclined reflections, 0 to π; 2π/3 at an intrinsic fault"
_ASYMMETRY = "asymmetry of amplitudes on both sides of the plane; near 1 at a twin boundary"

WINDOWS: Schema = (
    ID,
    SAMPLE,
    Column("window_id", "int", "number of the window in its micrograph, from 1, row after row"),
    *BBOX,
    Column("n_reflections", "int", "lattice reflections found above the noise (Friedel pairs counted once)"),
    Column("peak_snr", "float", "power of the strongest reflection over the median power of its ring"),
    Column("spacing_1_nm", "float", "lattice spacing of the strongest reflection", "nm"),
    Column("spacing_2_nm", "float", "lattice spacing of the strongest reflection not parallel to the first", "nm"),
    Column("angle_12_deg", "float", "angle between the two, 0 to 90", "°"),
    Column("lattice_orientation_deg", "float", "direction of the strongest reflection, as for particles", "°"),
    Column("zone_axis", "str", "zone axis of the stated material, as for particles; null without a material"),
    Column("zone_axis_confidence", "float", "probability that it is the zone axis, as for particles"),
    Column("zone_axis_spacing_ratio", "float", "measured over known spacing, from all reflections of the zone axis"),
    Column("on_zone_score", "float", "0 (misoriented) to 1 (on a zone axis), without knowledge of the material"),
    Column(
        "fault_kind",
        "str",
        f"{_FAULT_KIND}; null where phase_step_gain is below 0.13",
        "",
        "see fourier.crystal_fields; the kind of its fault trace where it belongs to one",
    ),
    *FAULT,
    Column("fault_id", "int", "fault of the table fault_traces that the window sees; null where it sees none"),
    Column("phase_step_gain", "float", "share of inclined reflections' power that needs a step of phase at one plane"),
    Column("phase_step_rad", "float", _STEP_RAD, "rad"),
    Column("phase_step_amplitude_asymmetry", "float", _ASYMMETRY),
    Column(
        "row_displacement_nm", "float", "displacement of lattice rows along the plane that explains the steps", "nm"
    ),
)

FAULT_TRACES: Schema = (
    ID,
    SAMPLE,
    Column("fault_id", "int", "number of the fault in its micrograph, from 1, longest first"),
    Column("fault_kind", "str", _FAULT_KIND),
    Column("end_1_y_px", "float", "row of one end of the trace", "px"),
    Column("end_1_x_px", "float", "column of that end", "px"),
    Column("end_2_y_px", "float", "row of the other end", "px"),
    Column("end_2_x_px", "float", "column of the other end", "px"),
    Column("end_1_y_nm", "float", "distance of the first end from the center of the first row", "nm"),
    Column("end_1_x_nm", "float", "distance of the first end from the center of the first column", "nm"),
    Column("end_2_y_nm", "float", "distance of the other end from the center of the first row", "nm"),
    Column("end_2_x_nm", "float", "distance of the other end from the center of the first column", "nm"),
    Column("length_nm", "float", "length of the trace in the field; each end is uncertain by about 1.3 nm", "nm"),
    Column("fault_trace_deg", "float", "direction of the trace, counter-clockwise from +x on the screen, 0–180", "°"),
    Column("n_windows", "int", "windows that see the fault"),
    Column("phase_step_gain", "float", "largest gain of these windows"),
    Column("phase_step_rad", "float", f"median of these windows: {_STEP_RAD}", "rad"),
    Column("phase_step_amplitude_asymmetry", "float", f"median of these windows: {_ASYMMETRY}"),
)
