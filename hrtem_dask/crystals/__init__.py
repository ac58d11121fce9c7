"""Known crystals: unit cells, the reflections they allow, and the patterns of their zone axes."""

from hrtem_dask.crystals.materials import (
    MATERIALS,
    KnownReflection,
    Material,
    cubic_material,
    find_material,
    hexagonal_material,
    known_reflections,
)
from hrtem_dask.crystals.zone_patterns import ZonePattern, low_index_zone_axes, zone_pattern

__all__ = [
    "MATERIALS",
    "KnownReflection",
    "Material",
    "ZonePattern",
    "cubic_material",
    "find_material",
    "hexagonal_material",
    "known_reflections",
    "low_index_zone_axes",
    "zone_pattern",
]
