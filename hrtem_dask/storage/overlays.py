"""Pictures of the outlines, small enough to look through by the hundred."""

from __future__ import annotations

import html
import urllib.parse

import cv2
import numpy as np
import pandas as pd

from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles import draw_overlay
from hrtem_dask.storage.location import Location

__all__ = ["overlay_exists", "remove_overlay", "write_overlay", "write_overlay_index"]

FOLDER = "overlays"
INDEX = f"{FOLDER}/index.html"
JPEG_QUALITY = 88
JPEG_END = b"\xff\xd9"
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Overlays</title>
<style>
body {{ font: 15px/1.4 system-ui, sans-serif; margin: 1.5rem; color: #222; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(280px, 1fr)); gap: 1.2rem; }}
figure {{ margin: 0; }} img {{ width: 100%; height: auto; border: 1px solid #bbb; }}
figcaption {{ overflow-wrap: anywhere; }} .doubtful img {{ border: 3px solid #a33; }}
</style>
<h1>Overlays</h1>
<p>{told} <code>--overlays all</code> draws every one.</p>
<p>Outlines: <b style="color: #009e73">green</b> counted, <b style="color: #0072b2">blue</b> at the border,
<b style="color: #8a8400">yellow</b> too small, <b style="color: #b34700">orange</b> an agglomerate that could not be
split, <b style="color: #777">gray</b> no particle; <b style="color: #b0598a">pink</b>: traces of stacking faults.</p>
<main>
{figures}
</main></html>
"""


def write_overlay(
    folder: Location,
    micrograph_id: str,
    image: np.ndarray,
    labels: np.ndarray,
    particles: pd.DataFrame | None,
    *,
    pixel_size_nm: PixelSize | None,
    fault_traces: pd.DataFrame | None = None,
) -> np.ndarray:
    """Write the outlines of the particles on their micrograph, as JPEG of at most 1024 px.

    Parameters
    ----------
    folder : Location
        The results folder.
    micrograph_id : str
        Name of the file.
    image : numpy.ndarray
        Shape (y, x).
    labels : numpy.ndarray of int
        Shape (y, x).
    particles : pandas.DataFrame or None
        Rows of `tables.PARTICLES`: what is not counted is drawn in another color; None draws all in one.
    pixel_size_nm : tuple of float or None
        (y, x) in nm, for the scale bar.
    fault_traces : pandas.DataFrame, optional
        Rows of `tables.FAULT_TRACES`, drawn as lines.

    Returns
    -------
    numpy.ndarray of uint8
        The picture that was written, before compression, shape (y, x, 3).
    """
    ends = ("end_1_y_px", "end_1_x_px", "end_2_y_px", "end_2_x_px")
    lines = np.zeros((0, 2, 2)) if fault_traces is None else fault_traces[list(ends)].to_numpy(float).reshape(-1, 2, 2)
    picture = draw_overlay(image, labels, table=particles, lines_px=lines, pixel_size_nm=pixel_size_nm)
    done, encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise OSError(f"could not encode the overlay of {micrograph_id!r}, shape {picture.shape}")
    folder.write_bytes(f"{FOLDER}/{micrograph_id}.jpg", encoded.tobytes())
    return picture


def write_overlay_index(folder: Location, micrographs: pd.DataFrame) -> None:
    """Write a page that shows all overlays, doubtful micrographs first.

    Parameters
    ----------
    folder : Location
        The results folder; without overlays there is no page.
    micrographs : pandas.DataFrame
        Rows of `tables.MICROGRAPHS`.
    """
    drawn = {name.rpartition("/")[2].removesuffix(".jpg") for name in folder.names(FOLDER, ".jpg")}
    rows = micrographs[micrographs["micrograph_id"].isin(drawn)]
    if not len(rows):
        folder.remove(INDEX)
        return
    doubtful = (rows["verdict"] == "doubtful").fillna(False).to_numpy(bool)
    rows = rows.iloc[np.argsort(~doubtful, kind="stable")]
    figures = "\n".join(_figure(row) for _, row in rows.iterrows())
    told = f"{len(rows)} {'micrograph has' if len(rows) == 1 else 'micrographs have'} an overlay."
    if n_doubtful := int(doubtful.sum()):
        told += f" {n_doubtful} of them {'is' if n_doubtful == 1 else 'are'} doubtful, shown first."
    folder.write_bytes(INDEX, _PAGE.format(told=told, figures=figures).encode())


def _figure(row: pd.Series) -> str:
    """Return one overlay with its caption."""
    name = str(row["micrograph_id"])
    words = [name, str(row["sample"]) if pd.notna(row["sample"]) else "", f"{_number(row['n_counted'])} counted"]
    if pd.notna(row["verdict"]):
        reasons = f": {row['doubt_reasons']}" if pd.notna(row["doubt_reasons"]) else ""
        words.append(f"{row['verdict']}{reasons}")
    caption = html.escape(" · ".join(filter(None, words)))
    file = html.escape(urllib.parse.quote(f"{name}.jpg"))
    kind = ' class="doubtful"' if row["verdict"] is not pd.NA and row["verdict"] == "doubtful" else ""
    picture = f'<a href="{file}"><img loading="lazy" src="{file}" alt="{html.escape(name)}"></a>'
    return f"<figure{kind}>{picture}<figcaption>{caption}</figcaption></figure>"


def _number(value: object) -> str:
    """Return a count, or a dash where there is none."""
    return "–" if value is None or value is pd.NA else str(value)


def overlay_exists(folder: Location, micrograph_id: str) -> bool:
    """Say whether a micrograph has its overlay, whole.

    Parameters
    ----------
    folder : Location
        The results folder.
    micrograph_id : str
        The micrograph.

    Returns
    -------
    bool
        True where the picture is there and ends as a JPEG does.
    """
    return folder.ends_with(f"{FOLDER}/{micrograph_id}.jpg", JPEG_END)


def remove_overlay(folder: Location, micrograph_id: str) -> None:
    """Remove the overlay of a micrograph; an absent one is no error.

    Parameters
    ----------
    folder : Location
        The results folder.
    micrograph_id : str
        The micrograph.
    """
    folder.remove(f"{FOLDER}/{micrograph_id}.jpg")
