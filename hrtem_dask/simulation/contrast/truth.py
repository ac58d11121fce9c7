"""The truth of a contrast-regime micrograph: labels and tables, exact by construction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pandas as pd

from hrtem_dask.simulation.contrast.arrangement import Placed
from hrtem_dask.tables import Column, Schema

__all__ = ["CONTRAST_MICROGRAPHS", "CONTRAST_PARTICLES", "ContrastMicrograph", "particle_rows"]

_ID = Column("micrograph_id", "str", "name of the simulated micrograph: con-<seed>-<index>")

CONTRAST_MICROGRAPHS: Schema = (
    _ID,
    Column("seed", "int", "seed of the series"),
    Column("index", "int", "number in the series; seed and index alone decide the micrograph"),
    Column("regime", "str", "contrast: no lattice fringes are resolved"),
    Column("polarity", "str", "dark: particles darker than the support; bright: brighter"),
    Column("imaging", "str", "bright_field, inverted_bright_field or dark_field"),
    Column("height_px", "int", "image height", "px"),
    Column("width_px", "int", "image width", "px"),
    Column("pixel_size_nm", "float", "pixel height and width, for information", "nm"),
    Column("n_particles", "int", "particles in the field, cut and covered ones included; 0 is an empty field"),
    Column("coverage", "float", "share of the image that is labelled"),
    Column("shape", "str", "leading shape; null in an empty field"),
    Column("arrangement", "str", "isolated, overlapping, agglomerates, rafts or monolayer; null in an empty field"),
    Column("interior", "str", "leading kind of interior; null in an empty field"),
    Column("median_diameter_px", "float", "median equivalent diameter that was drawn from", "px"),
    Column("diameter_spread", "float", "standard deviation of the diameter's logarithm"),
    Column("support", "str", "carbon, graphene, lacey, holey, thick, wrinkled or vacuum"),
    Column("texture_contrast", "float", "standard deviation of the support's contrast"),
    Column("texture_grain_px", "float", "grain size of the support", "px"),
    Column("optical_depth", "float", "−ln of the mean intensity behind a particle of median size"),
    Column("fresnel_px", "float", "√(wavelength × |defocus|)", "px"),
    Column("is_overfocus", "bool", "defocus turned"),
    Column("blur_px", "float", "standard deviation of the lens's blur", "px"),
    Column("drift_px", "float", "way of the specimen during the exposure", "px"),
    Column("electrons_per_px", "float", "mean electrons per pixel"),
    Column("gradient", "float", "intensity change across the field over its mean"),
    Column("vignette", "float", "loss of illumination at the corners"),
    Column("is_8_bit", "bool", "stretched to 0–255"),
    Column("gamma", "float", "exponent of the stretch"),
    Column("jpeg_quality", "int", "0 for none"),
    Column("annotations", "str", "kinds of burnt-in marks, joined by ;"),
    Column("faults", "str", "what was planted to make it hard, joined by ;"),
)

CONTRAST_PARTICLES: Schema = (
    _ID,
    Column("particle_id", "int", "its value in the labels; a larger one lies above"),
    Column("shape", "str", "name of the shape"),
    Column("centroid_y_px", "float", "centroid of the whole outline; centres of pixels are whole numbers", "px"),
    Column("centroid_x_px", "float", "the same along x", "px"),
    Column("area_px", "float", "area of the whole outline, with what others cover or the border cuts off", "px"),
    Column("equivalent_diameter_px", "float", "diameter of the disk of that area", "px", "√(4A/π)"),
    Column("major_axis_px", "float", "long axis of the ellipse with the outline's second moments", "px"),
    Column("minor_axis_px", "float", "its short axis", "px"),
    Column("visible_area_px", "int", "labelled pixels: neither covered by another particle nor by an annotation", "px"),
    Column("material_contrast", "float", "mean share of the electrons that the particle takes away, before the lens"),
    Column("touches_edge", "bool", "cut by the image's border"),
    Column(
        "contrast_to_noise",
        "float",
        "how well it stands out in the saved image; null where it has no visible pixel",
        "",
        "(mean of its visible pixels − mean of the ring around it) / standard deviation of the ring",
    ),
)

RING_PX = 6.0
RING_START_PX = 2.0
FEWEST_RING_PIXELS = 30


@dataclass(frozen=True, kw_only=True)
class ContrastMicrograph:
    """A simulated micrograph without lattice fringes, and all that is true of it."""

    micrograph_id: str
    """con-<seed>-<index>."""
    intensity: np.ndarray
    """Shape (y, x), float32: grey values 0–255, or counts up to 65535; always whole numbers."""
    labels: np.ndarray
    """Shape (y, x), int32: the uppermost particle of each pixel, 0 = background and annotation."""
    annotation: np.ndarray
    """Shape (y, x), bool: burnt-in bars, text, boxes and strips."""
    pixel_size_nm: float
    """Height and width of a pixel (nm)."""
    particles: pd.DataFrame
    """Schema `CONTRAST_PARTICLES`."""
    conditions: Mapping[str, Any]
    """Keys as the columns of `CONTRAST_MICROGRAPHS`; `faults` and `annotations` are tuples of str."""

    @property
    def image(self) -> np.ndarray:
        """Shape (y, x), uint16: the intensity, whose values are whole numbers from 0 to 65535."""
        return self.intensity.astype(np.uint16)

    @property
    def micrograph(self) -> pd.DataFrame:
        """One row, schema `CONTRAST_MICROGRAPHS`."""
        row = {k: ";".join(v) if isinstance(v, tuple) else v for k, v in self.conditions.items()}
        return pd.DataFrame([{c.name: row.get(c.name) for c in CONTRAST_MICROGRAPHS}])


def particle_rows(
    micrograph_id: str,
    placed: Sequence[Placed],
    contrasts: Sequence[float],
    intensity: np.ndarray,
    labels: np.ndarray,
    annotation: np.ndarray,
) -> pd.DataFrame:
    """Tell what is true of each particle.

    Parameters
    ----------
    micrograph_id : str
        Name of the micrograph.
    placed : sequence of Placed
        The particles, in the order of their ids from 1.
    contrasts : sequence of float
        Their material contrast.
    intensity : numpy.ndarray
        Shape (y, x), float32: the saved image.
    labels : numpy.ndarray
        Shape (y, x), int32.
    annotation : numpy.ndarray
        Shape (y, x), bool.

    Returns
    -------
    pandas.DataFrame
        Schema `CONTRAST_PARTICLES`.
    """
    visible = np.bincount(labels.ravel(), minlength=len(placed) + 1)[1:]
    ratios = _contrast_to_noise(intensity, labels, annotation, len(placed))
    rows = []
    for k, particle in enumerate(placed):
        m = particle.body.moments
        points = particle.body.outline + np.array([particle.y_px, particle.x_px])
        touches = points.min() < -0.5 or (points > np.array(labels.shape) - 0.5).any()
        rows.append(
            {
                "micrograph_id": micrograph_id,
                "particle_id": k + 1,
                "shape": particle.shape,
                "centroid_y_px": particle.y_px + m.centroid_px[0],
                "centroid_x_px": particle.x_px + m.centroid_px[1],
                "area_px": m.area_px,
                "equivalent_diameter_px": particle.body.equivalent_diameter,
                "major_axis_px": m.major_axis_px,
                "minor_axis_px": m.minor_axis_px,
                "visible_area_px": int(visible[k]),
                "material_contrast": float(contrasts[k]),
                "touches_edge": bool(touches),
                "contrast_to_noise": float(ratios[k]),
            }
        )
    kinds: dict[str, Any] = {"str": object, "int": np.int64, "float": np.float64, "bool": bool}
    table = pd.DataFrame(rows, columns=[c.name for c in CONTRAST_PARTICLES])
    return table.astype({c.name: kinds[c.kind] for c in CONTRAST_PARTICLES})


def _contrast_to_noise(intensity: np.ndarray, labels: np.ndarray, annotation: np.ndarray, n: int) -> np.ndarray:
    """Return each particle's contrast over the noise of its surroundings in the saved image."""
    if n == 0:
        return np.zeros(0)
    # the nearest particle of each background pixel, and how far it is
    away, nearest = cv2.distanceTransformWithLabels(
        (labels == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    of_component = np.zeros(int(nearest.max()) + 1, np.int64)
    inside = labels > 0
    of_component[nearest[inside]] = labels[inside]
    background = ~inside & ~annotation
    ring = background & (away > RING_START_PX) & (away <= RING_START_PX + RING_PX)
    owner = of_component[nearest[ring]]
    count = np.bincount(owner, minlength=n + 1)[1:]
    values = intensity.astype(np.float64)
    mean = np.bincount(owner, values[ring], minlength=n + 1)[1:] / np.maximum(count, 1)
    square = np.bincount(owner, values[ring] ** 2, minlength=n + 1)[1:] / np.maximum(count, 1)
    noise = np.sqrt(np.maximum(square - mean**2, 0))
    few = count < FEWEST_RING_PIXELS
    everywhere = values[background] if background.any() else values.ravel()
    mean[few], noise[few] = everywhere.mean(), everywhere.std()
    pixels = np.bincount(labels.ravel(), minlength=n + 1)[1:]
    own = np.bincount(labels.ravel(), values.ravel(), minlength=n + 1)[1:] / np.maximum(pixels, 1)
    ratio = (own - mean) / np.maximum(noise, 1e-3 * max(float(everywhere.std()), 1.0))
    return np.where(pixels > 0, ratio, np.nan)
