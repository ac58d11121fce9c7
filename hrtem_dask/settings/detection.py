"""Settings of detectors, which find instances that may overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hrtem_dask.errors import SettingsError

__all__ = ["DETECTION_METHODS", "DetectionMethod", "DetectionSettings"]

DetectionMethod = Literal["rotated_rcnn", "mask_rcnn"]
DETECTION_METHODS: tuple[DetectionMethod, ...] = ("rotated_rcnn", "mask_rcnn")
"""Values of ``segmentation.method`` that are detectors."""
SCALE_LIMITS = (1 / 64, 8.0)
"""Smallest and largest scale that can be asked for."""


@dataclass(frozen=True, kw_only=True)
class DetectionSettings:
    """How instances are found by a detector; other methods do not use them."""

    min_score: float = 0.3
    """Instances of which the detector is less sure (0 to 1) are left out."""
    scale: float | None = None
    """Pixels that the detector sees per pixel of the micrograph; None finds the scale from the micrograph."""
    tile_px: int = 1024
    """Micrographs that are larger at that scale are looked at in tiles of this side (px)."""
    overlap_px: int = 320
    """Overlap of tiles (px): instances up to this length at that scale are found as a whole."""

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if not 0 < self.min_score <= 1:
            raise SettingsError(f"detection.min_score must be above 0 and at most 1, got {self.min_score:g}")
        low, high = SCALE_LIMITS
        if self.scale is not None and not low <= self.scale <= high:
            raise SettingsError(
                f"detection.scale must be from {low:g} to {high:g} (1 = pixels as they are), got {self.scale:g}"
            )
        if not (self.tile_px >= 64 and 0 <= self.overlap_px < self.tile_px):
            raise SettingsError(
                f"detection.tile_px must be at least 64, and above overlap_px: got {self.tile_px} and {self.overlap_px}"
            )
