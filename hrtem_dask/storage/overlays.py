"""Pictures of the outlines, small enough to look through by the hundred."""

from __future__ import annotations

import html
import urllib.parse
from collections.abc import Hashable, Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd

from hrtem_dask import tables
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles import draw_overlay
from hrtem_dask.particles.outlines.overlay import OUTLINE_COLORS, TRACE_COLOR
from hrtem_dask.storage.location import Location

__all__ = ["overlay_exists", "remove_overlay", "write_overlay", "write_overlay_index"]

FOLDER = "overlays"
INDEX = f"{FOLDER}/index.html"
JPEG_QUALITY = 88
JPEG_END = b"\xff\xd9"
_LEGEND = {
    "counted": "counted",
    "edge": "cut by the border or by a mark",
    "too_small": "too small",
    "agglomerate": "an agglomerate that could not be split",
    "no_particle": "no particle",
}
"""Reason why a particle is not counted, as in `particles.OUTLINE_COLORS` → its words."""
_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Overlays of {name}</title>
<style>
body {{ font: 15px/1.4 system-ui, "DejaVu Sans", sans-serif; margin: 1.5rem auto; padding: 0 1.2rem; max-width: 1500px;
  color: #222; }}
h1 {{ font-size: 1.6rem; margin: 0; overflow-wrap: anywhere; }} h2 {{ font-size: 1.15rem; margin: 1.6rem 0 .6rem; }}
main {{ display: grid; grid-template-columns: repeat(auto-fill, minmax(min(260px, 100%), 1fr)); gap: 1.2rem; }}
figure {{ margin: 0; break-inside: avoid; }} img {{ width: 100%; height: auto; border: 1px solid #bbb; }}
figcaption {{ overflow-wrap: anywhere; font-size: .9rem; }} .doubtful img {{ border: 3px solid #a33; }}
ul {{ list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }}
li i {{ display: inline-block; width: 1.1em; height: 1.1em; margin-right: .4em; vertical-align: -.2em; background: #333;
  border: .22em solid; print-color-adjust: exact; }}
li i.line {{ background: linear-gradient(to top right, #333 44%, currentcolor 44% 56%, #333 56%); border-color: #333; }}
@media print {{ body {{ margin: 0; padding: 0; font-size: 10pt; }} main {{ grid-template-columns: repeat(3, 1fr); }} }}
</style>
<h1>Overlays of {name}</h1>
<p>{told}</p>
<ul aria-label="Legend">{legend}</ul>
{sections}
</html>
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
    told = f"{len(rows)} {'micrograph has' if len(rows) == 1 else 'micrographs have'} an overlay."
    if n_left := int(micrographs["status"].isin(tables.ANALYZED_STATUSES).sum()) - len(rows):
        told += f" {n_left} analyzed {'one has' if n_left == 1 else 'ones have'} none:" if n_left > 0 else ""
        told += " run again with <code>--overlays all</code> to draw every one." if n_left > 0 else ""
    parts = (("Doubtful", rows[doubtful]), ("Not doubtful", rows[~doubtful]))
    sections = "\n".join(
        f"<h2>{title} ({len(part)})</h2>\n<main>\n{''.join(map(_figure, part.to_dict('records')))}</main>"
        for title, part in parts
        if len(part)
    )
    name = html.escape(folder.url.rstrip("/").rpartition("/")[2])
    page = _PAGE.format(name=name, told=told, legend=_legend(), sections=sections)
    folder.write_bytes(INDEX, page.encode())


def _legend() -> str:
    """Return the colors of the outlines, as they are drawn."""
    shown = [(f"#{bytes(OUTLINE_COLORS[key]).hex()}", "", words) for key, words in _LEGEND.items()]
    shown.append((f"#{bytes(TRACE_COLOR).hex()}", ' class="line"', "trace of a stacking fault"))
    return "".join(f'<li><i{kind} style="color: {color}"></i>{words}</li>' for color, kind, words in shown)


def _figure(row: Mapping[Hashable, Any]) -> str:
    """Return one overlay with its caption."""
    name = str(row["micrograph_id"])
    facts = [str(row["sample"]) if pd.notna(row["sample"]) else "", _outcome(row)]
    if pd.notna(row["verdict"]):
        reasons = f": {row['doubt_reasons']}" if pd.notna(row["doubt_reasons"]) else ""
        facts.append(f"{row['verdict']}{reasons}")
    caption = f"<b>{html.escape(name)}</b><br>{html.escape(' · '.join(filter(None, facts)))}"
    file = html.escape(urllib.parse.quote(f"{name}.jpg"))
    kind = ' class="doubtful"' if pd.notna(row["verdict"]) and row["verdict"] == "doubtful" else ""
    picture = f'<a href="{file}"><img loading="lazy" src="{file}" alt="Outlines on {html.escape(name)}"></a>'
    return f"<figure{kind}>{picture}<figcaption>{caption}</figcaption></figure>\n"


def _outcome(row: Mapping[Hashable, Any]) -> str:
    """Return what was found on a micrograph, or why nothing was."""
    if pd.notna(row["status"]) and row["status"] not in tables.ANALYZED_STATUSES:
        return f"{str(row['status']).replace('_', ' ')}: {row['reason']}"
    if pd.notna(row["field_kind"]) and row["field_kind"] == "one_crystal":
        return "one crystal fills the field"
    return "" if pd.isna(row["n_counted"]) else f"{row['n_counted']} counted"


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
