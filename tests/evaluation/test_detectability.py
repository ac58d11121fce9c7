"""The table of detectability of a run over simulated particles."""

import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.evaluation import detectability_table


def test_particles_are_joined_by_their_match_and_not_by_their_number() -> None:
    objects = pd.DataFrame(
        {
            "truth_id": ["a"] * 6 + ["b"],
            "side": ["true"] * 5 + ["predicted", "true"],
            "label": [1, 2, 3, 4, 5, 1, 1],
            "partner_label": [2.0, 1.0, np.nan, 3.0, 4.0, 2.0, 1.0],
            "touches_edge": [False, False, False, True, False, False, False],
            "is_small": [False, False, False, False, True, False, False],
        }
    )
    truth = pd.DataFrame({"micrograph_id": ["a"] * 5 + ["b"], "particle_id": [1, 2, 3, 4, 5, 1]})
    truth = truth.assign(
        equivalent_diameter_nm=[2.0, 3.0, 4.0, 5.0, 6.0, 7.0], material="Au",
        orientation=["on_zone", "on_zone", "misoriented", "on_zone", "on_zone", "between"],
        n_faults=[1, 0, 1, 0, 0, 1], fault_visible=[True, False, False, False, False, True],
    )  # fmt: skip
    about = pd.DataFrame({"micrograph_id": ["a", "b"], "pixel_size_nm": 0.04, "dose_per_nm2": [1e5, 2e5]})
    found = pd.DataFrame({"truth_id": ["a", "a", "a", "b"], "particle_id": [1, 2, 3, 1]})
    found = found.assign(counted=[False, True, True, True], fault_state=["no_fault", "fault", "unknown", None])
    rows = detectability_table(objects, truth, about, found)
    assert list(rows.columns) == [column.name for column in tables.DETECTABILITY]
    assert rows["true_diameter_nm"].tolist() == [2.0, 3.0, 4.0, 7.0]  # not cut by the border, not below the limit
    assert rows["true_state"].fillna("–").tolist() == ["fault", "no_fault", "misoriented", "–"]
    assert rows["found"].tolist() == [True, False, False, True]  # the match of the second one is not counted
    assert rows["fault_state"].fillna("–").tolist() == ["fault", "–", "–", "–"]
    assert rows["dose_per_nm2"].tolist() == [1e5, 1e5, 1e5, 2e5]
