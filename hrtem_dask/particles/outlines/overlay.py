"""Overlay: the outlines of the particles on the image, for visual inspection."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd

from hrtem_dask import backend
from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles.outlines.fault_traces import fault_trace
from hrtem_dask.particles.runs import find_runs
from hrtem_dask.particles.shape.surroundings import readable

__all__ = ["OUTLINE_COLORS", "TRACE_COLOR", "draw_overlay", "stretched"]

OUTLINE_COLORS: dict[str, tuple[int, int, int]] = {
    "counted": (0, 220, 130),
    "edge": (86, 180, 233),
    "mark": (86, 180, 233),
    "too_small": (240, 228, 66),
    "agglomerate": (255, 80, 30),
    "no_particle": (150, 150, 150),
}
"""Red, green and blue of an outline: counted, or the reason why not; distinguishable with red-green blindness."""
TRACE_COLOR = (255, 0, 200)
_PERCENTILES = (0.5, 99.5)
_BAR_SHARE = 0.2
"""Largest fraction of the image width that the scale bar takes."""
_SHIFT = 4
"""Number of fractional bits of the coordinates that OpenCV draws with."""


def draw_overlay(
    image: np.ndarray,
    labels: np.ndarray,
    *,
    table: pd.DataFrame | None = None,
    lines_px: np.ndarray | None = None,
    pixel_size_nm: PixelSize | None = None,
    max_side_px: int = 1024,
) -> np.ndarray:
    """Draw the outlines of the particles on the contrast-stretched image.

    Parameters
    ----------
    image : numpy.ndarray or cupy.ndarray
        Shape (y, x), any real dtype.
    labels : numpy.ndarray or cupy.ndarray of int
        Shape (y, x), 0 is background.
    table : pandas.DataFrame, optional
        With ``particle_id`` and ``exclusion_reason``: outlines are colored by it (`OUTLINE_COLORS`); without it
        all are drawn as counted. With ``fault_trace_deg`` and ``fault_offset_nm`` the traces of faults are drawn too.
    lines_px : numpy.ndarray, optional
        Shape (line, 2, 2): ends (y, x) in px of further lines, such as the faults of a crystal that fills the field.
    pixel_size_nm : tuple of float, optional
        Height and width of a pixel (nm). With it a scale bar is drawn, and non-square pixels are shown in true shape.
    max_side_px : int
        Longest side of the picture; larger images are scaled down to it.

    Returns
    -------
    numpy.ndarray of uint8
        Shape (y, x, 3): red, green, blue.

    Examples
    --------
    >>> from hrtem_dask.particles import draw_overlay
    >>> from hrtem_dask.simulation import simulate_scene
    >>> scene = simulate_scene(seed=1, shape=(128, 128), n_particles=1)
    >>> draw_overlay(scene.image, scene.labels, pixel_size_nm=(0.03, 0.03)).shape
    (128, 128, 3)
    """
    labels = backend.to_numpy(labels)
    height, width = labels.shape
    # the finer axis is scaled down to the coarser, so that circles look round
    aspect = (1.0, 1.0) if pixel_size_nm is None else tuple(s / max(pixel_size_nm) for s in pixel_size_nm)
    scale = min(1.0, max_side_px / max(height * aspect[0], width * aspect[1], 1))
    scale_y, scale_x = aspect[0] * scale, aspect[1] * scale
    shape = (max(round(height * scale_y), 1), max(round(width * scale_x), 1))
    # scaling down first saves fifteen sixteenths of the work for an image of 4096 × 4096 px
    gray = stretched(cv2.resize(readable(backend.to_numpy(image)), shape[::-1], interpolation=cv2.INTER_AREA))
    picture = np.repeat(gray[:, :, np.newaxis], 3, axis=2)
    reasons: dict[int, str] = {}
    if table is not None:
        reasons = dict(zip(table["particle_id"], table["exclusion_reason"].fillna("counted"), strict=True))
    traces = _traces(table)
    runs = find_runs(labels)
    for label, (y0, x0, y1, x1) in zip(runs.ids, runs.boxes, strict=True):
        inside = (labels[y0:y1, x0:x1] == label).view(np.uint8)
        contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        corner = np.array([x0 + 0.5, y0 + 0.5])
        # from the centers of full-size pixels to those of the picture
        lines = [((c + corner) * (scale_x, scale_y) - 0.5) * 2**_SHIFT for c in contours]
        color = OUTLINE_COLORS[reasons.get(int(label), "counted")]
        cv2.polylines(picture, [np.rint(p).astype(np.int32) for p in lines], True, color, 1, cv2.LINE_AA, _SHIFT)
        if (trace := traces.get(int(label))) is not None and pixel_size_nm is not None:
            ends = fault_trace(inside > 0, trace_deg=trace[0], offset_nm=trace[1], pixel_size_nm=pixel_size_nm)
            if ends is not None:
                _draw_line(picture, np.array(ends) + np.array([y0, x0]), (scale_y, scale_x))
    for line in () if lines_px is None else lines_px:
        _draw_line(picture, line, (scale_y, scale_x))
    if pixel_size_nm is not None:
        _draw_scale_bar(picture, nm_per_px=pixel_size_nm[1] / scale_x)
    return picture


def _draw_line(picture: np.ndarray, ends_px: np.ndarray, scale: tuple[float, float]) -> None:
    """Draw a line between two ends (end, y or x), from the centers of full-size pixels to those of the picture."""
    drawn = ((ends_px + 0.5) * scale - 0.5) * 2**_SHIFT
    first, last = np.rint(drawn[:, ::-1]).astype(int).tolist()
    cv2.line(picture, first, last, TRACE_COLOR, 1, cv2.LINE_AA, _SHIFT)


def _traces(table: pd.DataFrame | None) -> dict[int, tuple[float, float]]:
    """Return direction and offset of the faults, by particle."""
    if table is None or "fault_trace_deg" not in table:
        return {}
    faulted = table[table["fault_trace_deg"].notna()]
    values = faulted[["fault_trace_deg", "fault_offset_nm"]].astype(float).to_numpy()
    return {int(i): (a, o) for i, (a, o) in zip(faulted["particle_id"], values.tolist(), strict=True)}


def stretched(image: np.ndarray) -> np.ndarray:
    """Return the image in 8 bits for display, with the lowest and highest 0.5 % of the pixels clipped.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), any real dtype; pixels that are not finite become the darkest or brightest.

    Returns
    -------
    numpy.ndarray of uint8
        Shape (y, x).

    Examples
    --------
    >>> import numpy as np
    >>> from hrtem_dask.particles import stretched
    >>> stretched(np.linspace(100.0, 200.0, 1000).reshape(20, 50))[[0, -1], [0, -1]].tolist()
    [0, 255]
    """
    values = image.astype(np.float32)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.zeros(image.shape, dtype=np.uint8)
    low, high = np.percentile(finite, _PERCENTILES)
    gain = 255 / (high - low) if high > low else 0.0
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) * gain
    return np.asarray(np.clip(scaled, 0, 255).astype(np.uint8))


def _draw_scale_bar(picture: np.ndarray, *, nm_per_px: float) -> None:
    """Draw a bar of 1, 2 or 5 times a power of ten nm at the lower left, white on black."""
    height, width = picture.shape[:2]
    longest = _BAR_SHARE * width * nm_per_px
    power = 10.0 ** np.floor(np.log10(longest))
    length = next(f * power for f in (5, 2, 1) if f * power <= longest)
    text, size = f"{length:g} nm", max(width / 1024, 0.4)
    (text_width, text_height), base = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    margin, bar = max(width // 64, 4), round(length / nm_per_px)
    thick = max(width // 200, 2)
    top = height - 3 * margin - thick - text_height - base - 2
    box = (margin + max(bar, text_width) + 2 * margin, height - margin)
    if top < 0 or box[0] > width:
        return  # a picture of a few pixels has no room for it
    cv2.rectangle(picture, (margin, top), box, (0, 0, 0), cv2.FILLED)
    left, bottom = 2 * margin, height - 2 * margin
    cv2.rectangle(picture, (left, bottom - thick), (left + bar, bottom), (255, 255, 255), cv2.FILLED)
    origin = (left, bottom - thick - base - 2)
    cv2.putText(picture, text, origin, cv2.FONT_HERSHEY_SIMPLEX, size, (255, 255, 255), 1, cv2.LINE_AA)
