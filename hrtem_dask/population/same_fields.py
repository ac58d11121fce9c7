"""Micrographs that show the field of another one: how many were set aside or are in doubt, and which."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

__all__ = ["describe_same_fields", "same_field_lines"]

N_NAMED = 5
"""Largest number of micrographs that are named."""


def describe_same_fields(micrographs: pd.DataFrame) -> dict[str, Any]:
    """Count the micrographs that show the field of another one.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.

    Returns
    -------
    dict
        Ready for JSON: ``n_set_aside``, ``n_counted_again`` (copies that the settings keep) and ``n_possible``, with up
        to five ``set_aside``, ``counted_again`` and ``possible`` each: ``micrograph``, ``same_as``, ``reason``;
        and ``n_frames``: frames with counted particles of files that have several, with up to five ``stacks``, those
        with most frames first: ``source``, ``n``.

    Examples
    --------
    >>> table = pd.DataFrame({"micrograph_id": ["a", "b"], "duplicate_of": [None, "a"], "reason": [None, "as a.tif"]})
    >>> table = table.assign(status=["done", "set_aside"], quality_flags=[None, "duplicate"])
    >>> describe_same_fields(table)["n_set_aside"]
    1
    """
    known = micrographs["duplicate_of"].notna()
    repeated = micrographs.loc[known, ["micrograph_id", "duplicate_of", "reason", "status", "quality_flags"]]
    flags = repeated["quality_flags"].astype(object).fillna("").str.split(",")
    is_set_aside = (repeated["status"] == "set_aside").to_numpy(bool)
    is_possible = flags.map(lambda names: "possible_duplicate" in names).to_numpy(bool) & ~is_set_aside
    content = _stacks(micrographs)
    for name, chosen in (
        ("set_aside", is_set_aside), ("counted_again", ~is_set_aside & ~is_possible), ("possible", is_possible),
    ):  # fmt: skip
        rows = repeated[chosen]
        content[f"n_{name}"] = len(rows)
        content[name] = [
            {"micrograph": str(r.micrograph_id), "same_as": str(r.duplicate_of), "reason": str(r.reason)}
            for r in rows.head(N_NAMED).itertuples()
        ]
    return content


def _stacks(micrographs: pd.DataFrame) -> dict[str, Any]:
    """Count the frames with counted particles, where one signal of a file has several."""
    if not {"source", "signal", "n_counted"} <= set(micrographs):
        return {"n_frames": 0, "stacks": []}
    rows = micrographs[(micrographs["status"] == "done") & (micrographs["n_counted"].fillna(0) > 0)]
    sizes = rows.groupby(["source", "signal"], dropna=False).size().sort_values(ascending=False, kind="stable")
    sizes = sizes[sizes > 1]
    named = sizes.head(N_NAMED)
    return {
        "n_frames": int(sizes.sum()),
        "stacks": [{"source": str(key[0]), "n": int(n)} for key, n in zip(named.index, named.tolist(), strict=True)],
    }


def same_field_lines(described: Mapping[str, Any]) -> list[str]:
    """Put into words which micrographs show the field of another one.

    Parameters
    ----------
    described : mapping
        From `describe_same_fields`.

    Returns
    -------
    list of str
        Lines to print; empty where there is none.

    Examples
    --------
    >>> one = {"micrograph": "b-2", "same_as": "a-1", "reason": "the same image as a.tif (same pixels)"}
    >>> same_field_lines({"n_set_aside": 1, "set_aside": [one]})
    ['1 micrograph shows the field of another one, and is set aside', '  b-2: the same image as a.tif (same pixels)']
    """
    words = {
        "set_aside": ("shows", "show", "the field of another one, and {} set aside"),
        "counted_again": ("shows", "show", "the field of another one, and {} counted again"),
        "possible": ("possibly shows", "possibly show", "the field of another one, and {} counted: look at both"),
    }
    lines = []
    for name, (one, several, rest) in words.items():
        n = int(described.get(f"n_{name}", 0))
        if n:
            subject = f"1 micrograph {one}" if n == 1 else f"{n} micrographs {several}"
            lines.append(f"{subject} {rest.format('is' if n == 1 else 'are')}")
            lines += [f"  {row['micrograph']}: {row['reason']}" for row in described[name]]
            lines += ["  …"] if n > len(described[name]) else []
    if n := int(described.get("n_frames", 0)):
        named = ", ".join(f"{one['source'].rpartition('/')[2]}: {one['n']}" for one in described["stacks"])
        more = ", …" if n > sum(one["n"] for one in described["stacks"]) else ""
        lines.append(f"{n} counted micrographs are frames of stacks ({named}{more})")
        lines.append("  if they show one field, its particles are counted in each, and uncertainties are too small")
    return lines
