"""What a column is, and the columns that several tables have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["AREA", "BBOX", "BOX_COLUMNS", "FAULT", "ID", "SAMPLE", "Column", "Kind", "Schema", "lengths"]

Kind = Literal["str", "int", "float", "bool"]


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    """Name; it ends in the unit, where there is one."""
    kind: Kind
    """Type of the values; every column may hold nulls."""
    meaning: str
    """Meaning, for a microscopist."""
    unit: str = ""
    """Unit, empty for none."""
    formula: str = ""
    """How the values are computed, with the source."""


Schema = tuple[Column, ...]


def lengths(name: str, meaning: str, formula: str = "") -> Schema:
    """Return the pair of columns of one length, in px and in nm.

    Parameters
    ----------
    name : str
        Without the unit.
    meaning : str
        Meaning of the columns.
    formula : str
        How it is computed.

    Returns
    -------
    tuple of Column
        ``<name>_px`` and ``<name>_nm``.
    """
    return (
        Column(f"{name}_px", "float", meaning, "px", formula),
        Column(f"{name}_nm", "float", meaning, "nm", formula),
    )


BBOX: Schema = (
    Column("bbox_y0_px", "int", "first row of the bounding box", "px"),
    Column("bbox_x0_px", "int", "first column of the bounding box", "px"),
    Column("bbox_y1_px", "int", "row after the last one of the bounding box", "px"),
    Column("bbox_x1_px", "int", "column after the last one of the bounding box", "px"),
)
BOX_COLUMNS = tuple(column.name for column in BBOX)
"""Names of the columns of a bounding box: first row, first column, row and column after the last ones."""
AREA: Schema = (
    Column("area_px", "int", "number of pixels", "px"),
    Column("area_nm2", "float", "projected area", "nm²", "area_px × pixel height × pixel width"),
)
ID = Column("micrograph_id", "str", "name of the micrograph: file stem and a hash of (relative path, signal, frame)")
SAMPLE = Column("sample", "str", "parent folder, or the sample that the metadata file gives")

FAULT: Schema = (
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
