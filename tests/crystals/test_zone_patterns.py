"""Zone-axis patterns against the zone law, symmetry and textbooks."""

import numpy as np
import pytest

from hrtem_dask.crystals import MATERIALS, find_material, low_index_zone_axes, zone_pattern

# three-index symbols written out by hand: [uvtw] = [u - t, v - t, w]
THREE_INDICES = {
    "[100]": (1, 0, 0), "[110]": (1, 1, 0), "[111]": (1, 1, 1), "[112]": (1, 1, 2),
    "[0001]": (0, 0, 1), "[11-20]": (1, 1, 0), "[10-10]": (2, 1, 0), "[11-23]": (1, 1, 1), "[10-11]": (2, 1, 1),
}  # fmt: skip
CASES = [(name, axis) for name in MATERIALS for axis in low_index_zone_axes(name)]


def cell(name: str) -> np.ndarray:
    crystal = find_material(name)
    a, c = crystal.a_nm, crystal.c_nm or crystal.a_nm
    if crystal.c_nm is None:
        return a * np.eye(3)
    return np.array([[a, 0, 0], [a * np.cos(2 * np.pi / 3), a * np.sin(2 * np.pi / 3), 0], [0, 0, c]])


@pytest.mark.parametrize(("name", "axis"), CASES)
def test_reflections_belong_to_the_zone_and_repeat(name: str, axis: str) -> None:
    pattern = zone_pattern(name, axis)
    np.testing.assert_array_equal(pattern.hkl @ np.array(THREE_INDICES[axis]), 0)
    lengths = np.linalg.norm(pattern.hkl @ np.linalg.inv(cell(name)).T, axis=1)
    np.testing.assert_allclose(np.hypot(*pattern.frequency_per_nm.T), lengths, rtol=1e-9)
    assert pattern.has_mirror  # all usual axes have one
    assert pattern.period_deg == {"[100]": 90, "[111]": 60, "[0001]": 60}.get(axis, 180)
    assert pattern.weight.sum() == pytest.approx(1)


def test_textbook_patterns() -> None:
    gold = zone_pattern("Au", "[110]")
    assert gold.reference_hkl == (0, 0, 2)
    families = {tuple(sorted(np.abs(hkl).tolist())) for hkl in gold.hkl}
    assert {(1, 1, 1), (0, 0, 2), (0, 2, 2), (1, 1, 3)} <= families
    assert not families & {(0, 0, 1), (0, 1, 1), (0, 1, 2), (1, 1, 2)}
    # double diffraction lights up 0001 along [11-20], where 01-10 and 01-11 meet; along [10-10] it cannot
    cdse = zone_pattern("CdSe", "[11-20]")
    row = {hkl[2]: weight for hkl, weight in zip(cdse.hkl.tolist(), cdse.weight, strict=True) if hkl[:2] == [0, 0]}
    assert row[1] == 0
    assert row[2] > 0.1
    assert [0, 0, 1] not in zone_pattern("CdSe", "[10-10]").hkl.tolist()


def test_bad_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cannot read the zone axis '\[11-11\]'"):
        zone_pattern("CdSe", "[11-11]")
    with pytest.raises(ValueError, match="raise max_frequency_per_nm"):
        zone_pattern("Au", "[112]", max_frequency_per_nm=1)
