"""True regions and their classes."""

import numpy as np
import pandas as pd
import pytest

from hrtem_dask.simulation.regions import region_rows, true_regions


def test_regions_bridge_small_gaps_only() -> None:
    mask = np.zeros((60, 60), bool)
    mask[10:20, 10:20] = mask[10:20, 23:33] = True  # 3 px apart
    assert true_regions(mask, 0.133).max() == 1  # 0.399 nm
    assert true_regions(mask, 0.134).max() == 2  # 0.402 nm
    assert (true_regions(mask, 0.1) > 0).sum() == mask.sum()
    assert not true_regions(np.zeros((5, 5), bool), 0.1).any()


@pytest.mark.parametrize(
    ("orientation", "n_faults", "visible", "expected"),
    [
        ("on_zone", 0, False, "no_stacking_fault"),
        ("on_zone", 1, True, "stacking_fault"),
        ("misoriented", 1, False, "misoriented"),
        ("between", 0, False, None),
    ],
)
def test_region_classes(orientation: str, n_faults: int, visible: bool, expected: str | None) -> None:
    labels = np.zeros((30, 30), np.int32)
    labels[5:20, 5:20] = 1
    row = {
        "region_id": 1,
        "orientation": orientation,
        "n_faults": n_faults,
        "fault_visible": visible,
        "visibility": 2.0,
    }
    table = region_rows(labels, pd.DataFrame([row]), pixel_size_nm=0.03, ordinary=True)
    assert table["region_class"].tolist() == [expected]
    assert table["is_clear"].tolist() == [expected is not None]
    two = region_rows(labels, pd.DataFrame([row, row]), pixel_size_nm=0.03, ordinary=False)
    assert two["region_class"].tolist() == ["agglomeration"]
    assert not two["is_clear"].any()
