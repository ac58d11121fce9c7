"""Columns of a particle table as statistics use them."""

import numpy as np
import pandas as pd

from hrtem_dask.population.particle_table import counted_particles, numbers, weight_column


def test_only_counted_particles_are_left() -> None:
    table = pd.DataFrame({"counted": pd.array([True, None, False, True], dtype="boolean"), "x": [1, 2, 3, 4]})
    assert counted_particles(table)["x"].tolist() == [1, 4]


def test_numbers_and_weights() -> None:
    table = pd.DataFrame({"a": pd.array([1.0, None, np.inf], dtype="Float64"), "weight": [2.0, np.nan, 0.5]})
    np.testing.assert_array_equal(numbers(table, "a"), [1, np.nan, np.nan])
    assert np.isnan(numbers(table, "absent")).all()
    np.testing.assert_array_equal(weight_column(table), [2, 0, 0.5])
    np.testing.assert_array_equal(weight_column(table[["a"]]), [1, 1, 1])
