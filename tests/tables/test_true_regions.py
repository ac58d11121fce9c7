"""The rule for the class of a region, particle by particle."""

import pandas as pd
import pytest

from hrtem_dask.tables import REGION_CLASSES
from hrtem_dask.tables.true_regions import CLEAR_VISIBILITY, CLEAR_VISIBILITY_MISORIENTED, is_clear, particle_class


@pytest.mark.parametrize(
    ("orientation", "n_faults", "fault_visible", "expected"),
    [
        ("on_zone", 0, False, "no_stacking_fault"),
        ("on_zone", 2, True, "stacking_fault"),
        ("on_zone", 2, False, None),
        ("misoriented", 2, True, "misoriented"),
        ("between", 0, False, None),
    ],
)
def test_the_class_of_a_particle(orientation: str, n_faults: int, fault_visible: bool, expected: str | None) -> None:
    particle = pd.Series({"orientation": orientation, "n_faults": n_faults, "fault_visible": fault_visible})
    assert particle_class(particle) == expected
    assert expected is None or expected in REGION_CLASSES


@pytest.mark.parametrize("name", REGION_CLASSES)
def test_a_region_is_clear_from_its_limit_on(name: str) -> None:
    limit = CLEAR_VISIBILITY_MISORIENTED if name == "misoriented" else CLEAR_VISIBILITY
    assert is_clear(name, limit, ordinary=True)
    assert is_clear(name, limit - 0.01, ordinary=True) == (name == "no_particle")
    assert not is_clear(name, limit, ordinary=False)


def test_a_region_without_a_class_is_not_clear() -> None:
    assert not is_clear(None, 10.0, ordinary=True)
