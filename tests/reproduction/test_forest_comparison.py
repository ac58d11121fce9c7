"""Scores of forests: mean and standard deviation over random orders of the regions."""

import numpy as np

from hrtem_dask.evaluation.region_classes import compare_classes
from hrtem_dask.reproduction.forest_comparison import ForestRow, forest_scores


def test_the_standard_deviation_is_that_of_all_orders() -> None:
    orders = [
        compare_classes(["misoriented"] * 4, ["misoriented"] * k + ["agglomeration"] * (4 - k)) for k in (4, 2, 3)
    ]
    row = ForestRow(name="f", n_training=8, out_of_bag=0.5, confusion=orders[0], others=tuple(orders[1:]))
    cells = {line[0]: line[2] for line in forest_scores([row]).rows}
    assert cells["accuracy"] == f"1.000 (mean 0.750 ± {np.std([1, 0.5, 0.75], ddof=1):.3f})"
