"""Pictures of particles: a random sample, the largest and smallest, the doubtful and the faulted ones."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pandas as pd

from hrtem_dask.particles import draw_overlay
from hrtem_dask.population.particle_table import is_counted
from hrtem_dask.report.json_types import JsonDict
from hrtem_dask.report.measured import plain_rows
from hrtem_dask.storage.results import Results, crop

__all__ = ["choose", "picture"]

N_RANDOM, N_OTHERS, N_FAULTED = 12, 6, 12
SIDE_PX = 260
JPEG_QUALITY = 82
_COLUMNS = [
    "micrograph_id", "particle_id", "sample", "equivalent_diameter_nm", "equivalent_diameter_px", "exclusion_reason",
    "mean_probability", "split_confidence", "fault_state", "fault_probability", "fault_trace_deg",
]  # fmt: skip


def choose(particles: pd.DataFrame, *, seed: int = 0) -> dict[str, list[JsonDict]]:
    """Choose the particles that the gallery shows.

    Parameters
    ----------
    particles : pandas.DataFrame
        Rows of `tables.PARTICLES`.
    seed : int
        Seed of the random draws.

    Returns
    -------
    dict
        Name of the group → rows as plain values. Counted particles: ``random``, ``largest``, ``smallest``,
        ``doubtful`` (lowest mean probability), ``split`` (lowest split confidence) and ``faulted`` (highest fault
        probability). ``excluded``: a random sample of particles that are not counted for another reason than the
        edge. Empty groups are left out.
    """
    counted = particles[is_counted(particles)]
    size = "equivalent_diameter_nm" if counted["equivalent_diameter_nm"].notna().any() else "equivalent_diameter_px"
    by_size = counted.dropna(subset=[size]).sort_values(size, kind="stable")
    excluded = particles[particles["exclusion_reason"].notna() & ~particles["exclusion_reason"].isin(["edge", "mark"])]
    faulted = counted[(counted["fault_state"] == "fault").fillna(False)]
    groups = {
        "random": counted.sample(min(N_RANDOM, len(counted)), random_state=seed),
        "largest": by_size.iloc[::-1].head(N_OTHERS),
        "smallest": by_size.head(N_OTHERS),
        "doubtful": _lowest(counted, "mean_probability"),
        "split": _lowest(counted, "split_confidence"),
        "faulted": faulted.sort_values("fault_probability", ascending=False, kind="stable").head(N_FAULTED),
        "excluded": excluded.sample(min(N_OTHERS, len(excluded)), random_state=seed),
    }
    return {name: plain_rows(rows[_COLUMNS]) for name, rows in groups.items() if len(rows)}


def _lowest(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return the rows with the lowest values of a column."""
    return table.dropna(subset=[column]).sort_values(column, kind="stable").head(N_OTHERS)


def picture(results: Results, micrograph_id: str, particle_id: int) -> str:
    """Draw one particle on its micrograph.

    Parameters
    ----------
    results : Results
        The results folder.
    micrograph_id : str
        Identifier of the micrograph.
    particle_id : int
        Number of the particle. Its fault trace is drawn, and its neighbors are outlined too.

    Returns
    -------
    str
        JPEG picture as a data URI.

    Raises
    ------
    FileNotFoundError, ValueError, KeyError, OSError
        If the file of the micrograph is missing or has changed, or it has no labels: see `storage.results.crop`.
    """
    particles = results.particles
    table = particles[particles["micrograph_id"] == micrograph_id].copy()
    box = table[table["particle_id"] == particle_id].iloc[0]
    side = max(box["bbox_y1_px"] - box["bbox_y0_px"], box["bbox_x1_px"] - box["bbox_x0_px"])
    found = crop(results, micrograph_id, particle_id, margin_px=max(8, int(side // 3)))
    image: np.ndarray = np.asarray(found["intensity"], dtype=np.float32)
    labels = np.asarray(found["labels"], dtype=np.int32)
    zoom = max(1, -(-SIDE_PX // max(image.shape)))
    image = cv2.resize(np.nan_to_num(image), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    labels = labels.repeat(zoom, axis=0).repeat(zoom, axis=1)
    # the trace is measured from the bounding box, which differs for a neighbor that the crop cuts
    table.loc[table["particle_id"] != particle_id, ["fault_trace_deg", "fault_offset_nm"]] = pd.NA
    row = results.micrographs.set_index("micrograph_id").loc[micrograph_id]
    known = pd.notna(row["pixel_size_y_nm"])
    size = (row["pixel_size_y_nm"] / zoom, row["pixel_size_x_nm"] / zoom) if known else None
    drawn = draw_overlay(image, labels, table=table, pixel_size_nm=size, max_side_px=2 * SIDE_PX)
    done, encoded = cv2.imencode(".jpg", drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise OSError(f"could not encode particle {particle_id} of {micrograph_id!r}, shape {drawn.shape}")
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
