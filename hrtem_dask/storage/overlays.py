"""Pictures of the outlines, small enough to look through by the hundred."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd

from hrtem_dask.micrograph import PixelSize
from hrtem_dask.particles import draw_overlay
from hrtem_dask.storage.location import Location

__all__ = ["overlay_exists", "remove_overlay", "write_overlay"]

FOLDER = "overlays"
JPEG_QUALITY = 88
JPEG_END = b"\xff\xd9"


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
