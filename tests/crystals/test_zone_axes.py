"""Families of zone axes."""

import numpy as np
import pytest

from hrtem_dask.crystals import low_index_zone_axes, zone_pattern


def test_families_are_listed_once_and_usual_names_are_kept() -> None:
    assert low_index_zone_axes("Au", max_index=1) == ("[100]", "[110]", "[111]")
    assert set(low_index_zone_axes("Au", max_index=2)) == {"[100]", "[110]", "[111]", "[112]", "[012]", "[122]"}
    hexagonal = low_index_zone_axes("CdSe", max_index=1)
    assert {"[0001]", "[11-20]", "[11-23]"} <= set(hexagonal)
    for name in ("Au", "CdSe"):
        axes = low_index_zone_axes(name, max_index=2)
        lattices = [zone_pattern(name, axis, max_frequency_per_nm=20).frequency_per_nm for axis in axes]
        shortest = [np.sort(np.hypot(*f.T))[:6].round(6).tolist() for f in lattices]
        assert len({tuple(s) for s in shortest}) == len(axes)


def test_an_unknown_material_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown material 'Unobtainium'"):
        low_index_zone_axes("Unobtainium")
