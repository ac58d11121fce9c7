"""What each descriptor is computed from, so that pairs which share an ingredient are known.

Two descriptors that contain the same quantity, such as roundness and the equivalent diameter, which both contain the
area, are correlated without any relation in the population: an error of the area is an error of both. The same holds
for two measures of one property, such as the aspect ratio and the eccentricity, and for Feret diameters and measures of
elongation: of particles of equal area, the more elongated one has the larger Feret diameter. Faults are seen more
easily in larger particles, so that the found faults correlate with every size by detectability.
"""

from __future__ import annotations

__all__ = ["INGREDIENTS", "shared_ingredients"]

_SIZE, _ELONGATION, _CONCAVITY, _DETECTABILITY = "size", "elongation", "concavity", "detectability"

INGREDIENTS: dict[str, frozenset[str]] = {
    name: frozenset(parts)
    for name, parts in {
        "equivalent_diameter_nm": ("area", _SIZE, _DETECTABILITY),
        "area_nm2": ("area", _SIZE, _DETECTABILITY),
        "perimeter_nm": ("perimeter", _SIZE, _ELONGATION, _CONCAVITY, _DETECTABILITY),
        "convex_perimeter_nm": ("convex perimeter", _SIZE, _ELONGATION, _DETECTABILITY),
        "feret_min_nm": ("smallest Feret diameter", _SIZE, _ELONGATION, _DETECTABILITY),
        "feret_max_nm": ("largest Feret diameter", _SIZE, _ELONGATION, _DETECTABILITY),
        "aspect_ratio": ("smallest Feret diameter", "largest Feret diameter", _ELONGATION),
        "eccentricity": ("second moments", _ELONGATION),
        "circularity": ("area", "perimeter", _ELONGATION, _CONCAVITY),
        "roundness": ("area", "largest Feret diameter", _ELONGATION),
        "compactness": ("area", "largest Feret diameter", _ELONGATION),
        "extent": ("area", "smallest Feret diameter", "largest Feret diameter", _ELONGATION, _CONCAVITY),
        "solidity": ("area", "convex hull", _CONCAVITY),
        "convexity": ("perimeter", "convex perimeter", _CONCAVITY),
        "faulted": (_DETECTABILITY,),
    }.items()
}
"""Descriptor → quantities in its formula (`tables.PARTICLES`), and the properties on which it depends."""


def shared_ingredients(first: str, second: str) -> list[str]:
    """Return what two descriptors have in common by their definitions.

    Parameters
    ----------
    first : str
        Name of a descriptor.
    second : str
        Name of another one.

    Returns
    -------
    list of str
        Quantities and properties that both contain, sorted; empty for descriptors that are not in `INGREDIENTS`.

    Examples
    --------
    >>> shared_ingredients("equivalent_diameter_nm", "roundness")
    ['area']
    >>> shared_ingredients("equivalent_diameter_nm", "aspect_ratio")
    []
    """
    shared = INGREDIENTS.get(first, frozenset()) & INGREDIENTS.get(second, frozenset())
    return sorted(shared if "faulted" in {first, second} else shared - {_DETECTABILITY})
