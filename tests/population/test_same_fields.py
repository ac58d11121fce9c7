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


def test_frames_of_stacks_are_named() -> None:
    """A movie of one field gave a median of 76 particles on 8 micrographs, ± 0.27 nm, without a word."""
    n = 9
    table = pd.DataFrame(
        {
            "micrograph_id": [f"m{i}" for i in range(n)],
            "duplicate_of": None,
            "reason": None,
            "quality_flags": None,
            "source": ["/data/movie.tif"] * 4
            + ["/data/a.tif", "/data/b.emd", "/data/b.emd", "/data/c.emd", "/data/c.emd"],
            "signal": [0, 0, 0, 0, 0, 0, 1, 0, 0],  # two images of one file are no stack
            "frame": [0, 1, 2, 3, 0, 0, 0, 0, 1],
            "status": ["done", "done", "done", "set_aside", *["done"] * 5],
            "n_counted": pd.array([5, 6, 4, None, 3, 2, 2, 7, 0], "Int64"),
        }
    )
    found = describe_same_fields(table)
    assert (found["n_frames"], found["stacks"]) == (3, [{"source": "/data/movie.tif", "n": 3}])
    assert same_field_lines(found) == [
        "3 counted micrographs are frames of stacks (movie.tif: 3)",
        "  if they show one field, its particles are counted in each, and uncertainties are too small",
    ]


def test_nothing_to_say() -> None:
    table = pd.DataFrame(
        {"micrograph_id": ["a"], "duplicate_of": [None], "status": ["done"], "quality_flags": [None], "reason": [None]}
    )
    assert same_field_lines(describe_same_fields(table)) == []
