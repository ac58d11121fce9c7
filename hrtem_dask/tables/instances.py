"""Columns of instances that a detector found: their masks as runs, because they may overlap."""

from __future__ import annotations

from hrtem_dask.tables.columns import ID, SAMPLE, Column, Schema, lengths

__all__ = ["INSTANCE_COLUMNS", "INSTANCE_RUNS"]

INSTANCE_COLUMNS: Schema = (
    Column("instance_class", "str", "class that the detector named, such as rod; null without a detector"),
    Column("detection_score", "float", "how sure the detector is, 0 to 1; null without a detector"),
    Column("box_x_px", "float", "center of the detector's rotated box; null without a detector", "px"),
    Column("box_y_px", "float", "center of the detector's rotated box; null without a detector", "px"),
    *lengths("box_length", "longer side of the detector's rotated box; null without a detector"),
    *lengths("box_width", "shorter side of the detector's rotated box; null without a detector"),
    Column("box_aspect_ratio", "float", "elongation of that box, at least 1", "", "box_length / box_width"),
    Column(
        "box_angle_deg",
        "float",
        "direction of the box's longer side, counter-clockwise from +x on the screen, −90 to 90",
        "°",
    ),
    Column(
        "overlap_fraction", "float", "share of its pixels that belong to other instances too; null without a detector"
    ),
)

INSTANCE_RUNS: Schema = (
    ID,
    SAMPLE,
    Column("particle_id", "int", "the instance, as in the table of particles"),
    Column("row_px", "int", "row of the image", "px"),
    Column("start_px", "int", "first column of a stretch of pixels of the instance", "px"),
    Column("stop_px", "int", "column after the last one of the stretch", "px"),
)
