"""A collection of micrographs in a few lines, for consoles and notebooks."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from hrtem_dask import loading
from hrtem_dask.reasons import shared_reasons
from hrtem_dask.settings import Settings

__all__ = ["describe", "describe_html"]

MOST_SHAPES = 4
"""Shapes and reasons beyond this number are counted, not named."""


def describe(
    index: pd.DataFrame, records: Sequence[loading.MicrographRecord], variables: Sequence[str], settings: Settings
) -> list[str]:
    """Describe a collection.

    Parameters
    ----------
    index : pandas.DataFrame
        Rows of all images and files, with ``status`` and ``reason``.
    records : sequence of MicrographRecord
        The micrographs that can be analysed.
    variables : sequence of str
        What is known of each micrograph: ``intensity``, ``mask``, ``labels`` and others.
    settings : Settings
        The settings of the collection.

    Returns
    -------
    list of str
        Lines of text: how many micrographs, their shapes and pixel sizes, what is not analysed and why, and the steps
        that have been applied.
    """
    shapes = Counter(f"{r.height_px} × {r.width_px} px" for r in records)
    lines = [
        f"Collection of {len(records)} micrograph{'' if len(records) == 1 else 's'}",
        *_of_micrographs(records, shapes),
    ]
    left_out = index[index["status"] != "ok"]
    if len(left_out):
        reasons = Counter(
            shared_reasons(left_out["reason"].astype(str).tolist(), left_out["source"].astype(str).tolist())
        )
        lines.append(f"  not analyzed: {len(left_out)} ({_most_common(reasons)})")
    steps = [step for step, variable in (("segmented", "mask"), ("labeled", "labels")) if variable in variables]
    lines.append(f"  steps: {', '.join(['opened', *steps])}; method {settings.segmentation.chosen_method}")
    return lines


def describe_html(lines: Sequence[str]) -> str:
    """Return the lines of `describe` as HTML.

    Parameters
    ----------
    lines : sequence of str
        The heading, and a line for each property.

    Returns
    -------
    str
        A paragraph and a list; reasons and names are escaped.
    """
    rest = "".join(f"<li>{html.escape(line.strip())}</li>" for line in lines[1:])
    return f"<p><b>{html.escape(lines[0])}</b></p><ul>{rest}</ul>"


def _of_micrographs(records: Sequence[loading.MicrographRecord], shapes: Counter[str]) -> list[str]:
    """Return the lines about shapes and pixel sizes."""
    if not records:
        return []
    sizes = [max(r.pixel_size_nm) for r in records if r.pixel_size_nm is not None]
    ends = dict.fromkeys(f"{size:.4g}" for size in (min(sizes), max(sizes))) if sizes else {}
    known = f"{' to '.join(ends)} nm" if ends else "unknown"
    missing = len(records) - len(sizes)
    some = f"; unknown for {missing}" if sizes and missing else ""
    heading = "pixel sizes" if len(ends) > 1 else "pixel size"
    return [f"  shapes: {_most_common(shapes)}", f"  {heading}: {known}{some}"]


def _most_common(counts: Counter[str]) -> str:
    """Name the most common values with their numbers."""
    named = [f"{n} × {value}" for value, n in counts.most_common(MOST_SHAPES)]
    more = len(counts) - len(named)
    return "; ".join([*named, *([f"{more} more"] if more else [])])
