"""A detector without learning, to compare networks with: threshold, watershed, rectangles or ellipses."""

from __future__ import annotations

import cv2
import numpy as np
import scipy.ndimage
from skimage.filters import threshold_otsu
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from hrtem_dask.detection.instance_masks import InstanceMask
from hrtem_dask.detection.instances import Instances
from hrtem_dask.detection.rotated_boxes import canonical

__all__ = ["find_rods_classically", "find_spots_classically", "find_vesicles_classically"]

LARGE_DIAMETER_PX = 26.0
"""Light regions that are larger are called large vesicles, smaller ones holes."""


def find_rods_classically(
    image: np.ndarray,
    *,
    polarity: str,
    fit: str = "rectangle",
    split: bool = True,
    smooth_px: float = 1.5,
    min_area_px: float = 40.0,
    class_name: str = "rod",
) -> Instances:
    """Find particles by Otsu's threshold, split them by a watershed of the distance transform, and fit boxes.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), real.
    polarity : str
        ``"bright"`` or ``"dark"``: what the particles are, compared with the background.
    fit : str
        ``"rectangle"``: the smallest rectangle around the pixels; ``"ellipse"``: the axes of the ellipse with the same
        second moments.
    split : bool
        Whether touching particles are split (maxima of the distance transform that stand out by 1 px); else each
        connected piece is one particle.
    smooth_px : float
        Standard deviation of the smoothing before the threshold (px).
    min_area_px : float
        Smaller pieces are left out (px²).
    class_name : str
        Class of what is found.

    Returns
    -------
    Instances
        With masks; the score is the share of the fitted box that is particle, at most 1.

    Raises
    ------
    ValueError
        If polarity or fit is unknown.
    """
    if polarity not in ("bright", "dark") or fit not in ("rectangle", "ellipse"):
        raise ValueError(f"polarity is bright or dark, fit is rectangle or ellipse, got {polarity!r} and {fit!r}")
    flat = _flattened(image, background_px=min(image.shape) / 6, smooth_px=smooth_px)
    flat = flat if polarity == "bright" else -flat
    level = float(threshold_otsu(flat)) if np.ptp(flat) > 0 else np.inf  # type: ignore[no-untyped-call]
    foreground = cv2.morphologyEx((flat > level).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    masks = _pieces(foreground, split=split, min_area_px=min_area_px)
    boxes = np.array([m.rotated_box() if fit == "rectangle" else _ellipse_box(m) for m in masks]).reshape(-1, 5)
    scores = np.array([m.area_px for m in masks]) / np.maximum(boxes[:, 2] * boxes[:, 3], 1e-9)
    return Instances.from_rotated_boxes(
        boxes,
        shape=(image.shape[0], image.shape[1]),
        class_names=class_name,
        scores=np.minimum(scores, 1.0),
        masks=masks,
    )


def find_spots_classically(
    image: np.ndarray,
    *,
    polarity: str,
    smooth_px: float = 1.5,
    around_px: float = 15.0,
    deviations: float = 3.0,
    min_area_px: float = 20.0,
    class_name: str = "particle",
) -> Instances:
    """Find regions that stand out from their surroundings by a local threshold, and split them by a watershed.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), real.
    polarity : str
        ``"bright"`` or ``"dark"``: what the regions are, compared with their surroundings.
    smooth_px : float
        Standard deviation of the smoothing (px).
    around_px : float
        Standard deviation of the average that counts as surroundings (px).
    deviations : float
        Threshold over the robust standard deviation (1.48 × median absolute deviation) of the difference of the two.
    min_area_px : float
        Smaller regions are left out (px²).
    class_name : str
        Class of what is found.

    Returns
    -------
    Instances
        With masks; the score is the mean deviation over ten times the threshold, at most 1.

    Raises
    ------
    ValueError
        If the polarity is unknown.
    """
    if polarity not in ("bright", "dark"):
        raise ValueError(f"polarity is bright or dark, got {polarity!r}")
    outstanding = _deviations(image, smooth_px, around_px) * (1 if polarity == "bright" else -1)
    masks = _pieces((outstanding > deviations).astype(np.uint8), split=True, min_area_px=min_area_px)
    scores = np.array([outstanding[m.window][m.crop].mean() / (10 * deviations) for m in masks], float)
    return Instances.from_masks(
        masks, shape=(image.shape[0], image.shape[1]), class_names=class_name, scores=np.clip(scores, 0.0, 1.0)
    )


def find_vesicles_classically(image: np.ndarray, *, deviations: float = 2.5, min_area_px: float = 20.0) -> Instances:
    """Find light and dark regions that stand out from their surroundings, and split them by a watershed.

    Parameters
    ----------
    image : numpy.ndarray
        Shape (y, x), real.
    deviations : float
        Threshold over the robust standard deviation (1.48 × median absolute deviation) of the smoothed image.
    min_area_px : float
        Smaller pieces are left out (px²).

    Returns
    -------
    Instances
        Classes ``large_vesicle`` (light, larger than 26 px), ``hole`` (light, smaller) and ``small_vesicle`` (dark);
        the score is the mean deviation over ten times the threshold, at most 1.
    """
    masks: list[InstanceMask] = []
    names: list[str] = []
    scores: list[float] = []
    # (name, sign, smoothing, distance of the surroundings), in px
    wanted = (("large_vesicle", 1, 2.5, 60.0), ("small_vesicle", -1, 1.2, 12.0), ("hole", 1, 1.2, 12.0))
    for name, sign, smooth_px, around_px in wanted:
        outstanding = sign * _deviations(image, smooth_px, around_px)
        # large ones are faint, but also found by their size
        limit = deviations if name != "large_vesicle" else 0.6 * deviations
        light = _filled(outstanding > limit) if name == "large_vesicle" else (outstanding > limit).astype(np.uint8)
        for mask in _pieces(light, split=True, min_area_px=min_area_px):
            diameter = 2 * np.sqrt(mask.area_px / np.pi)
            if (name == "large_vesicle") != (diameter > LARGE_DIAMETER_PX):
                continue
            masks.append(mask)
            names.append(name)
            scores.append(float(outstanding[mask.window][mask.crop].mean() / (10 * limit)))
    return Instances.from_masks(
        masks, shape=(image.shape[0], image.shape[1]), class_names=names, scores=np.clip(scores, 0.0, 1.0)
    )


def _deviations(image: np.ndarray, smooth_px: float, around_px: float) -> np.ndarray:
    """Return by how many robust standard deviations each place differs from its surroundings."""
    flat = _flattened(image, background_px=around_px, smooth_px=smooth_px)
    spread = 1.4826 * float(np.median(np.abs(flat - np.median(flat))))
    return flat / np.float32(max(spread, 1e-9))


def _flattened(image: np.ndarray, *, background_px: float, smooth_px: float) -> np.ndarray:
    """Return the smoothed image without its slow changes."""
    values = np.asarray(image, np.float32)
    smooth = cv2.GaussianBlur(values, (0, 0), smooth_px, borderType=cv2.BORDER_REFLECT)
    # the slow part is taken from a smaller copy, which is the same and faster
    step = max(int(background_px / 8), 1)
    small = cv2.resize(values, None, fx=1 / step, fy=1 / step, interpolation=cv2.INTER_AREA) if step > 1 else values
    slow = cv2.GaussianBlur(small, (0, 0), background_px / step, borderType=cv2.BORDER_REFLECT)
    slow = cv2.resize(slow, values.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth - slow, np.float32)


def _filled(mask: np.ndarray) -> np.ndarray:
    """Close gaps of 2 px and fill what is enclosed."""
    closed = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    contours, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return np.asarray(cv2.drawContours(np.zeros_like(closed), contours, -1, 1, cv2.FILLED))


def _pieces(foreground: np.ndarray, *, split: bool, min_area_px: float) -> list[InstanceMask]:
    """Return the pieces of a mask, split where their distance transform has several clear maxima."""
    _, labels = cv2.connectedComponents(foreground, connectivity=8)
    if split and foreground.any():
        distance = cv2.GaussianBlur(cv2.distanceTransform(foreground, cv2.DIST_L2, 5), (0, 0), 1.0)
        maxima = h_maxima(distance, 1.0)  # type: ignore[no-untyped-call]
        _, markers = cv2.connectedComponents(maxima.astype(np.uint8), connectivity=8)
        labels = watershed(-distance, markers, mask=foreground > 0)  # type: ignore[no-untyped-call]
    found = []
    for number, window in enumerate(scipy.ndimage.find_objects(labels), 1):
        if window is not None:
            crop = labels[window] == number
            if crop.sum() >= min_area_px:
                found.append(InstanceMask.from_image(crop, y0_px=window[0].start, x0_px=window[1].start))
    return found


def _ellipse_box(mask: InstanceMask) -> np.ndarray:
    """Return the box of the ellipse with a mask's second moments."""
    y, x = np.nonzero(mask.crop)
    middle = np.array([x.mean(), y.mean()])
    # a pixel is a square, not a point: 1/12 is its own second moment
    spread = np.cov(np.stack([x, y]), bias=True) + np.eye(2) / 12
    values, vectors = np.linalg.eigh(spread)
    minor, major = 4 * np.sqrt(values)
    angle = -np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    return canonical(np.array([middle[0] + mask.x0_px, middle[1] + mask.y0_px, major, minor, angle]))
