import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hrtem_dask.population.inference.multiple_testing import adjust_p_values

P_VALUES = st.lists(st.one_of(st.none(), st.floats(0, 1)), max_size=20)


def test_holm_by_hand() -> None:
    assert adjust_p_values([0.01, 0.04, 0.03, 0.005], method="holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_benjamini_hochberg_by_hand() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    assert adjust_p_values(p, method="benjamini_hochberg") == pytest.approx([0.02, 0.04, 0.04, 0.02])


@given(P_VALUES)
def test_adjusting_never_helps_and_holm_is_the_stricter(p_values: list[float | None]) -> None:
    holm = adjust_p_values(p_values, method="holm")
    hochberg = adjust_p_values(p_values, method="benjamini_hochberg")
    for p, strict, lax in zip(p_values, holm, hochberg, strict=True):
        if p is None:
            assert strict is None
            assert lax is None
        else:
            assert strict is not None
            assert lax is not None
            assert p - 1e-12 <= lax <= strict + 1e-12 <= 1 + 1e-11


def test_no_test_does_not_count() -> None:
    assert adjust_p_values([None, 0.02, None, 0.04], method="holm") == [None, 0.04, None, 0.04]
    assert adjust_p_values([], method="holm") == []


def test_holm_bounds_the_chance_of_any_false_finding(rng: np.random.Generator) -> None:
    found = [min(adjust_p_values(rng.random(10), method="holm")) <= 0.05 for _ in range(2000)]  # type: ignore[type-var]
    assert np.mean(found) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 2000))
