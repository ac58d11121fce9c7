"""Every table's schema: column, dtype, unit, meaning and formula, in one place.

Descriptor names are ambiguous in this field (four different "circularities" are in use), so each column states its
formula. Lengths named ``*_px`` count pixels as if they were square; ``*_nm`` use the true pixel height and width,
and are null where the pixel size is not known.
"""

from hrtem_dask.tables.columns import BOX_COLUMNS, Column, Schema
from hrtem_dask.tables.crystal_fields import FAULT_TRACES, WINDOWS
from hrtem_dask.tables.detectability import DETECTABILITY, TRUE_STATES
from hrtem_dask.tables.instances import INSTANCE_RUNS
from hrtem_dask.tables.micrographs import ANALYZED_STATUSES, EXECUTION, LATTICE_FLAGS, MICROGRAPHS, STATUSES, Status
from hrtem_dask.tables.particles import PARTICLES
from hrtem_dask.tables.regions import REGION_CLASSES, REGION_FEATURES, REGIONS
from hrtem_dask.tables.rows import Rows, arrow_of_records, arrow_table
from hrtem_dask.tables.schema import SCHEMA_VERSION, arrow_schema, assemble, conform, empty, exchanged, filled

__all__ = [
    "ANALYZED_STATUSES",
    "BOX_COLUMNS",
    "DETECTABILITY",
    "EXECUTION",
    "FAULT_TRACES",
    "INSTANCE_RUNS",
    "LATTICE_FLAGS",
    "MICROGRAPHS",
    "MICROGRAPH_PARTS",
    "PARTICLES",
    "REGIONS",
    "REGION_CLASSES",
    "REGION_FEATURES",
    "SCHEMAS",
    "SCHEMA_VERSION",
    "STATUSES",
    "TRUE_STATES",
    "WINDOWS",
    "Column",
    "Rows",
    "Schema",
    "Status",
    "arrow_of_records",
    "arrow_schema",
    "arrow_table",
    "assemble",
    "conform",
    "empty",
    "exchanged",
    "filled",
]

SCHEMAS: dict[str, Schema] = {
    "micrographs": MICROGRAPHS,
    "regions": REGIONS,
    "particles": PARTICLES,
    "windows": WINDOWS,
    "fault_traces": FAULT_TRACES,
    "instance_runs": INSTANCE_RUNS,
    "execution": EXECUTION,
}
MICROGRAPH_PARTS = ("regions", "particles", "windows", "fault_traces", "instance_runs")
"""Tables with any number of rows per micrograph."""
