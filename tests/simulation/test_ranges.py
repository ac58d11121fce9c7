"""Ranges that no micrograph could be drawn from are refused at once, not micrograph by micrograph."""

import pytest

from hrtem_dask.errors import SettingsError
from hrtem_dask.simulation import SimulationRanges


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("defocus_nm = 40", "defocus_nm must be a pair"),
        ("voltage_kv = [200, 300]", "voltage_kv must be one number"),
        ("size_px = 100.5", "size_px must be a whole number"),
        ("carbon_thickness_nm = [-3, 2]", "carbon_thickness_nm must be at least 0"),
        ("diameter_limits_nm = [0, 1]", "diameter_limits_nm must be positive"),
    ],
)
def test_values_of_the_wrong_kind_are_refused(text: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        SimulationRanges.from_toml(text)
