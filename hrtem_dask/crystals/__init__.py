"""Known crystals: unit cells, the reflections they allow, and the patterns of their zone axes."""

from hrtem_dask.crystals.faulted_patterns import faulted_pattern
from hrtem_dask.crystals.materials import MATERIALS, Material, cubic_material, find_material, hexagonal_material
from hrtem_dask.crystals.reflections import KnownReflection, known_reflections
from hrtem_dask.crystals.zone_axes import low_index_zone_axes
from hrtem_dask.crystals.zone_patterns import ZonePattern, zone_pattern

__all__ = [
    "MATERIALS",
    "KnownReflection",
    "Material",
    "ZonePattern",
    "cubic_material",
    "faulted_pattern",
    "find_material",
    "hexagonal_material",
    "known_reflections",
    "low_index_zone_axes",
    "zone_pattern",
]
