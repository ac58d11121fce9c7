"""Groups of micrographs by the values of a column."""

import itertools

import numpy as np
import pandas as pd

from hrtem_dask.evaluation.groups import group_labels, grouped_micrographs


def test_numbers_are_divided_into_quarters() -> None:
    labels = group_labels(pd.Series([0.5, *np.arange(1.0, 12), np.nan]))
    assert list(labels[:12]) == list(
        itertools.chain(*([n] * 3 for n in ("0.5–2.75", "2.75–5.5", "5.5–8.25", "8.25–11")))
    )
    assert labels.isna().tolist() == [False] * 12 + [True]
    assert list(group_labels(pd.Series([300.0, 80.0, 300.0]))) == ["300", "80", "300"]
    assert list(group_labels(pd.Series([True, False]))) == ["True", "False"]


def test_groups_follow_their_values_and_leave_out_null() -> None:
    micrographs = pd.DataFrame({"dose": [80.0, 5.0, np.nan, 80.0]})
    groups = [(by, group, list(rows.index)) for by, group, rows in grouped_micrographs(micrographs, ["dose"])]
    assert groups == [("all", "all", [0, 1, 2, 3]), ("dose", "5", [1]), ("dose", "80", [0, 3])]
