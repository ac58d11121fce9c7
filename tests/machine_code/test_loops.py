"""Loops as machine code."""

import numpy as np

from hrtem_dask.machine_code import compiled, loops_of


def test_a_loop_is_loaded_for_its_types_and_callable_with_others() -> None:
    @compiled()
    def half(value: float) -> float:
        return value / 2

    @compiled("float64[::1], Array(int32, 1, 'C', readonly=True)")
    def halves(values: np.ndarray, places: np.ndarray) -> float:
        total = 0.0
        for place in places:
            total += half(values[place])
        return total

    (loop,) = (one for one in loops_of([__name__]) if one.code is halves)
    assert not loop.load()
    assert loop.load()
    places = np.array([0, 2], np.int32)
    places.flags.writeable = False
    assert halves(np.array([1.0, 9.0, 4.0]), places) == 2.5
    assert len(loop.code.signatures) == 1
    assert halves(np.array([1, 9, 4]), places.astype(int)) == 2.5


def test_a_division_by_zero_is_infinite() -> None:
    @compiled()
    def ratio(a: float, b: float) -> float:
        return a / b

    assert ratio(1.0, 0.0) == np.inf


def test_modules_without_loops_have_none() -> None:
    assert loops_of(["hrtem_dask.errors", "no.such.module"]) == []
