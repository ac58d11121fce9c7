"""What the report is about: its title, whole micrographs with their outlines, and the counts of each micrograph."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.population.particle_table import is_counted
from hrtem_dask.report.json_types import JsonDict
from hrtem_dask.report.measured import LISTED, plain_rows
from hrtem_dask.storage.results import Results

__all__ = ["describe_title", "list_micrographs", "overlay_pictures"]

PER_SAMPLE = 2
"""Number of whole micrographs of each sample."""
MAX_SHOWN = 12
"""Largest number of whole micrographs on the page."""
SIDE_PX = 640
NAMED = 4
"""Largest number of samples and inputs that the title names."""


def describe_title(
    results: Results, inputs: Sequence[str], samples: Sequence[str], finished_at: str | None
) -> JsonDict:
    """Describe what the report is about.

    Parameters
    ----------
    results : Results
        The results folder.
    inputs : sequence of str
        What the run was given, from ``run.toml``; empty where that is not known.
    samples : sequence of str
        Names of the samples.
    finished_at : str or None
        When the analysis of the last micrograph ended, ISO 8601.

    Returns
    -------
    dict
        ``text``, ``samples``, ``folder`` (the name of the results folder) and ``date`` (None where it is not known).
    """
    folder = results.folder.url.rstrip("/").rsplit("/", 1)[-1]
    names = list(dict.fromkeys(Path(one.rstrip("/").removesuffix("*").rstrip("/")).name or one for one in inputs))
    return {
        "text": _listed(names) if names else folder,
        "samples": _listed([name or "no sample stated" for name in samples]),
        "folder": folder,
        "date": None if finished_at is None else finished_at[:10],
    }


def list_micrographs(micrographs: pd.DataFrame, particles: pd.DataFrame) -> list[JsonDict]:
    """List the analyzed micrographs with their counts.

    Parameters
    ----------
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`.

    Returns
    -------
    list of dict
        ``micrograph_id``, ``sample``, ``n_particles``, ``n_counted``, ``coverage``, ``verdict`` and the median diameter
        of the counted particles, ``median_nm`` and ``median_px``, of the first `LISTED` micrographs.
    """
    rows = micrographs[micrographs["status"].isin(tables.ANALYZED_STATUSES)].head(LISTED)
    counted = particles[is_counted(particles)].groupby("micrograph_id")
    medians = {
        f"median_{unit}": rows["micrograph_id"].map(counted[f"equivalent_diameter_{unit}"].median())
        for unit in ("nm", "px")
    }
    columns = ["micrograph_id", "sample", "n_particles", "n_counted", "coverage", "verdict"]
    return plain_rows(rows[columns].assign(**medians))


def overlay_pictures(results: Results, micrographs: pd.DataFrame) -> list[dict[str, str]]:
    """Return whole micrographs with outlines, some of each sample, doubtful ones first.

    Parameters
    ----------
    results : Results
        The results folder, whose overlays are shown.
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.

    Returns
    -------
    list of dict
        ``micrograph_id``, ``sample``, ``verdict`` and ``uri``, a picture of at most 640 px. Micrographs without an
        overlay are left out.
    """
    rows = micrographs[micrographs["status"] == "done"]
    rows = rows.iloc[np.argsort((rows["verdict"] != "doubtful").fillna(True).to_numpy(bool), kind="stable")]
    found: list[dict[str, str]] = []
    shown: dict[str, int] = {}
    for _, row in rows.iterrows():
        name, sample = str(row["micrograph_id"]), "" if pd.isna(row["sample"]) else str(row["sample"])
        file = f"overlays/{name}.jpg"
        if len(found) == MAX_SHOWN or shown.get(sample, 0) == PER_SAMPLE or not results.folder.exists(file):
            continue
        uri = _picture(results.folder.read_bytes(file))
        if uri:
            shown[sample] = shown.get(sample, 0) + 1
            verdict = "" if pd.isna(row["verdict"]) else str(row["verdict"])
            found.append({"micrograph_id": name, "sample": sample, "verdict": verdict, "uri": uri})
    return found


def _picture(content: bytes) -> str:
    """Return a picture as a data URI, smaller where it is large; empty where it cannot be read."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    if image is None:
        return ""
    zoom = min(1.0, SIDE_PX / max(image.shape))
    image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()


def _listed(names: Sequence[str]) -> str:
    """Name the first of some things, and count the others."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
