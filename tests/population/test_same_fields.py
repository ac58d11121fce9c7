"""What the end of a run says of micrographs of one field."""

import pandas as pd

from hrtem_dask.population.same_fields import describe_same_fields, same_field_lines


def test_counts_and_lines() -> None:
    table = pd.DataFrame(
        {
            "micrograph_id": ["a", "b", "c", "d", *"efghijk"],
            "duplicate_of": [None, "a", "a", "a", *["a"] * 7],
            "status": ["done", "set_aside", "done", "done", *["set_aside"] * 7],
            "quality_flags": [None, "duplicate", "blur,possible_duplicate", "duplicate", *["duplicate"] * 7],
            "reason": [None, "copy", "maybe", "copy", *["copy"] * 7],
        }
    )
    found = describe_same_fields(table)
    assert (found["n_set_aside"], found["n_counted_again"], found["n_possible"]) == (8, 1, 1)
    assert found["possible"] == [{"micrograph": "c", "same_as": "a", "reason": "maybe"}]
    lines = same_field_lines(found)
    assert lines[0] == "8 micrographs show the field of another one, and are set aside"
    assert lines[6] == "  …"
    assert lines[-2:] == [
        "1 micrograph possibly shows the field of another one, and is counted: look at both",
        "  c: maybe",
    ]


def test_nothing_to_say() -> None:
    table = pd.DataFrame(
        {"micrograph_id": ["a"], "duplicate_of": [None], "status": ["done"], "quality_flags": [None], "reason": [None]}
    )
    assert same_field_lines(describe_same_fields(table)) == []
